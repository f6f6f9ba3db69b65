"""How a fault of the program itself is told in one line: what it was and where, and nothing of what it was about."""

import os


def describe(error: BaseException) -> str:
    """``error`` as ``internal error, ValueError at file.py:12``, the place being where it was raised. Its own text is
    left out: that may repeat a password, or octets of a client."""
    trace = error.__traceback__
    if trace is None:
        return f"internal error, {type(error).__name__}"
    while trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
    return f"internal error, {type(error).__name__} at {place}"
