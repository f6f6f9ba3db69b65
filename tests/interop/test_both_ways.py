"""Our server and Debian's Postfix relay to each other; and our server hands mail to Dovecot by LMTP.

Postfix has the mailboxes of bench.test and sends everything else to our server, which has those of test.example and
sends bench.test to Postfix: a notice finds its way back from either end.
"""

import email
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import require_program
from tests.interop.test_delivery import NAME, SecurePostfix, dovecot, needs_root, stored
from tests.interop.test_relay import inbox
from tests.system.server import RunningServer, free_port, wait_until
from tests.tools.certificates import Authority
from tests.tools.site import public_folder

TEXT = "Subject: plain\r\n\r\n.one dot\r\n..two\r\nend\r\n"
EIGHT = b"Subject: eight\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
LARGE = (
    EIGHT.replace(b"eight", b"large")
    + "käse und grüße, siebzig Zeichen oder so, eine ganze Zeile\r\n".encode() * 160_000
)
"""10 MB."""


class Neighbour(SecurePostfix):
    """A Postfix that sends to port ``relay`` what is not its own, and hides ``hidden`` of its extensions."""

    relay: int
    hidden = ""

    def _main_cf(self) -> str:
        return super()._main_cf() + (
            f"relayhost = [127.0.0.1]:{self.relay}\n"
            f"smtpd_discard_ehlo_keywords = {self.hidden}\n"
            "smtpd_relay_restrictions = permit_mynetworks, reject\n"
        )


class Pair(NamedTuple):
    """Both servers."""

    ours: RunningServer
    postfix: Neighbour

    def send(
        self, to: str, text: bytes | str = TEXT, *, via: str, sender: str = "alice@test.example", **more: Any
    ) -> None:
        """One message into ``via``: ours, or Postfix."""
        address = self.ours.address if via == "ours" else ("127.0.0.1", self.postfix.port)
        with smtplib.SMTP(*address, timeout=30) as client:
            client.sendmail(sender, [to], text, more.get("mail", ()), more.get("rcpt", ()))

    def here(self, user: str) -> list[bytes]:
        """What has come into a mailbox of ours."""
        box = self.ours.mail / "test.example" / user / "new"
        return [file.read_bytes() for file in box.iterdir()] if box.exists() else []

    def there(self, user: str) -> list[bytes]:
        """What has come into a mailbox of Postfix's."""
        return inbox(self.postfix, user)


@contextmanager
def pair(folder: Path, hidden: str = "") -> Iterator[Pair]:
    require_program("postfix")
    needs_root()
    with public_folder() as public:
        ours = RunningServer(folder, relay={"networks": ["127.0.0.0/8"]}, queue={"retry": ["1s"]})
        postfix = Neighbour(public, free_port(), 20)
        postfix.relay, postfix.hidden = ours.port, hidden
        postfix.certificate = Authority(public).issue(NAME)
        ours.settings["routes"] = [{"match": "bench.test", "to": f"127.0.0.1:{postfix.port}"}]
        with ours:
            try:
                postfix.start()
                yield Pair(ours, postfix)
            finally:
                postfix.stop()
        assert "internal error" not in ours.log


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("both")) as both:
        yield both


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The same with a Postfix that takes seven bits and knows nothing of notices."""
    with pair(tmp_path_factory.mktemp("bare"), "dsn, 8bitmime, smtputf8") as both:
        yield both


def below(text: bytes) -> bytes:
    """A message without the fields that servers have put before it, with CRLF."""
    whole = text[text.index(b"Subject:") :]
    return whole if b"\r\n" in whole else whole.replace(b"\n", b"\r\n")


def only(found: Any, what: str) -> bytes:
    """The one message that comes."""
    wait_until(found, what, 40)
    (text,) = found()
    return bytes(text)


def notice(text: bytes) -> tuple[Message, Any]:
    """The fields of a notice about the message and about its recipient."""
    report = email.message_from_bytes(text)
    assert report.get_content_type() == "multipart/report"
    assert report["Return-Path"] in ("<>", None)
    parts: Any = report.get_payload()
    about, recipient = parts[1].get_payload()
    return about, recipient


WISHES: dict[str, Any] = {
    "mail": ["ENVID=QQ314159", "RET=HDRS"],
    "rcpt": ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first@elsewhere.test"],
}

# --- from ours to Postfix ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "text"), [("u0010", EIGHT + "käse\r\n".encode()), ("u0011", LARGE)])
def test_eight_bits_go_to_postfix_as_they_are(both: Pair, user: str, text: bytes) -> None:
    both.send(f"{user}@bench.test", text, via="ours", mail=["BODY=8BITMIME"])
    assert below(only(lambda: both.there(user), "it is there")) == text


def test_utf_8_addresses_go_to_postfix(both: Pair) -> None:
    text = "Subject: grüße\r\n\r\nkäse\r\n".encode()
    both.send(
        "u0012@bench.test", text, via="ours", sender="jürgen@näher.test", mail=["SMTPUTF8", "BODY=8BITMIME"]
    )
    arrived = only(lambda: both.there("u0012"), "it is there")
    assert below(arrived) == text
    assert "jürgen@näher.test".encode() in arrived[: arrived.index(b"\n")], "Return-Path"


def test_postfix_tells_of_the_delivery(both: Pair) -> None:
    """It offers DSN, so the wishes are passed on, and who is told is its matter (RFC 3461 §5.2.2)."""
    both.send("u0013@bench.test", via="ours", sender="teller@test.example", **WISHES)
    about, recipient = notice(only(lambda: both.here("teller"), "the notice"))
    assert about["Reporting-MTA"] == "dns; postfix.bench.test"
    assert about["Original-Envelope-Id"] == "QQ314159"
    assert recipient["Action"] == "delivered"
    assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;first@elsewhere.test"
    told = [line for line in both.ours.log.splitlines() if " notified " in line and "teller@" in line]
    assert not told, "of other tests' mail it may have told"


def test_we_tell_of_the_relaying_to_a_postfix_without_dsn(bare: Pair) -> None:
    bare.send("u0014@bench.test", via="ours", sender="teller@test.example", **WISHES)
    about, recipient = notice(only(lambda: bare.here("teller"), "the notice"))
    assert about["Reporting-MTA"] == "dns; mx.test.example"
    assert about["Original-Envelope-Id"] == "QQ314159"
    assert recipient["Action"] == "relayed"
    assert recipient["Remote-MTA"].startswith("dns; ")


@pytest.mark.parametrize(("user", "text"), [("u0015", EIGHT + "käse\r\n".encode()), ("u0016", LARGE)])
def test_a_postfix_of_seven_bits_gets_them(bare: Pair, user: str, text: bytes) -> None:
    bare.send(f"{user}@bench.test", text, via="ours", mail=["BODY=8BITMIME"])
    arrived = below(only(lambda: bare.there(user), "it is there"))
    assert arrived.isascii()
    wanted = email.message_from_bytes(text).get_payload(decode=True)
    found = email.message_from_bytes(arrived).get_payload(decode=True)
    assert isinstance(found, bytes)
    assert isinstance(wanted, bytes)
    assert found.replace(b"\r\n", b"\n") == wanted.replace(b"\r\n", b"\n")


def test_utf_8_addresses_come_back_from_a_postfix_without_smtputf8(bare: Pair) -> None:
    bare.send("grüße@bench.test", via="ours", sender="writer@test.example", mail=["SMTPUTF8"])
    _, recipient = notice(only(lambda: bare.here("writer"), "the bounce"))
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "5.6.7"


# --- from Postfix to ours ------------------------------------------------------------------------------------------


def test_postfix_sends_message_after_message(both: Pair) -> None:
    for number in range(30):
        both.send("many@test.example", TEXT.replace("plain", f"n{number}"), via="postfix")
    wait_until(lambda: len(both.here("many")) >= 30, "all has come", 40)
    found = sorted(below(text) for text in both.here("many"))
    assert found == sorted(TEXT.replace("plain", f"n{number}").encode() for number in range(30))


def test_postfix_sends_eight_bits_and_much(both: Pair) -> None:
    both.send("large@test.example", LARGE, via="postfix", mail=["BODY=8BITMIME"])
    assert below(only(lambda: both.here("large"), "it has come")) == LARGE


def test_postfix_sends_utf_8_addresses(both: Pair) -> None:
    text = "Subject: grüße\r\n\r\nkäse\r\n".encode()
    both.send(
        "utf8@test.example",
        text,
        via="postfix",
        sender="jürgen@näher.test",
        mail=["SMTPUTF8", "BODY=8BITMIME"],
    )
    arrived = only(lambda: both.here("utf8"), "it has come")
    assert below(arrived) == text
    assert arrived.startswith("Return-Path: <jürgen@näher.test>".encode())
    assert b"with UTF8SMTP" in arrived


def test_we_tell_postfix_s_sender_of_the_delivery(both: Pair) -> None:
    both.send("told@test.example", via="postfix", sender="u0017@bench.test", **WISHES)
    about, recipient = notice(only(lambda: both.there("u0017"), "the notice"))
    assert about["Reporting-MTA"] == "dns; mx.test.example"
    assert about["Original-Envelope-Id"] == "QQ314159"
    assert recipient["Action"] == "delivered"
    assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;first@elsewhere.test"


# --- Dovecot -------------------------------------------------------------------------------------------------------


def test_a_route_to_dovecot(tmp_path: Path) -> None:
    require_program("dovecot")
    needs_root()
    if not Path("/usr/lib/dovecot/lmtp").exists():
        pytest.skip("Dovecot's LMTP server is not installed (Debian: dovecot-lmtpd)")
    port = free_port()
    routes = [{"match": "far.test", "to": f"lmtp:127.0.0.1:{port}"}]
    server = RunningServer(tmp_path, relay={"networks": ["127.0.0.0/8"]}, routes=routes)
    with public_folder() as public, dovecot(public, port) as mail, server:
        with smtplib.SMTP(*server.address, timeout=30) as client:
            client.sendmail("alice@test.example", ["bob@far.test", "carol@far.test"], TEXT, ["BODY=8BITMIME"])
            client.sendmail("alice@test.example", ["large@far.test"], LARGE, ["BODY=8BITMIME"])
        for user, text in (("bob", TEXT.encode()), ("carol", TEXT.encode()), ("large", LARGE)):
            assert stored(mail / user / "new") == text.replace(b"\r\n", b"\n")
        wait_until(lambda: server.log.count(" sent id=") == 3, "all is logged")
        assert server.stop() == 0
