"""Foreign clients: swaks, smtp-source, smtplib and msmtp send; what they sent stands in the Maildir."""

import email
import email.policy
import smtplib
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.tools import arrived, audit
from tests.tools.arrived import Arrived
from tests.tools.site import Site, site
from tests.tools.waiting import until

MANY = ["many", "2many", "3many", "4many", "5many"]
"""How smtp-source calls five recipients."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    users = ["swaks", "source", "python", "msmtp", "alice", "bob", "j\u00f6rg"]
    users += MANY
    mailboxes = {"users": users, "postmaster": "alice"}
    with site(tmp_path_factory.mktemp("clients"), workers=2, mailboxes=mailboxes) as server:
        yield server
        server.stop_in_order()
        assert audit.left_behind(server.data, server.mail) == []


def ran(*command: "str | Path", text: bytes = b"") -> str:
    """Run a client, which must succeed; returns all it said."""
    done = subprocess.run([str(each) for each in command], input=text, capture_output=True, timeout=60)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    return said


def new_mail(server: Site, user: str, count: int = 1, seconds: float = 60) -> list[Arrived]:
    """The messages of this user, once there are ``count``; they are taken away for the next test."""
    maildir = server.maildir(user)

    def enough() -> bool:
        return sum(1 for _ in maildir.glob("new/*")) >= count

    until(f"{count} messages for {user}", enough, seconds, 0.1)
    found = arrived.messages(maildir)
    assert len(found) == count
    for each in found:
        each.path.unlink()
    return found


def parsed(message: Arrived) -> EmailMessage:
    """The message as Python's own parser sees it."""
    return email.message_from_bytes(message.content, policy=email.policy.default)


# --- swaks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--pipeline",), ("--protocol", "SMTP")], ids=str)
def test_swaks(server: Site, tmp_path: Path, options: tuple[str, ...]) -> None:
    swaks = require_program("swaks")
    attachment = tmp_path / "data.bin"
    attachment.write_bytes(bytes(range(256)) * 40)
    to = ("--from", "s@client.example", "--to", "swaks@example.org", "--server", f"127.0.0.1:{server.port}")
    said = ran(swaks, *to, "--header", "Subject: plain", "--body", "one\n.\n..two\n", *options)
    (plain,) = new_mail(server, "swaks")
    assert f"queued as {plain.queue_id}" in said
    assert plain.return_path == "s@client.example"
    assert parsed(plain)["Subject"] == "plain"
    assert plain.content.endswith(b"one\r\n.\r\n..two\r\n\r\n\r\n")
    ran(swaks, *to, "--header", "Subject: attached", "--attach", f"@{attachment}", *options)
    (attached,) = new_mail(server, "swaks")
    parts = [part.get_content() for part in parsed(attached).walk() if part.get_filename()]
    assert parts == [attachment.read_bytes()]


# --- smtp-source --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("-d",)], ids=["a connection each", "kept connections"])
def test_smtp_source(server: Site, options: tuple[str, ...]) -> None:
    source = require_program("smtp-source")
    count = "2000"
    ran(
        *(source, *options, "-s", "20", "-m", count, "-l", "4096"),
        *("-f", "load@client.example", "-t", "source@example.org", f"127.0.0.1:{server.port}"),
    )
    found = new_mail(server, "source", int(count), 60)
    assert len({each.queue_id for each in found}) == int(count)
    assert {each.return_path for each in found} == {"load@client.example"}
    assert all(len(each.content) >= 4096 for each in found)


def test_smtp_source_with_many_recipients(server: Site) -> None:
    """It puts a number before each recipient's name."""
    source = require_program("smtp-source")
    ran(
        *(source, "-s", "5", "-m", "50", "-r", str(len(MANY)), "-l", "1000"),
        *("-t", "many@example.org", f"127.0.0.1:{server.port}"),
    )
    ids = [{each.queue_id for each in new_mail(server, user, 50)} for user in MANY]
    assert all(each == ids[0] for each in ids)
    assert len(ids[0]) == 50


# --- smtplib ------------------------------------------------------------------------------------


def test_smtplib(server: Site) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "p@client.example",
        "python@example.org",
        "Gr\u00fc\u00dfe",
    )
    message.set_content("first line\n.\nlast line \u20ac\n")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        client.send_message(message)
        assert client.has_extn("pipelining")
        assert client.noop()[0] == 250
        assert client.rset()[0] == 250
        assert client.verify("python")[0] == 252
        assert client.help()
        refused = client.sendmail(
            "p@client.example", ["python@example.org", "no@example.org"], "Subject: x\n\ny"
        )
    assert set(refused) == {"no@example.org"}
    first, second = sorted(new_mail(server, "python", 2), key=lambda each: b"Subject: x" in each.content)
    assert parsed(first)["Subject"] == "Gr\u00fc\u00dfe"
    assert parsed(first).get_content().splitlines() == message.get_content().splitlines()
    assert second.content == b"Subject: x\r\n\r\ny\r\n"


def test_smtplib_errors(server: Site) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("p@client.example", ["a@elsewhere.example"], "Subject: x\n\ny")
        code, text = refused.value.recipients["a@elsewhere.example"]
        assert (code, text[:6]) == (550, b"5.7.1 ")
        client.sendmail("p@client.example", ["python@example.org"], "Subject: x\n\ny")
    new_mail(server, "python")


def test_smtplib_with_international_addresses(server: Site) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "j\u00fcrgen@client.example", "j\u00f6rg@example.org"
    message["Subject"] = "\u4f60\u597d"
    message.set_content("\u4f60\u597d\n", cte="8bit")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        client.send_message(message)
    (found,) = new_mail(server, "j\u00f6rg")
    assert found.return_path == "j\u00fcrgen@client.example"
    assert b"with UTF8SMTP" in found.received
    assert parsed(found)["Subject"] == "\u4f60\u597d"


def test_smtplib_eight_bit(server: Site) -> None:
    content = b"Subject: eight\r\n\r\ncaf\xe9\r\n"
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        client.sendmail("p@client.example", ["python@example.org"], content, mail_options=["BODY=8BITMIME"])
    (found,) = new_mail(server, "python")
    assert found.content == content
    assert b"with ESMTP" in found.received


def test_smtplib_with_helo(server: Site) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        client.helo("old.example")
        client.mail("p@client.example")
        client.rcpt("python@example.org")
        assert client.data(b"Subject: old\r\n\r\n")[0] == 250
    (found,) = new_mail(server, "python")
    assert b"from old.example" in found.received
    assert b"with SMTP" in found.received


# --- msmtp --------------------------------------------------------------------------------------


def test_msmtp(server: Site) -> None:
    msmtp = require_program("msmtp")
    text = b"From: m@client.example\nTo: msmtp@example.org\nSubject: by msmtp\n\nline\n.\n.dot\n"
    ran(
        *(msmtp, "--host=127.0.0.1", f"--port={server.port}", "--auth=off", "--tls=off"),
        *("--from=m@client.example", "--file=/dev/null", "msmtp@example.org", "bob@example.org"),
        text=text,
    )
    (first,) = new_mail(server, "msmtp")
    (second,) = new_mail(server, "bob")
    assert first.content.endswith(b"Subject: by msmtp\r\n\r\nline\r\n.\r\n.dot\r\n")
    assert (first.content, first.queue_id) == (second.content, second.queue_id)
