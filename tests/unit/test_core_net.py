"""Whether something lies in a socket: compiled and plain."""

import gc
import os
import socket
from typing import Any

import pytest

from fastsmtp._core import _py_net

IMPLEMENTATIONS: dict[str, Any] = {"py": _py_net}
try:
    from fastsmtp._core import net as compiled

    IMPLEMENTATIONS["c"] = compiled
except ImportError:
    pass


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def net(request: pytest.FixtureRequest) -> Any:
    return IMPLEMENTATIONS[request.param]


def test_input_is_seen_and_left_there(net: Any) -> None:
    here, there = socket.socketpair()
    with here, there:
        assert net.has_input(here.fileno()) is False
        there.sendall(b"EHLO x\r\n")
        assert net.has_input(here.fileno()) is True
        assert net.has_input(here.fileno()) is True
        assert here.recv(100) == b"EHLO x\r\n"
        assert net.has_input(here.fileno()) is False


def test_an_end_is_no_input(net: Any) -> None:
    here, there = socket.socketpair()
    with here:
        there.sendall(b"x")
        there.close()
        assert net.has_input(here.fileno()) is True
        assert here.recv(1) == b"x"
        assert net.has_input(here.fileno()) is False


def test_what_is_no_socket_has_none(net: Any) -> None:
    read, write = os.pipe()
    try:
        assert net.has_input(read) is False
    finally:
        os.close(read)
        os.close(write)
    assert net.has_input(read) is False
    assert net.has_input(-1) is False


def test_no_descriptor_is_lost(net: Any) -> None:
    here, there = socket.socketpair()
    with here, there:
        gc.collect()  # what other tests left open is not to close in mid-count
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            net.has_input(here.fileno())
        assert len(os.listdir("/proc/self/fd")) == before
