"""The whole way: our server takes mail for a domain that lives on Debian's Postfix."""

import email
import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require_program
from tests.interop.test_delivery import NAME, SecurePostfix, needs_root
from tests.system.server import RunningServer, free_port, wait_until
from tests.tools.certificates import Authority
from tests.tools.site import public_folder


@pytest.fixture
def postfix() -> Iterator[SecurePostfix]:
    require_program("postfix")
    needs_root()
    with public_folder() as folder:
        server = SecurePostfix(folder, free_port(), 20)
        server.certificate = Authority(folder).issue(NAME)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def relay(folder: Path, postfix: SecurePostfix) -> RunningServer:
    """Mail for bench.test goes to ``postfix``, always encrypted."""
    return RunningServer(
        folder,
        relay={"networks": ["127.0.0.0/8"]},
        routes=[{"match": "bench.test", "to": f"127.0.0.1:{postfix.port}", "tls": "encrypt"}],
        queue={"retry": ["1s", "2s"], "jitter": 0.0},
    )


def send(server: RunningServer, to: list[str], text: str, count: int = 1) -> None:
    with smtplib.SMTP(*server.address, timeout=20) as client:
        for number in range(count):
            client.sendmail("alice@test.example", to, f"Subject: {number}\r\n\r\n{text}\r\n")


def inbox(postfix: SecurePostfix, user: str) -> list[bytes]:
    box = postfix.inbox(user)
    return [file.read_bytes() for file in box.iterdir()] if box.exists() else []


def test_mail_arrives_once_and_encrypted(postfix: SecurePostfix, tmp_path: Path) -> None:
    with relay(tmp_path, postfix) as server:
        send(server, ["u0001@bench.test"], "one of many", 60)
        send(server, ["u0001@bench.test", "u0002@bench.test"], "line of text\r\n" * 30_000)
        wait_until(lambda: len(inbox(postfix, "u0001")) >= 61, "all has arrived")
        wait_until(lambda: len(inbox(postfix, "u0002")) >= 1, "the other one too")
        found = inbox(postfix, "u0001")
        assert len(found) == 61
        assert len({text[text.index(b"Subject:") :] for text in found}) == 61
        assert all(b"Received: from client" not in text for text in found)
        assert all(b"by mx.test.example (fastsmtp) with ESMTP" in text for text in found)
        assert all(text.count(b"Return-Path:") == 1 for text in found)
        assert server.stop() == 0
        assert " deferred " not in server.log


def test_what_postfix_refuses_comes_back(postfix: SecurePostfix, tmp_path: Path) -> None:
    with relay(tmp_path, postfix) as server:
        send(server, ["nobody-here@bench.test", "u0003@bench.test"], "for two")
        box = server.mail / "test.example/alice/new"
        wait_until(lambda: box.exists() and list(box.iterdir()), "the bounce")
        wait_until(lambda: inbox(postfix, "u0003"), "the other one has it")
        [file] = box.iterdir()
        assert server.stop() == 0
    parts: Any = email.message_from_bytes(file.read_bytes()).get_payload()
    _, recipient = parts[1].get_payload()
    assert recipient["Final-Recipient"] == "rfc822; nobody-here@bench.test"
    assert recipient["Status"] == "5.1.1"
    assert "User unknown" in recipient["Diagnostic-Code"]


def test_mail_waits_while_postfix_is_away(postfix: SecurePostfix, tmp_path: Path) -> None:
    postfix.stop()
    with relay(tmp_path, postfix) as server:
        send(server, ["u0004@bench.test"], "later", 20)
        server.wait_log(r" deferred id=.*Connection refused")
        postfix.start()
        wait_until(lambda: len(inbox(postfix, "u0004")) >= 20, "all has arrived", 40)
        wait_until(lambda: server.log.count(" sent id=") == 20, "all is logged")
        assert len(inbox(postfix, "u0004")) == 20
        assert server.stop() == 0
