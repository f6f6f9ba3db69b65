"""A mail program's flow: Python sends a letter with an attachment by STARTTLS and on the TLS port, and it is in the
Maildir as it was sent."""

import email
import email.policy
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage

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
    (mail,) = until("the mail is there", lambda: list(maildir.glob("new/*")), 20)
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
