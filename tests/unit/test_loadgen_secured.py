"""A connection of the load generator under TLS, against the server's layer in memory."""

from pathlib import Path

import pytest

from fastsmtp.loadgen.client_tls import TlsClient
from fastsmtp.loadgen.plan import Plan, Target
from fastsmtp.loadgen.schedule import ClosedLoop
from fastsmtp.loadgen.secured import SecuredSession
from fastsmtp.loadgen.sender import Sender
from fastsmtp.loadgen.session import Session
from fastsmtp.tls.layer import CLEAR_BUFFER, TlsLayer
from tests.fakes.transport import FakeTransport
from tests.tools.tls_pairs import store_for

PLAN = Plan(Target("here", "127.0.0.1", 2525), messages=1, tls="tls")
CLEAR = memoryview(bytearray(CLEAR_BUFFER))


class Told(Sender):
    """Neither opens connections nor ends."""

    def ended(self, session: Session) -> None:
        """Nothing follows."""

    def fill(self) -> None:
        """Nothing begins."""


@pytest.fixture
def sender() -> Sender:
    made = Told(PLAN, 0, lambda tally: None)
    made._schedule = ClosedLoop(0, None)
    return made


@pytest.fixture
def session(sender: Sender) -> SecuredSession:
    made = SecuredSession(sender, 0.0, 0.0, TlsClient(resume=False))
    made.connection_made(FakeTransport(made))
    return made


def wire(session: SecuredSession) -> FakeTransport:
    assert isinstance(session.transport, FakeTransport)
    return session.transport


def hear(session: SecuredSession, data: bytes) -> None:
    session.get_buffer(-1)[: len(data)] = data
    session.buffer_updated(len(data))


def test_a_message_goes_out_under_tls(session: SecuredSession, sender: Sender, tmp_path: Path) -> None:
    layer = TlsLayer(store_for(tmp_path))
    assert session.stage == "tls"

    def said() -> bytes:
        data = wire(session).take()
        return bytes(CLEAR[: layer.receive(memoryview(data), CLEAR)])

    said()
    hear(session, layer.take())
    assert said() == b""
    hear(session, layer.write(b"220 mx\r\n"))
    assert said() == b"EHLO localhost\r\n"
    assert session.stage == "helo"
    hear(session, layer.write(b"250 mx\r\n"))
    assert said() == b"MAIL FROM:<bench@localhost>\r\n"
    assert session.stage == "mail"
    for reply, command in ((b"250 ok\r\n", b"RCPT TO:"), (b"250 ok\r\n", b"DATA"), (b"354 go\r\n", b"")):
        hear(session, layer.write(reply))
        assert said().startswith(command)
    hear(session, layer.write(b"250 taken\r\n"))
    assert said() == b"QUIT\r\n"
    assert (sender.tally.sent, sender.tally.errors) == (1, {})
    assert list(sender.tally.tls.values()) == [1]


def test_what_is_not_tls_ends_it_with_the_reason(session: SecuredSession, sender: Sender) -> None:
    hear(session, b"220 mx\r\n")
    assert wire(session).closing
    session.connection_lost(None)
    assert sender.tally.errors == {"tls: wrong version number": 1}


def test_a_connection_cut_in_the_handshake_is_told_as_such(session: SecuredSession, sender: Sender) -> None:
    session.connection_lost(None)
    assert sender.tally.errors == {"tls: connection closed": 1}
