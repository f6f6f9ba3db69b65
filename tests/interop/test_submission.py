"""A mail program's flow: Python sends a letter with an attachment by STARTTLS and on the TLS port, and it is in the
Maildir as it was sent."""

import base64
import email
import email.policy
import smtplib
import socket
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.system.server import free_port
from tests.tools.chains import Issued
from tests.tools.site import Site, site
from tests.tools.tls_pairs import write_pair
from tests.tools.waiting import until

LOGIN, PASSWORD = "alice@example.org", "corr3ct h0rse"
ATTACHED = bytes(range(256)) * 400
"""100 KB in which every octet occurs; more than is kept in the pack."""


class Place:
    """The server, its ports by the listener's name, and the authority that clients believe."""

    def __init__(self, server: Site, ports: dict[str, int], authority: str) -> None:
        self.server = server
        self.ports = ports
        self.context = ssl.create_default_context(cadata=authority)

    def client(self, listener: str) -> smtplib.SMTP:
        """One that has begun TLS, with the server's name and chain checked, and has logged in."""
        port = self.ports[listener]
        client: smtplib.SMTP
        if listener == "submissions":
            client = smtplib.SMTP_SSL("localhost", port, timeout=20, context=self.context)
        else:
            client = smtplib.SMTP("localhost", port, timeout=20)
            client.starttls(context=self.context)
        client.login(LOGIN, PASSWORD)
        return client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("submission")
    root = Issued("root of the test", authority=True)
    pair = write_pair(folder / "tls", Issued("localhost", root, names=("localhost",)))
    ports = {"submission": free_port(), "submissions": free_port()}
    with site(
        folder / "server",
        listeners=[
            {"address": f"127.0.0.1:{port}", "protocol": name, "hide_client": name == "submissions"}
            for name, port in ports.items()
        ],
        tls={"certificates": [{"cert": pair.cert, "key": pair.key}]},
        accounts={"backend": "embedded"},
    ) as server:
        server.add_account(LOGIN, PASSWORD)
        yield Place(server, ports, root.pem)


def letter() -> EmailMessage:
    """With a text that is not ASCII, and an attachment; without Message-ID and Date, which clients may leave out."""
    written = EmailMessage()
    written["From"], written["To"], written["Subject"] = LOGIN, "bob@example.org", "Grüße"
    written.set_content("Hällo.\n\n.\n..\n")
    written.add_attachment(ATTACHED, maintype="application", subtype="octet-stream", filename="all.bin")
    written.set_boundary("between-the-parts")
    return written


@pytest.mark.parametrize("listener", ["submission", "submissions"])
def test_a_letter_with_an_attachment(place: Place, listener: str) -> None:
    written = letter()
    with place.client(listener) as client:
        assert client.send_message(written) == {}
    maildir = place.server.maildir("bob")
    (mail,) = until("the mail is there", lambda: list(maildir.glob("new/*")), 60)
    raw = mail.read_bytes()
    mail.unlink()
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    assert read["Return-Path"] == f"<{LOGIN}>"
    (received,) = read.get_all("Received", [])
    assert "with ESMTPSA" in received
    shown = listener == "submission"
    assert (received.startswith("from "), "127.0.0.1" in received, "TLSv1.3" in received) == (shown,) * 3
    assert read["Message-ID"].endswith("@mx.example.org>")
    assert read["Date"].datetime is not None
    (attached,) = read.iter_attachments()
    assert attached.get_content() == ATTACHED
    body = read.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == "Hällo.\n\n.\n..\n"
    for field in ("Message-ID", "Date", "Return-Path", "Received"):
        del read[field]
    policy = email.policy.SMTP
    assert read.as_bytes(policy=policy) == written.as_bytes(policy=policy), "nothing else has changed"


def test_somebody_elses_address(place: Place) -> None:
    with place.client("submission") as client:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail("bob@example.org", ["bob@example.org"], b"Subject: x\r\n\r\n")
        assert refused.value.smtp_code == 553
        assert client.sendmail("alice+news@example.org", ["dave@example.org"], b"Subject: x\r\n\r\n") == {}


class Thunderbird:
    """What Thunderbird says, line by line: an address literal in EHLO, STARTTLS where it is offered, BODY before
    SIZE, one command at a time."""

    def __init__(self, place: Place, listener: str) -> None:
        raw = socket.create_connection(("localhost", place.ports[listener]), 20)
        self._context = place.context
        self._socket = raw
        self._lines = raw.makefile("rb")
        if listener == "submissions":
            self._secure()
        assert self.reply()[0] == "220"
        self.offers = self.hello()
        if listener == "submission":
            assert "STARTTLS" in self.offers
            assert not [line for line in self.offers if line.startswith("AUTH")]
            assert self.say("STARTTLS")[0] == "220"
            self._secure()
            self.offers = self.hello()
            assert "STARTTLS" not in self.offers

    def _secure(self) -> None:
        self._socket = self._context.wrap_socket(self._socket, server_hostname="localhost")
        self._lines = self._socket.makefile("rb")

    def hello(self) -> list[str]:
        """What is offered."""
        code, *offers = self.say("EHLO [127.0.0.1]")
        assert code == "250"
        return offers[1:]

    def reply(self) -> list[str]:
        """The code, and the text of each line."""
        lines = [self._lines.readline().decode()]
        while lines[-1][3:4] == "-":
            lines.append(self._lines.readline().decode())
        return [lines[-1][:3], *(line[4:].rstrip("\r\n") for line in lines)]

    def say(self, line: str) -> list[str]:
        """Say a line; the reply."""
        self._socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def log_in(self, mechanism: str) -> None:
        """By PLAIN with its initial response, by LOGIN without one."""
        offered = [line for line in self.offers if line.startswith("AUTH ")]
        assert mechanism in offered[0].split()
        if mechanism == "PLAIN":
            said = [f"AUTH PLAIN {coded(f'{chr(0)}{LOGIN}{chr(0)}{PASSWORD}')}"]
        else:
            said = ["AUTH LOGIN", coded(LOGIN), coded(PASSWORD)]
        *challenges, last = [self.say(line) for line in said]
        assert [code for code, _ in challenges] == ["334"] * len(challenges)
        assert last[0] == "235"

    def send(self, content: bytes, *to: str) -> None:
        """A message, as it stands in the folder of what was sent."""
        assert "8BITMIME" in self.offers
        assert [line for line in self.offers if line.startswith("SIZE ")]
        assert self.say(f"MAIL FROM:<{LOGIN}> BODY=8BITMIME SIZE={len(content)}")[0] == "250"
        for one in to:
            assert self.say(f"RCPT TO:<{one}>")[0] == "250"
        assert self.say("DATA")[0] == "354"
        self._socket.sendall(content.replace(b"\r\n.", b"\r\n.."))
        assert self.say(".")[0] == "250"

    def quit(self) -> None:
        """Until the server has closed."""
        assert self.say("QUIT")[0] == "221"
        assert self._lines.read() == b""
        self._socket.close()


def coded(text: str) -> str:
    """In base64."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("listener", ["submission", "submissions"])
def test_the_lines_of_thunderbird(place: Place, listener: str, mechanism: str) -> None:
    written = letter()
    content = written.as_bytes(policy=email.policy.SMTP)
    assert b"Content-Transfer-Encoding: base64\r\n" in content
    client = Thunderbird(place, listener)
    client.log_in(mechanism)
    client.send(content, "bob@example.org", "carol@example.org")
    client.send(content, "carol@example.org")
    client.quit()
    boxes = [place.server.maildir("bob"), *[place.server.maildir("carol")] * 2]
    mails = until("all of it is there", lambda: len(found := standing(boxes)) == len(boxes) and found, 60)
    for mail in mails:
        read = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
        mail.unlink()
        assert isinstance(read, EmailMessage)
        assert [one.get_content() for one in read.iter_attachments()] == [ATTACHED]


def standing(boxes: list[Path]) -> list[Path]:
    """The files in these mailboxes."""
    return [file for box in sorted(set(boxes)) for file in box.glob("new/*")]
