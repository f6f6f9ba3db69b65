"""Dovecot reads the delivered Maildir: every byte, the sizes in the names, and moving mail to cur/."""

import imaplib
import os
import pwd
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.mailbox import maildirsize
from tests.conftest import require_program
from tests.tools import arrived
from tests.tools.site import Site, public_folder, site
from tests.tools.waiting import until

IMAP = Path("/usr/lib/dovecot/imap")
QUOTA = """mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = maildir:User quota
}
"""
CONTENTS = {
    "plain": b"Subject: plain\r\nFrom: <a@client.example>\r\n\r\none\r\n.\r\n..two\r\n",
    "eight bit": b"Subject: eight bit\r\n\r\ncaf\xc3\xa9 \xff\xfe\r\n",
    "large": b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 4096 + b"\r\n",
    "long lines": b"Subject: long lines\r\n\r\n" + b"x" * 100_000 + b"\r\n",
    "no body": b"Subject: no body\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("dovecot"), workers=1) as server:
        yield server


class Dovecot:
    """Dovecot's IMAP process on one Maildir, logged in without a password, with a settings file of its own.

    It refuses to read mail as root: then it gets a copy of the Maildir as an unprivileged user. ``more`` settings may
    follow."""

    def __init__(self, folder: Path, maildir: Path, more: str = "") -> None:
        require_program("doveadm")
        if not IMAP.exists():
            pytest.skip(f"{IMAP} is not installed")
        folder.mkdir()
        self.maildir, self.log = folder / "Maildir", folder / "log"
        shutil.copytree(maildir, self.maildir)
        settings = folder / "dovecot.conf"
        settings.write_text(
            f"base_dir = {folder}/run\nlog_path = {self.log}\ninfo_log_path = {folder}/info\nssl = no\n"
            f"mail_location = maildir:{self.maildir}\n{more}"
        )
        name = pwd.getpwuid(os.getuid()).pw_name
        command = [str(IMAP), "-c", str(settings)]
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            name = nobody.pw_name
            for path in (folder, *folder.rglob("*")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            drop = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            command = [require_program("setpriv"), *drop, *command]
        command = ["env", "-C", str(folder), f"USER={name}", f"HOME={folder}", *command]
        self.client = imaplib.IMAP4_stream(f"exec {shlex.join(command)} 2>>{shlex.quote(str(folder))}/errors")

    def everything(self) -> list[tuple[int, bytes]]:
        """Size and bytes of every message, as Dovecot says."""
        status, (count,) = self.client.select("INBOX")
        assert status == "OK"
        found = []
        for number in range(1, int(count or b"0") + 1):
            _, answer = self.client.fetch(str(number), "(RFC822.SIZE BODY.PEEK[])")
            assert isinstance(answer[0], tuple)
            head, content = answer[0]
            found.append((int(head.split(b"RFC822.SIZE ")[1].split()[0]), content))
        return found


def test_dovecot_reads_the_maildir(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        for content in CONTENTS.values():
            wire.message(content, "bob@example.org").queue_id  # noqa: B018 - checks that it was accepted
    box = server.maildir("bob")
    until("all is delivered", lambda: len(arrived.messages(box)) == len(CONTENTS), 60)
    files = {path.name: path.read_bytes() for path in (box / "new").iterdir()}
    with public_folder() as folder:
        dovecot = Dovecot(folder / "dovecot", box)
        found = dovecot.everything()
        dovecot.client.logout()
        moved = {path.name.split(":2,")[0] for path in (dovecot.maildir / "cur").iterdir()}
        log = dovecot.log.read_text() if dovecot.log.exists() else ""
    assert sorted(content for _, content in found) == sorted(files.values())
    assert all(size == len(content) for size, content in found)
    assert moved == set(files), "Dovecot moved them to cur/ and kept the names with their ,S="
    assert "Error" not in log, log


def summed(maildir: Path) -> tuple[bytes, int, int]:
    """What ``maildirsize`` says: limits, octets, messages."""
    folder = os.open(maildir, os.O_RDONLY)
    try:
        usage = maildirsize.read(folder)
    finally:
        os.close(folder)
    assert usage is not None
    return usage.limits, usage.size, usage.messages


def there(maildir: Path) -> tuple[bytes, int, int]:
    """The same as the files say it."""
    sizes = [file.stat().st_size for part in ("new", "cur") for file in (maildir / part).iterdir()]
    return b"500000S", sum(sizes), len(sizes)


def test_dovecot_s_quota_is_ours(server: Site) -> None:
    """Both write the file, each believes what the other wrote, and each counts like the other."""
    box = server.maildir("dave")
    with server.wire() as wire:
        wire.hello()
        assert wire.message(CONTENTS["plain"], "dave@example.org").queue_id
        until("it is delivered", lambda: len(arrived.messages(box)) == 1, 60)
        folder = os.open(box, os.O_RDONLY)
        assert maildirsize.count(folder, 500_000)
        os.close(folder)
        for content in CONTENTS.values():
            assert wire.message(content, "dave@example.org").queue_id
    until("all is delivered and told", lambda: summed(box)[2] == len(CONTENTS) + 1, 60)
    assert summed(box) == there(box)
    with public_folder() as folder_:
        dovecot = Dovecot(folder_ / "dovecot", box, QUOTA)
        client, copy = dovecot.client, dovecot.maildir
        status, (_, answers) = client.getquotaroot("INBOX")
        assert status == "OK"
        kilobytes = -(-there(box)[1] // 1024)
        assert f"(STORAGE {kilobytes} 489)".encode() in answers[0], "the limit of the first line holds there too"
        assert client.append("INBOX", "", "", b"Subject: by Dovecot\r\n\r\nx\r\n")[0] == "OK"
        assert summed(copy) == there(copy)
        client.select("INBOX")
        client.store("1:3", "+FLAGS", "\\Deleted")
        client.expunge()
        assert summed(copy) == there(copy)
        (copy / "maildirsize").unlink()
        client.getquotaroot("INBOX")
        by_dovecot = summed(copy)
        client.logout()
        folder = os.open(copy, os.O_RDONLY)
        assert maildirsize.count(folder, 500_000)
        os.close(folder)
        assert summed(copy)[1:] == by_dovecot[1:]
