"""Next hops that are other people's: Postfix, its smtp-sink, and Dovecot's LMTP server."""

import asyncio
import contextlib
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.servers import Postfix, SmtpSink, program
from fastsmtp.dns.base import Addresses
from fastsmtp.mail.envelope import Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.transport.smtp.connection import Content, FileContent
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.place import Place, Target
from tests.conftest import require_program
from tests.fakes.outbound import World, envelope, protection, run
from tests.system.server import free_port
from tests.tools.certificates import Authority
from tests.tools.site import public_folder
from tests.tools.waiting import until

NAME = "mx.far.test"
MESSAGE = b"Subject: hello\r\nFrom: <a@near.test>\r\n\r\n.one dot\r\n..two\r\nend\r\n"


class SecurePostfix(Postfix):
    """The private Postfix of the benchmark, with a certificate of ours."""

    certificate: tuple[Path, Path]

    def _main_cf(self) -> str:
        certificate, key = self.certificate
        return super()._main_cf() + (
            f"smtpd_tls_chain_files = {key}, {certificate}\n"
            "smtputf8_enable = yes\nlocal_header_rewrite_clients =\n"
            "smtpd_relay_restrictions = reject_unauth_destination\n"
        )


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("Postfix and Dovecot change users, which only root may")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def postfix(folder: Path, authority: Authority) -> Iterator[Postfix]:
    require_program("postfix")
    needs_root()
    server = SecurePostfix(folder, free_port(), 20)
    server.certificate = authority.issue(NAME)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def at(port: int, level: str = "none", *, lmtp: bool = False) -> Place:
    needs = protection(level, names=(NAME,) if level == "verify" else (), sni=NAME)
    host = Host(name=NAME, port=port, addresses=Addresses(v4=("127.0.0.1",)))
    return Place(NAME, [Target(host, needs, lmtp=lmtp)])


def stored(box: Path) -> bytes:
    """The newest message of a Maildir's ``new/``, below the fields that the server has put before it."""
    until("it is delivered", lambda: box.exists() and any(box.iterdir()), 60)
    newest = max(box.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    text = newest.read_bytes()
    return text[text.index(b"Subject:") :]


@pytest.mark.parametrize("level", ["none", "may", "encrypt", "verify"])
def test_postfix_takes_message_after_message(postfix: Postfix, authority: Authority, level: str) -> None:
    async def attempt() -> list[DeliveryResult]:
        async with World(ca_file=str(authority.file)) as world:
            found = []
            for user in (
                "u0001@bench.test",
                "u0001@bench.test",
                "nobody-here@bench.test",
                "u0001@bench.test",
            ):
                found += (await world.send(at(postfix.port, level), envelope(user), MESSAGE))[0]
            assert world.transport.report.snapshot()[0].successes if level != "none" else True
            return found

    results = run(attempt())
    assert [(one.status, one.code) for one in results] == [
        ("delivered", 250),
        ("delivered", 250),
        ("failed", 550),
        ("delivered", 250),
    ]
    assert "queued as" in results[0].text
    assert results[2].enhanced == "5.1.1"
    assert stored(postfix.inbox("u0001")) == MESSAGE.replace(b"\r\n", b"\n")


def test_a_certificate_that_postfix_does_not_have(postfix: Postfix, authority: Authority) -> None:
    async def attempt() -> DeliveryResult:
        async with World() as world:
            return (await world.send(at(postfix.port, "verify"), envelope("u0001@bench.test"), MESSAGE))[0][0]

    result = run(attempt())
    assert (result.status, result.enhanced) == ("deferred", "4.7.5")
    assert "certificate" in result.text


@pytest.mark.parametrize("filed", [False, True])
def test_postfix_takes_non_ascii_addresses_and_large_bodies(postfix: Postfix, filed: bool) -> None:
    text = "Subject: grüße\r\n\r\nkäse\r\n".encode() + b".x" * 30 + b"\r\n" + b"line of text\r\n" * 100_000
    fd = os.memfd_create("message")
    os.write(fd, text)

    async def attempt() -> list[DeliveryResult]:
        async with World() as world:
            letter = envelope("u0002@bench.test", sender="jürgen@näher.test", SMTPUTF8="", BODY="8BITMIME")
            content: Content = FileContent(fd, 0, len(text)) if filed else text
            return (await world.send(at(postfix.port, "may"), letter, content))[0]

    (result,) = run(attempt())
    os.close(fd)
    assert (result.status, result.code) == ("delivered", 250)
    assert stored(postfix.inbox("u0002")) == text.replace(b"\r\n", b"\n")


def test_postfix_takes_many_recipients(postfix: Postfix) -> None:
    users = [Recipient(f"u{number:04}@bench.test", "", {"NOTIFY": "NEVER"}) for number in range(100, 350)]

    async def attempt() -> list[DeliveryResult]:
        async with World() as world:
            return (await world.send(at(postfix.port), envelope(*users), MESSAGE))[0]

    assert {one.status for one in run(attempt())} == {"delivered"}
    assert stored(postfix.inbox("u0349")) == MESSAGE.replace(b"\r\n", b"\n")


def test_smtp_sink_takes_messages_at_once(folder: Path) -> None:
    require_program("smtp-sink")
    sink = SmtpSink(folder, free_port())
    sink.start()

    async def attempt() -> set[tuple[str, int]]:
        async with World() as world:
            where = at(sink.port)
            sent = [world.send(where, envelope(f"u{n}@far.test"), MESSAGE) for n in range(200)]
            return {(one.status, one.code) for (one,), _ in await asyncio.gather(*sent)}

    try:
        assert run(attempt()) == {("delivered", 250)}
    finally:
        sink.stop()


@contextlib.contextmanager
def dovecot(folder: Path, port: int) -> Iterator[Path]:
    """Dovecot with nothing but LMTP on ``port``; the folder in which each user has a Maildir."""
    mail = folder / "dovecot-mail"
    mail.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(mail, nobody.pw_uid, nobody.pw_gid)
    settings = folder / "dovecot.conf"
    settings.write_text(
        f"base_dir = {folder}/dovecot-run\nstate_dir = {folder}/dovecot-state\nlog_path = {folder}/dovecot.log\n"
        "protocols = lmtp\nssl = no\nlisten = 127.0.0.1\n"
        f"mail_location = maildir:{mail}/%n\nfirst_valid_uid = 1\n"
        "passdb {\n driver = static\n args = nopassword=y\n}\n"
        f"userdb {{\n driver = static\n args = uid={nobody.pw_uid} gid={nobody.pw_gid} home={mail}/%n "
        "allow_all_users=yes\n}\n"
        f"service lmtp {{\n inet_listener lmtp {{\n address = 127.0.0.1\n port = {port}\n }}\n}}\n"
        "protocol lmtp {\n postmaster_address = postmaster@far.test\n}\n"
    )
    process = subprocess.Popen([program("dovecot"), "-F", "-c", str(settings)])
    try:
        until("Dovecot listens", lambda: process.poll() is not None or listens(port), 60)
        assert process.poll() is None, (folder / "dovecot.log").read_text()
        yield mail
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def listens(port: int) -> bool:
    """Whether somebody does."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_dovecot_takes_mail_by_lmtp(folder: Path) -> None:
    require_program("dovecot")
    needs_root()
    if not Path("/usr/lib/dovecot/lmtp").exists():
        pytest.skip("Dovecot's LMTP server is not installed (Debian: dovecot-lmtpd)")
    port = free_port()

    async def attempt() -> list[DeliveryResult]:
        async with World() as world:
            found = []
            for _ in range(2):
                letter = envelope("alice@far.test", "bob@far.test")
                found += (await world.send(at(port, lmtp=True), letter, MESSAGE))[0]
            return found

    log = folder / "dovecot.log"
    with dovecot(folder, port) as mail:
        results = run(attempt())
        assert [(one.status, one.code) for one in results] == [("delivered", 250)] * 4, log.read_text()
        for user in ("alice", "bob"):
            assert stored(mail / user / "new") == MESSAGE.replace(b"\r\n", b"\n")
