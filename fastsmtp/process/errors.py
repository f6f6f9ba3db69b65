"""Why a start failed, in the words the operator reads."""

import os


class StartError(Exception):
    """The server or a worker cannot start.

    The text is one line: what, where and how to mend it. ``code`` is the exit code (sysexits.h).
    """

    def __init__(self, text: str, code: int = os.EX_CONFIG) -> None:
        super().__init__(text)
        self.code = code


class ShardTaken(StartError):
    """A shard of the spool is another process's for now."""

    def __init__(self, text: str) -> None:
        super().__init__(text, os.EX_IOERR)
