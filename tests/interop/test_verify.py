"""Debian's Postfix asked for its users before their mail is taken."""

import smtplib
from pathlib import Path

from tests.interop.test_delivery import SecurePostfix
from tests.interop.test_relay import inbox, postfix
from tests.system.server import RunningServer, wait_until

__all__ = ["postfix"]


def test_whom_postfix_knows(postfix: SecurePostfix, tmp_path: Path) -> None:
    server = RunningServer(
        tmp_path,
        workers=1,
        relay={"domains": ["bench.test"], "recipients": "verify"},
        routes=[{"match": "bench.test", "to": f"127.0.0.1:{postfix.port}", "tls": "encrypt"}],
    )
    with server, smtplib.SMTP(*server.address, timeout=20) as client:
        client.ehlo("client.test")
        client.mail("s@far.test")
        assert client.rcpt("u0001@bench.test")[0] == 250
        code, text = client.rcpt("nobody-here@bench.test")
        assert code == 550
        assert text.startswith(
            b"5.1.1 the next hop says: 550 <nobody-here@bench.test>: Recipient address rejected"
        )
        client.data("Subject: x\r\n\r\nhello\r\n")
        wait_until(lambda: inbox(postfix, "u0001"), "the message")
        postfix.stop()
        client.mail("s@far.test")
        assert client.rcpt("u0001@bench.test")[0] == 250
        assert client.rcpt("u0002@bench.test")[0] == 450
    assert len(inbox(postfix, "u0001")) == 1
