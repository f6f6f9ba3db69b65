"""Runs the dialogues of logins/ in memory, on both implementations; see README.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.sasl import scram_server
from fastsmtp.session import connection, listener, session
from fastsmtp.session.auth import Channel
from tests.dialogs.test_dialogs import HOSTNAME, LIMITS, MemoryLine, below_our_fields, parse, play
from tests.fakes.accounts import FakeAuthenticator
from tests.fakes.logins import FakeTokens
from tests.fakes.service import World
from tests.fakes.session import IMPLEMENTATIONS

NONCE = "3rfcNHYJY1ZVvWVs7j"
END_POINT = bytes(range(32))
DIALOGUES = {
    path.stem: parse(path.read_text()) for path in sorted(Path(__file__).parent.glob("logins/*.dialog"))
}


def under_tls(ip: str, tls: object) -> Channel:
    """What logging in sees: TLS, as if it were there."""
    return Channel(ip, True, False, END_POINT)


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("core", sorted(IMPLEMENTATIONS))
def test_logins(monkeypatch: pytest.MonkeyPatch, core: str, name: str, cut: int) -> None:
    make: Callable[..., Any] = IMPLEMENTATIONS[core]
    monkeypatch.setattr(connection, "ServerProtocol", make)
    monkeypatch.setattr(listener, "channel", under_tls)
    monkeypatch.setattr(session, "channel", under_tls)
    monkeypatch.setattr(scram_server.secrets, "token_urlsafe", lambda size: NONCE)
    accounts = FakeAuthenticator({"alice@local.test": "secret"}, home="local.test")
    world = World(
        hostname=HOSTNAME,
        authenticator=accounts,
        tokens=FakeTokens("alice@local.test"),
        clear_on_loopback=True,  # or nobody would be asked what there is in clear
        **LIMITS,
    )
    line = MemoryLine(world, cut)
    play(DIALOGUES[name].steps, line)
    line._transport.lose()
    arrived = [
        (recipient.mailbox.partition("@")[0], below_our_fields(whole))
        for envelope, whole in world.spool.stored
        for recipient in envelope.recipients
    ]
    assert arrived == DIALOGUES[name].mail
    assert not any("internal error" in text or "secret" in text for text in world.logged())
    world.close()
