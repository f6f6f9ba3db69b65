"""Sockets that were open before: handed over, or systemd's."""

import os
import socket
from collections.abc import Iterator

import msgspec
import pytest

from fastsmtp.config.values import Endpoint
from fastsmtp.process import heritage
from fastsmtp.process.errors import StartError
from fastsmtp.process.heritage import VARIABLE, activate, heritage_of, take_heritage
from fastsmtp.process.sockets import SocketPool, Wanted
from fastsmtp.telemetry.metrics_table import MetricTable

ANY = Endpoint(socket.AF_INET, "127.0.0.1", 0)


def test_what_is_handed_over_is_taken_once() -> None:
    pool = SocketPool(16)
    wanted = [Wanted(ANY, "smtp", False), Wanted(ANY, "lmtp", True)]
    before = pool.bind(wanted, 2)
    pool.listen()
    channel, lock = os.dup(0), os.dup(0)
    given = heritage_of(3, "/data", channel, lock, pool, MetricTable(0.0))
    environ = {VARIABLE: msgspec.json.encode(given).decode()}
    taken = take_heritage(environ)
    assert taken == given
    assert not environ
    assert take_heritage(environ) is None
    # In the other process they are what the numbers say; here they are copied first.
    for one in taken.listeners:
        one.files = [os.dup(file) for file in one.files]
    heir = SocketPool(16)
    taken.fill(heir)
    after = heir.bind(wanted, 2)
    assert [one.endpoint for one in after] == [one.endpoint for one in before]
    assert [len(one.sockets) for one in after] == [2, 1]
    pool.close()
    heir.close()
    os.close(channel)
    os.close(lock)


def test_counters_go_on_where_the_program_counts_the_same() -> None:
    table = MetricTable(1000.0)
    table.claim().counters("fastsmtp_connections")[()].add(7)
    pool = SocketPool(16)
    given = heritage_of(1, "/data", 0, 0, pool, table)
    assert given.metrics is not None
    given.metrics.file = os.dup(table.file)
    heir = given.metric_table(2000.0)
    assert heir.started == 1000.0
    assert [row.counters("fastsmtp_connections")[()].get() for row, _ in heir.rows()] == [7]
    given.metrics.layout += 1
    given.metrics.file = os.dup(table.file)
    other = given.metric_table(2000.0)
    assert (other.started, list(other.rows())) == (2000.0, [])
    given.metrics = None
    assert given.metric_table(3000.0).started == 3000.0


def test_what_is_no_heritage_is_refused() -> None:
    with pytest.raises(StartError, match="unset it"):
        take_heritage({VARIABLE: "rubbish"})


def neighbours(count: int) -> int:
    """The first of so many free descriptors in a row."""
    first = 200
    while True:
        taken = [
            number for number in range(first, first + count) if os.path.exists(f"/proc/self/fd/{number}")
        ]
        if not taken:
            return first
        first = taken[-1] + 1


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Two sockets as systemd gives them, at descriptors that nothing of this process has."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    first = neighbours(len(sockets))
    for number, sock in enumerate(sockets):
        os.dup2(sock.fileno(), first + number)
    monkeypatch.setattr(heritage, "_FIRST", first)
    yield sockets
    for sock in sockets:
        sock.close()


def environ(names: str = "", pid: int = 0) -> dict[str, str]:
    return {"LISTEN_FDS": "2", "LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDNAMES": names}


def address(sock: socket.socket) -> Endpoint:
    return Endpoint(socket.AF_INET, *sock.getsockname())


def test_by_address_and_by_name(given: list[socket.socket]) -> None:
    elsewhere = Endpoint(socket.AF_INET, "192.0.2.1", 587)
    wanted = [Wanted(elsewhere, "submission", False), Wanted(address(given[0]), "smtp", False)]
    pool = SocketPool(16)
    variables = environ("whatever:submission")
    notes = activate(variables, wanted, pool)
    assert not variables
    assert all(note.startswith("listening on 127.0.0.1 port ") for note in notes)
    by_name, by_address = pool.bind(wanted, 4)
    assert by_address.endpoint == address(given[0])
    assert by_name.endpoint.port == given[1].getsockname()[1]
    assert len(by_name.sockets) == 1
    assert by_name.of(3) == by_name.sockets
    pool.close()


def test_one_that_nobody_wants_is_closed(given: list[socket.socket]) -> None:
    pool = SocketPool(16)
    notes = activate(environ(), [Wanted(address(given[0]), "smtp", False)], pool)
    assert notes[1].startswith("WARNING: no listener is for the socket 127.0.0.1 port")
    pool.close()


def test_those_of_another_process_are_left_alone(given: list[socket.socket]) -> None:
    assert activate(environ(pid=1), [Wanted(address(given[0]), "smtp", False)], SocketPool(16)) == []
    for number in range(2):
        os.close(heritage._FIRST + number)
