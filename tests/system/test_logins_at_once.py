"""Very many logins with wrong passwords, and very long ones: memory stays bounded, and all others are served."""

import base64
import select
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fastsmtp.accounts.settings import HashSettings
from tests.tools.site import Site, site
from tests.tools.wire import Wire

CROWD = 200
WAITING = 16
WORKERS = 2
LOGIN, PASSWORD = "alice@example.org", "secret"
SLACK = 24 << 20
"""Octets for everything but hashes: the sessions, and what the allocator keeps."""
HASHES = WORKERS * HashSettings().threads * HashSettings().memory * 1024


def plain(password: bytes) -> bytes:
    """The initial response of PLAIN."""
    return base64.b64encode(b"\0" + LOGIN.encode() + b"\0" + password)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(
        tmp_path_factory.mktemp("crowd"),
        workers=WORKERS,
        accounts={"backend": "embedded"},
        auth={"clear_on_loopback": True},
        limits={"loopback_exempt": True},
        **{"accounts.hash": {"waiting": WAITING}},
    ) as running:
        running.add_account(LOGIN, PASSWORD)
        with running.wire() as wire:  # what the first hash makes the workers load
            wire.hello()
            wire.expect(b"AUTH PLAIN " + plain(b"wrong"), "535 5.7.8")
        yield running


def connected(server: Site, stack: ExitStack, count: int) -> list[Wire]:
    """So many sessions behind EHLO."""
    wires = [stack.enter_context(server.wire(timeout=30)) for _ in range(count)]
    for wire in wires:
        wire.hello()
    return wires


def test_a_crowd_with_wrong_passwords(server: Site) -> None:
    with ExitStack() as stack:
        others = connected(server, stack, 8)
        crowd = connected(server, stack, CROWD)
        before, most = server.memory(), 0
        for wire in crowd:
            wire.send(b"AUTH PLAIN " + plain(b"wrong") + b"\r\n")
        waiting = {wire.socket: wire for wire in crowd}
        heard: list[str] = []
        rounds = 0
        while waiting:
            for wire in others:
                wire.expect("NOOP", "250")
            most = max(most, server.memory())
            rounds += 1
            for ready in select.select(list(waiting), [], [], 0.05)[0]:
                heard.append(waiting.pop(ready).answer().brief)
        assert len(heard) == CROWD
        assert set(heard) == {"535 5.7.8", "454 4.7.0"}
        assert heard.count("535 5.7.8") >= WAITING, "who may wait gets an answer"
        assert rounds > 1, "the others were served meanwhile"
        assert most - before < HASHES + SLACK
        crowd[0].expect(b"AUTH PLAIN " + plain(PASSWORD.encode()), "235")


@pytest.mark.parametrize(
    "first", [b"AUTH PLAIN ", b"AUTH PLAIN\r\n"], ids=["in the command", "as a response"]
)
def test_a_password_of_a_megabyte(server: Site, first: bytes) -> None:
    with ExitStack() as stack:
        wires = connected(server, stack, 20)
        before = server.memory()
        for wire in wires:
            if first.endswith(b"\n"):
                wire.expect(first[:-2], "334")
                wire.send(plain(bytes(1 << 20)) + b"\r\n")
            else:
                wire.send(first + plain(bytes(1 << 20)) + b"\r\n")
            assert wire.answer().brief == "500 5.5.2"
            assert wire.at_end()
        assert server.memory() - before < 8 << 20
    with server.wire() as wire:
        wire.hello()
        wire.expect(b"AUTH PLAIN " + plain(PASSWORD.encode()), "235")
