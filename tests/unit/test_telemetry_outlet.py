"""Where the log goes: nothing waits for a reader, and nobody else's descriptor is changed."""

import os
import pty
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.telemetry.outlet import PIECE, Outlet

LINES = b"".join(b"%05d %s\n" % (number, b"x" * 93) for number in range(20_000))


def of_pipe() -> tuple[int, int]:
    return os.pipe()


def of_socket() -> tuple[int, int]:
    one, two = socket.socketpair()
    return one.detach(), two.detach()


def of_terminal() -> tuple[int, int]:
    master, slave = pty.openpty()
    return master, slave


def no_second_description(path: Any, flags: int, *rest: Any) -> int:
    """`os.open` after a change of user."""
    raise PermissionError(13, "Permission denied")


def taken(pieces: list[bytes]) -> Callable[[int, memoryview], int]:
    """An `os.write` that takes all and keeps it in ``pieces``."""

    def write(fd: int, data: memoryview) -> int:
        pieces.append(bytes(data))
        return len(data)

    return write


# A terminal that is shared is missing: it says it has room before it has room for a whole piece.
@pytest.mark.parametrize(
    ("make", "second"),
    [(of_pipe, True), (of_pipe, False), (of_socket, True), (of_socket, False), (of_terminal, True)],
)
def test_a_reader_that_stops_is_not_waited_for(
    make: Callable[[], tuple[int, int]], second: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, fd = make()
    with monkeypatch.context() as patch:
        if not second:
            patch.setattr(os, "open", no_second_description)
        outlet = Outlet(fd)
    written = outlet.write(LINES)
    assert 0 < written < len(LINES)
    assert outlet.write(LINES) < PIECE
    assert os.get_blocking(fd)
    if make is not of_terminal:  # which turns line ends into CRLF
        read = b""
        os.set_blocking(end, False)
        while len(read) < written:
            read += os.read(end, 1 << 20)
        assert read[:written] == LINES[:written]
        outlet.wait(20)
        assert outlet.write(LINES) > 0
    os.close(end)
    os.close(fd)


def test_a_pipe_gets_whole_lines_that_it_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    end, fd = os.pipe()
    outlet = Outlet(fd)
    pieces: list[bytes] = []
    monkeypatch.setattr(os, "write", taken(pieces))
    long = b"y" * (PIECE + 100) + b"\n"
    assert outlet.write(LINES[:10_000] + long) == 10_000 + len(long)
    monkeypatch.undo()
    assert b"".join(pieces) == LINES[:10_000] + long
    assert [len(piece) for piece in pieces] == [4000, 4000, 2000, PIECE, 101]
    os.close(end)
    os.close(fd)


def test_a_file_gets_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    outlet = Outlet(fd)
    pieces: list[bytes] = []
    monkeypatch.setattr(os, "write", taken(pieces))
    assert outlet.write(LINES) == len(LINES)
    monkeypatch.undo()
    assert pieces == [LINES]
    os.close(fd)


def test_a_reader_that_is_gone_is_an_error() -> None:
    end, fd = os.pipe()
    outlet = Outlet(fd)
    os.close(end)
    with pytest.raises(BrokenPipeError):
        outlet.write(b"x\n")
    os.close(fd)
