"""A terminal that is drawn anew now and then, and given back as it was."""

import os
import select
import shutil
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the other screen, without a cursor
_HOME, _LINE_END, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """Made by `screen`."""

    def __init__(self, keys: int | None, out: TextIO) -> None:
        self._keys = keys
        self._out = out

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        return shutil.get_terminal_size()

    def draw(self, lines: Sequence[str]) -> None:
        """Show ``lines`` from the top."""
        self._out.write(_HOME + "\r\n".join(line + _LINE_END for line in lines) + _REST)
        self._out.flush()

    def wait(self, seconds: float) -> str:
        """So long, or until a key is pressed, which is returned; "" when none was."""
        if self._keys is None:
            select.select([], [], [], seconds)
            return ""
        ready, _, _ = select.select([self._keys], [], [], seconds)
        if not ready:
            return ""
        pressed = os.read(self._keys, 32)
        if not pressed:  # nobody is there any more
            self._keys = None
        return pressed.decode("ascii", "replace")


@contextmanager
def screen(source: TextIO, out: TextIO) -> Iterator[Screen]:
    """The terminal ``out``; afterwards it is as it was. When ``source`` is one too its keys come at once."""
    keys = source.fileno() if source.isatty() else None
    before = None if keys is None else termios.tcgetattr(keys)
    out.write(_ENTER)
    try:
        if keys is not None:
            tty.setcbreak(keys)
        yield Screen(keys, out)
    finally:
        if keys is not None and before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
        out.write(_LEAVE)
        out.flush()
