"""What ends one of these commands."""

import os


class Failure(Exception):
    """``code`` is that of sysexits.h; the text is one line, or several."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def usage(text: str) -> Failure:
    """The command line is wrong."""
    return Failure(os.EX_USAGE, f"{text} (sendmail --help)")
