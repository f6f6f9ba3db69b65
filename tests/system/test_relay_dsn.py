"""What senders ask to be told of (RFC 3461), by the real program."""

import email
import smtplib
from email.message import Message
from pathlib import Path
from typing import Any

from tests.fakes.scripted_peer import ScriptedPeer
from tests.system.server import RunningServer, wait_until


def relay(folder: Path, port: int) -> RunningServer:
    """A server whose ``team`` is two people, and which sends mail for other hosts to ``port``."""
    return RunningServer(
        folder,
        relay={"networks": ["127.0.0.0/8"]},
        routes=[{"match": "*", "to": f"127.0.0.1:{port}"}],
        aliases={'"team@test.example"': ["bob@test.example", "x@far.test"]},
        queue={"retry": ["1s"]},
    )


def send(server: RunningServer, to: str, *parameters: str) -> None:
    """One message of alice's."""
    with smtplib.SMTP(*server.address, timeout=20) as client:
        client.ehlo()
        assert client.has_extn("dsn")
        assert client.mail("alice@test.example", ["ENVID=QQ314159"])[0] == 250
        assert client.rcpt(to, list(parameters))[0] == 250
        assert client.data(b"Subject: with wishes\r\n\r\nx\r\n")[0] == 250


def report(server: RunningServer) -> tuple[Message, Any, Any]:
    """The one notice in alice's mailbox: itself, its fields about the message, and those about the recipient."""
    box = server.mail / "test.example/alice/new"
    wait_until(lambda: box.exists() and list(box.iterdir()), "the notice")
    [file] = box.iterdir()
    notice = email.message_from_bytes(file.read_bytes())
    parts: Any = notice.get_payload()
    about, recipient = parts[1].get_payload()
    assert parts[2].get_content_type() == "text/rfc822-headers"
    assert "Subject: with wishes" in parts[2].get_payload()
    return notice, about, recipient


def test_a_delivery_into_a_mailbox(tmp_path: Path) -> None:
    with relay(tmp_path, 9) as server:
        send(server, "bob@test.example", "NOTIFY=SUCCESS", "ORCPT=rfc822;Bob@elsewhere.test")
        notice, about, recipient = report(server)
        assert server.stop() == 0
    assert notice["Return-Path"] == "<>"
    assert about["Original-Envelope-Id"] == "QQ314159"
    assert recipient["Action"] == "delivered"
    assert recipient["Original-Recipient"] == "rfc822; Bob@elsewhere.test"
    assert recipient["Status"].startswith("2.")


def test_an_address_that_stands_for_several(tmp_path: Path) -> None:
    with ScriptedPeer() as peer, relay(tmp_path, peer.port) as server:
        send(server, "team@test.example", "NOTIFY=SUCCESS,FAILURE")
        _, _, recipient = report(server)
        wait_until(lambda: peer.bodies, "the message is there")
        assert server.stop() == 0
    assert recipient["Action"] == "expanded"
    assert recipient["Final-Recipient"] == "rfc822; team@test.example"


def test_a_host_that_will_not_tell(tmp_path: Path) -> None:
    with ScriptedPeer() as peer, relay(tmp_path, peer.port) as server:
        send(server, "b@far.test", "NOTIFY=SUCCESS")
        _, _, recipient = report(server)
        assert server.stop() == 0
    assert recipient["Action"] == "relayed"


def test_a_host_that_will_tell_is_asked_to(tmp_path: Path) -> None:
    with ScriptedPeer(extensions=["PIPELINING", "DSN"]) as peer, relay(tmp_path, peer.port) as server:
        send(server, "b@far.test", "NOTIFY=SUCCESS", "ORCPT=rfc822;b@far.test")
        server.wait_log(r" sent id=")
        assert server.stop() == 0
        assert " notified " not in server.log
    assert "RCPT TO:<b@far.test> NOTIFY=SUCCESS ORCPT=rfc822;b@far.test" in peer.commands
    assert any(line.startswith("MAIL") and "ENVID=QQ314159" in line for line in peer.commands)


def test_who_wants_to_hear_nothing_hears_nothing(tmp_path: Path) -> None:
    with ScriptedPeer({"rcpt": "550 5.1.1 no"}) as peer, relay(tmp_path, peer.port) as server:
        send(server, "b@far.test", "NOTIFY=NEVER")
        server.wait_log(r'untold id=\S+ to=<b@far.test> reason="the sender asked not to be told"')
        assert server.stop() == 0
        assert " notified " not in server.log
