"""What nobody expected: a fault of the program itself, told in one line with its place."""

import os


def told(error: BaseException) -> str:
    """The error and where it was raised, as ``ValueError('text') at file.py:12``."""
    trace = error.__traceback__
    if trace is None:
        return repr(error)
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{error!r} at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"


def no_fault(step: str) -> None:
    """The fault hook of a server: nothing goes wrong at ``step``."""
