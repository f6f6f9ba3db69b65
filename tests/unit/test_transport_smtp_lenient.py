"""Mail that says `TLS-Required: No` goes without what its destination asks for, and without nothing else."""

import os
import ssl
import tempfile
from typing import Any

import pytest

from fastsmtp.dns.base import Tlsa
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.transport.smtp.connection import Content, FileContent
from fastsmtp.transport.smtp.lenient import HEAD_LIMIT, failed_by_tls, lenient, says_no
from fastsmtp.transport.smtp.place import Place
from tests.fakes.outbound import MESSAGE, World, envelope, place, protection, run, target
from tests.fakes.scripted_peer import Act, ScriptedPeer
from tests.tools.certificates import Authority

WILLING = b"TLS-Required: No\r\n" + MESSAGE
STS = protection("verify", names=("mx1.far.test",), sni="mx1.far.test", policy="sts", asserted=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return Authority(tmp_path_factory.mktemp("ca")).server("mx1.far.test")


def sent(where: Place, content: Content = WILLING, times: int = 1) -> list[DeliveryResult]:
    async def attempt() -> list[DeliveryResult]:
        async with World() as world:
            return [(await world.send(where, envelope(), content))[0][0] for _ in range(times)]

    return run(attempt())


@pytest.mark.parametrize(
    ("field", "no"),
    [
        (b"TLS-Required: No", True),
        (b"tls-required:no ", True),
        (b"TLS-Required:\r\n No", True),
        (b"TLS-Required: Yes", False),
        (b"TLS-Required: None", False),
        (b"X-TLS-Required: No", False),
        (b"Subject: x\r\n TLS-Required: No", False),
        (b"Subject: x\r\n\r\nTLS-Required: No", False),
    ],
)
def test_the_field(field: bytes, no: bool) -> None:
    message = b"From: <a@near.test>\r\n" + field + b"\r\nTo: <b@far.test>\r\n\r\nhello\r\n"
    assert says_no(message) is no
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + message)
        file.flush()
        assert says_no(FileContent(file.fileno(), 6, len(message))) is no


def test_no_more_than_a_header_is_looked_at() -> None:
    assert not says_no(b"X: " + b"x" * HEAD_LIMIT + b"\r\nTLS-Required: No\r\n\r\n")


def test_what_fails_by_tls() -> None:
    def one(stage: str, enhanced: str) -> bool:
        return failed_by_tls(Outcome("deferred", 0, enhanced, "no", stage, True))

    assert one("tls", "4.7.5")
    assert one("starttls", "4.7.0")
    assert one("helo", "4.7.4")
    assert not one("helo", "4.7.1")
    assert not one("connect", "4.4.1")


def test_what_somebody_here_asks_for_stands() -> None:
    with ScriptedPeer() as peer:
        ours = target(peer, protection("verify", names=("mx.far.test",)))
        assert lenient(Place("s", [ours])) is None
        found = lenient(Place("s", [ours, target(peer, STS)]))
    assert found is not None
    assert found.targets[0] == ours
    assert (found.targets[1].needs.level, found.targets[1].needs.names) == ("may", ())
    assert lenient(found) is None


@pytest.mark.parametrize(
    "needs",
    [
        STS,
        protection("dane", tlsa=(Tlsa(3, 0, 1, b"x" * 32),), policy="tlsa", asserted=True),
        protection("verify", policy="sts", refused="not among its hosts", enhanced="4.7.5", asserted=True),
    ],
)
@pytest.mark.parametrize("offered", [True, False])
def test_mail_goes_with_what_tls_there_is(needs: Any, offered: bool, server: ssl.SSLContext) -> None:
    with ScriptedPeer(tls=server if offered else None) as peer:
        assert [one.status for one in sent(place(peer, needs=needs), times=3)] == ["relayed"] * 3
    assert peer.verbs().count("MAIL") == 3
    assert ("STARTTLS" in peer.verbs()) == offered


def test_without_the_field_it_waits(server: ssl.SSLContext) -> None:
    with ScriptedPeer(tls=server) as peer:
        (result,) = sent(place(peer, needs=STS), MESSAGE)
    assert (result.status, result.enhanced) == ("deferred", "4.7.5")
    assert "MAIL" not in peer.verbs()


def test_a_connection_without_is_never_given_to_mail_that_needs_more(server: ssl.SSLContext) -> None:
    async def attempt(where: Place) -> None:
        async with World() as world:
            assert (await world.send(where, envelope(), WILLING))[0][0].status == "relayed"
            assert len(world.transport.pool) == 1
            assert (await world.send(where, envelope(), MESSAGE))[0][0].status == "deferred"
            assert len(world.transport.pool) == 1

    with ScriptedPeer(tls=server) as peer:
        run(attempt(place(peer, needs=STS)))
    assert peer.verbs().count("MAIL") == 1


def test_what_fails_otherwise_is_not_tried_again() -> None:
    with ScriptedPeer({"greeting": "421 busy"}) as peer:
        (result,) = sent(place(peer, needs=STS))
        assert (result.status, result.code) == ("deferred", 421)
    assert peer.connections == 1


def test_a_host_that_fails_all_the_same_is_told_of_with_both_reasons() -> None:
    with ScriptedPeer({}, {"greeting": Act.CLOSE}) as peer:
        (result,) = sent(place(peer, needs=STS))
    assert (result.status, result.enhanced) == ("deferred", "4.4.2")
    assert "does not offer it" in result.text
    assert "closed the connection" in result.text


def test_a_file_that_cannot_be_read_is_no_word() -> None:
    read, write = os.pipe()
    with ScriptedPeer() as peer:
        (result,) = sent(place(peer, needs=STS), FileContent(read, 0, 10))
    os.close(read)
    os.close(write)
    assert (result.status, result.enhanced) == ("deferred", "4.7.4")
