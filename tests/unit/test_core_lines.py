"""Events as lines of text: what the compiled form writes by itself is what text.py says, octet for octet."""

import importlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp._core import _py_lines
from fastsmtp.telemetry.events import VERSION, Delivered, Event, Received, Server
from fastsmtp.telemetry.text import text
from tests.fakes.events import received

COMPILED: Any = importlib.import_module("fastsmtp._core.lines")
IMPLEMENTATIONS: dict[str, Any] = {"py": _py_lines, "c": COMPILED}
WHO = b" fastsmtp[71/3] "


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def lines(request: pytest.FixtureRequest) -> Any:
    return IMPLEMENTATIONS[request.param]


def written(implementation: Any, *events: Event) -> bytes:
    result: bytes = implementation.Lines(Received, Delivered, text)(list(events), WHO)
    return result


def test_the_line_of_a_message(lines: Any) -> None:
    assert written(lines, received(message_id="1@x", sync=0.00414, login="me", tls="TLSv1.3 X")) == (
        b"2026-11-24T05:35:00.125Z fastsmtp[71/3] received id=0abcdefghijkl from=<a@example.org> "
        b"to=<b@example.net> size=4096 client=192.0.2.1 helo=mail.example.org with=ESMTP message-id=1@x "
        b'login=me tls="TLSv1.3 X" sync=0.0041\n'
    )


def test_others_are_asked_for(lines: Any) -> None:
    at = 1_795_498_500.999
    delivered = Delivered(VERSION, at, 3, 71, "ID", "b@example.net", "b@example.net", 0.125)
    assert written(lines, Server(VERSION, at, 3, 71, "x"), delivered).splitlines() == [
        b"2026-11-24T05:35:00.999Z fastsmtp[71/3] event x",
        b"2026-11-24T05:35:00.999Z fastsmtp[71/3] delivered id=ID to=<b@example.net> mailbox=b@example.net"
        b" delay=0.12",
    ]
    assert written(lines) == b""


def test_one_that_cannot_be_written_costs_nothing_but_itself() -> None:
    def broken(event: Event) -> str:
        raise RuntimeError("no")

    write = COMPILED.Lines(Received, Delivered, broken)
    with pytest.raises(RuntimeError):
        write([received(), Server(VERSION, 1.0, 3, 71, "x")], WHO)
    assert write([received()], WHO) == written(_py_lines, received())


SAID = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "a@example.org", "TLSv1.3 X", 'a"b', "a\\b", "a b\\", "x" * 3000, "\x7f", "\udcff", "é"]
    ),
)
EVENTS = st.one_of(
    st.builds(
        received,
        at=st.floats(0, 4e9),
        sender=SAID,
        to=st.lists(SAID, max_size=12),
        size=st.integers(0, 1 << 40),
        client=SAID,
        helo=SAID,
        sync=st.floats(0, 1e10),
        message_id=SAID,
        login=SAID,
        tls=SAID,
        aliases=st.lists(SAID, max_size=2),
        more=st.integers(0, 3),
    ),
    st.builds(
        Delivered,
        st.just(VERSION),
        st.floats(0, 4e9),
        st.just(3),
        st.just(71),
        st.just("ID"),
        SAID,
        SAID,
        st.one_of(st.floats(), st.integers(-999, 999).map(lambda number: number / 200)),
    ),
)


@given(st.lists(EVENTS, max_size=6))
def test_both_write_the_same(events: list[Event]) -> None:
    assert written(COMPILED, *events) == written(_py_lines, *events)


@given(st.lists(st.floats(-10, 2e10), max_size=5))
def test_both_write_the_same_time(moments: list[float]) -> None:
    compiled, plain = COMPILED.Stamps(), _py_lines.Stamps()
    assert [compiled.of(at) for at in moments] == [plain.of(at) for at in moments]


def test_the_time_is_that_of_utc(lines: Any) -> None:
    at = time.time()
    assert lines.Stamps().of(at)[:19] == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
