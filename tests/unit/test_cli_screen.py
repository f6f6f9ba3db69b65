"""A terminal that is drawn on, and given back as it was."""

import os
import termios
from collections.abc import Iterator

import pytest

from fastsmtp.cli.screen import screen


class Terminal:
    """A pseudo-terminal, at both of whose ends the test sits."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.keys = open(self.slave, closefd=False)  # noqa: SIM115
        self.out = open(self.slave, "w", closefd=False)  # noqa: SIM115

    def settings(self) -> list[object]:
        return termios.tcgetattr(self.slave)

    def read(self, end: str) -> str:
        """What was drawn, up to ``end``: it comes in pieces, by a thread of the kernel."""
        said = ""
        while not said.endswith(end):
            said += os.read(self.master, 65536).decode()
        return said

    def close(self) -> None:
        for file in (self.keys, self.out):
            file.close()
        for fd in (self.master, self.slave):
            os.close(fd)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def test_it_is_given_back_as_it_was(terminal: Terminal) -> None:
    before = terminal.settings()

    def interrupted() -> None:
        with screen(terminal.keys, terminal.out) as shown:
            assert terminal.settings() != before, "keys come at once"
            shown.draw(["a picture"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.settings() == before
    assert terminal.read("\x1b[?25h\x1b[?1049l").startswith("\x1b[?1049h")


def test_a_picture_covers_the_one_before(terminal: Terminal) -> None:
    with screen(terminal.keys, terminal.out) as shown:
        shown.draw(["one", "two"])
        said = terminal.read("\x1b[J").replace("\r\r", "\r")
        assert said == "\x1b[?1049h\x1b[?25l\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J"


def test_a_key_ends_the_waiting(terminal: Terminal) -> None:
    with screen(terminal.keys, terminal.out) as shown:
        os.write(terminal.master, b"q")
        assert shown.wait(20.0) == "q"
        assert shown.wait(0.0) == ""


def test_without_keys_it_is_waited(terminal: Terminal) -> None:
    read, write = os.pipe()
    os.close(write)
    with open(read) as nobody, screen(nobody, terminal.out) as shown:
        assert shown.wait(0.0) == ""
