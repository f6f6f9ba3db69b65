"""At its limits the server says so, to each client over them, and serves again as soon as there is room."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.site import Site, site
from tests.tools.waiting import until
from tests.tools.wire import Wire


def served(server: Site, **options: str) -> bool:
    """Whether a new connection is greeted now."""
    with server.wire(**options) as wire:
        return wire.banner is not None and wire.banner.code == 220


@pytest.mark.parametrize("workers", [1, 2])
def test_all_connections_taken(tmp_path: Path, workers: int) -> None:
    limits = {"connections": 10, "connections_per_ip": 0}
    with site(tmp_path, workers=workers, limits=limits) as server, contextlib.ExitStack() as held:
        wires = [held.enter_context(server.wire()) for _ in range(10)]
        assert all(wire.hello().code == 250 for wire in wires)
        for _ in range(5):
            with server.wire() as refused:
                assert refused.banner is not None
                assert refused.banner.brief == "421 4.3.2"
                assert refused.at_end()
        assert all(wire.usable() for wire in wires)
        wires.pop().expect("QUIT", "221 2.0.0")
        until("there is room for one again", lambda: served(server), 60)


def test_connections_of_one_client(tmp_path: Path) -> None:
    limits = {"connections_per_ip": 3}
    with site(tmp_path, workers=2, limits=limits) as server, contextlib.ExitStack() as held:
        wires = [held.enter_context(server.wire()) for _ in range(3)]
        assert all(wire.banner is not None and wire.banner.code == 220 for wire in wires)
        with server.wire() as refused:
            assert refused.banner is not None
            assert refused.banner.code == 421
            assert refused.at_end()
        assert served(server, source="127.0.0.2"), "another client is not concerned"
        wires.pop().close()
        until("the client has room for one again", lambda: served(server), 60)


def test_messages_of_one_client(tmp_path: Path) -> None:
    rule = {"count": "messages", "per": "ip", "rate": "2/1h"}
    limits = {"rules": [rule], "connections_per_ip": 0}
    with site(tmp_path, workers=1, limits=limits) as server:
        with server.wire() as wire:
            wire.hello()
            accepted = 0
            while (answer := wire.command("MAIL FROM:<a@client.example>")).code == 250 and accepted < 10:
                wire.expect("RCPT TO:<alice@example.org>", "250")
                wire.data(b"Subject: a\r\n\r\n.\r\n").queue_id  # noqa: B018 - checks that it was accepted
                accepted += 1
            assert answer.brief == "450 4.7.1"
            assert accepted == 2
        with server.wire(source="127.0.0.2") as wire:
            wire.hello()
            wire.message(b"Subject: a\r\n\r\n", "alice@example.org").queue_id  # noqa: B018 - accepted


MAIL = b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n"
RCPT = MAIL + b"RCPT TO:<alice@example.org>\r\n"
SILENCE = 4
"""Seconds: a machine that stands still for a while is not taken for a client that does."""


def test_silence_ends_the_session(silent: Site) -> None:
    """Wherever a client falls silent; all of them at the same time."""
    starts = [b"", b"EHLO client.example\r\n", MAIL, RCPT, RCPT + b"DATA\r\nx", RCPT + b"BDAT 9\r\nx"]
    begin = time.monotonic()
    with contextlib.ExitStack() as held:
        wires = [held.enter_context(silent.wire(timeout=60)) for _ in starts]
        for wire, start in zip(wires, starts, strict=True):
            wire.send(start)
        for wire in wires:
            last = wire.rest().split(b"\r\n")[-2]
            assert last.startswith(b"421 4.4.2 "), last
            assert time.monotonic() - begin > SILENCE - 0.5


def test_commands_keep_the_session_alive(silent: Site) -> None:
    with silent.wire() as wire:
        end = time.monotonic() + SILENCE + 2
        while time.monotonic() < end:
            assert wire.usable()
            time.sleep(0.5)


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    limits = {"command_timeout": SILENCE, "connections_per_ip": 0}
    with site(tmp_path_factory.mktemp("silence"), workers=1, limits=limits) as server:
        yield server


def test_idle_and_busy_sessions_at_shutdown(tmp_path: Path) -> None:
    """Idle sessions end at once, those in a transaction may finish it within the grace period."""
    with site(tmp_path, workers=1, shutdown_grace=600) as server:
        idle, busy, chunked = server.wire(), server.wire(), server.wire()
        idle.hello()
        for wire in (busy, chunked):
            wire.hello()
            wire.envelope("alice@example.org")
        busy.expect("DATA", "354")
        busy.send(b"Subject: in time\r\n\r\nfirst half,")
        chunked.send(b"BDAT 16\r\nSubject: chunk\r\n")
        assert chunked.answer().code == 250
        server.running.terminate()
        assert idle.answer().brief == "421 4.3.2"
        assert idle.at_end()
        until("nobody is let in any more", lambda: refused(server), 60)
        busy.send(b" second half\r\n.\r\n")
        chunked.send(b"BDAT 7 LAST\r\n\r\nyes\r\n")
        busy.answer().queue_id  # noqa: B018 - checks that it was accepted
        chunked.answer().queue_id  # noqa: B018 - checks that it was accepted
        for wire in (busy, chunked):
            assert wire.rest().startswith(b"421 4.3.2 "), "after its transaction the session ends too"
        assert server.wait(60) == 0, "the grace period is waited out though nobody is left"


def refused(server: Site) -> bool:
    """Whether a new client gets no 220 any more."""
    try:
        with server.wire(timeout=3) as wire:
            return wire.banner is None or wire.banner.code == 421
    except (OSError, AssertionError):
        return True


def test_grace_has_an_end(tmp_path: Path) -> None:
    with site(tmp_path, workers=1, shutdown_grace=1) as server:
        wire = server.wire()
        wire.hello()
        wire.envelope("alice@example.org")
        wire.expect("DATA", "354")
        wire.send(b"Subject: never ends\r\n\r\n")
        start = time.monotonic()
        server.running.terminate()
        assert wire.answer().brief == "421 4.3.2"
        assert wire.at_end()
        assert time.monotonic() - start > 0.5
        assert server.wait() == 0
        assert not list(server.mail.glob("*/*/new/*"))


def test_clients_that_come_and_go(tmp_path: Path) -> None:
    """A thousand connections closed at any moment leave no count behind."""
    limits = {"connections": 20, "connections_per_ip": 20}
    with site(tmp_path, workers=2, limits=limits) as server:
        for number in range(1000):
            with contextlib.suppress(OSError):
                wire = Wire(server.address, banner=False)
                if number % 3 == 1:
                    wire.send(b"EHLO client.example\r\n")
                elif number % 3 == 2:
                    wire.half_close()
                wire.close()

        def all_free() -> bool:
            with contextlib.ExitStack() as held:
                wires = [held.enter_context(server.wire()) for _ in range(20)]
                return all(wire.banner is not None and wire.banner.code == 220 for wire in wires)

        until("all twenty places are free again", all_free, 60, 0.2)
