"""What the server's user cannot do: read what is root's, or have mail written elsewhere by a link."""

import os
import pwd
import re
import signal
import smtplib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.system.server import RunningServer, wait_until
from tests.tools.chains import Issued
from tests.tools.root import root_only
from tests.tools.tls_pairs import write_pair


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def send(server: RunningServer, user: str) -> None:
    """One mail for ``user``."""
    with smtplib.SMTP(*server.address, timeout=20) as client:
        client.sendmail("me@client.example", f"{user}@test.example", "Subject: x\r\n\r\nx\r\n")


def arrived(folder: Path) -> list[Path]:
    """The mail below it."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("what", ["test.example/alice", "test.example/alice/new", "test.example/alice/tmp"])
def test_a_link_in_a_mailbox_leads_no_mail_away(place: Path, what: str) -> None:
    """The mailbox is open and in use when its owner puts the link there; other mailboxes go on."""
    precious = place / "precious"
    for folder in ("tmp", "new", "cur"):
        (precious / folder).mkdir(parents=True)
    with RunningServer(place / "server", workers=1) as server:
        alice, bob = (server.mail / "test.example" / user for user in ("alice", "bob"))
        send(server, "alice")
        wait_until(lambda: arrived(alice / "new"), "the first one is delivered")
        (server.mail / what).rename(place / "away")
        (server.mail / what).symlink_to(precious)
        send(server, "alice")
        server.wait_log(r"mailbox alice@test\.example cannot be written, .* is a symbolic link")
        send(server, "bob")
        wait_until(lambda: arrived(bob / "new"), "another mailbox gets its mail")
        assert arrived(precious) == []
        (server.mail / what).unlink()
        server.stop()
        server.start()
        wait_until(lambda: arrived(alice / "new"), "the mail was kept, and comes when the link is gone")


@root_only
def test_what_a_link_in_data_dir_leads_to_stays_roots(place: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    precious = place / "precious"
    precious.write_text("root's\n")
    precious.chmod(0o600)
    data = place / "server" / "data"
    data.mkdir(parents=True, mode=0o700)
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    (data / "lock").symlink_to(precious)
    server = RunningServer(place / "server", user="nobody").start(wait=False)
    assert server.wait() == os.EX_CANTCREAT
    assert "lock: Permission denied" in server.log
    assert (precious.read_text(), precious.stat().st_uid) == ("root's\n", 0)


@root_only
def test_workers_use_credentials_that_only_root_can_read(place: Path) -> None:
    given = place / "given"
    given.mkdir(mode=0o700)
    (given / "smarthost").write_text("hunter2 of the smarthost\n")
    (given / "smarthost").chmod(0o400)
    server = RunningServer(
        place / "server",
        user="nobody",
        environment={"CREDENTIALS_DIRECTORY": str(given)},
        routes=[{"match": "far.test", "to": "127.0.0.1:9", "credentials": "smarthost"}],
    )
    text = '[credentials.smarthost]\nuser = "me"\npassword_file = "credential:smarthost"\n'
    server.start(wait=False)
    assert server.wait() == os.EX_CONFIG  # the table is not there yet
    server.text = server.file.read_text() + text
    with server:
        server.file.write_text(server.text + '[aliases]\n"new@test.example" = ["alice@test.example"]\n')
        server.wait_log("routing was read again")
        assert "cannot read" not in server.log
        for pid in (server.running.pid, *server.worker_pids()):
            assert b"hunter2" not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert "hunter2" not in server.log
        server.running.send_signal(signal.SIGUSR2)  # what takes its place is given them too
        server.wait_log(r"the new master, pid \d+, serves")


@root_only
def test_root_needs_no_more_than_the_unit_gives_it(place: Path) -> None:
    """Run with the capabilities of the unit of systemd alone, and with those of its limits that need no systemd."""
    unit = (Path(__file__).resolve().parents[2] / "conf/systemd/fastsmtp.service").read_text()
    (names,) = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    kept = ",".join("+" + name.removeprefix("CAP_").lower() for name in names.split())
    setpriv = [require_program("setpriv"), f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--no-new-privs"]
    (place / "secret").mkdir(mode=0o700)
    pair = write_pair(place / "secret", Issued("mx.example.org"))
    with RunningServer(
        place / "server",
        user="nobody",
        program=[*setpriv, sys.executable, "-m", "fastsmtp", "serve"],
        tls={"certificates": [{"cert": pair.cert, "key": pair.key}]},
    ) as server:
        send(server, "alice")
        wait_until(lambda: arrived(server.mail / "test.example" / "alice" / "new"), "it is delivered")
        worker = server.worker_pids()[0]
        os.kill(worker, 9)
        wait_until(lambda: len(server.worker_pids()) == 2 and worker not in server.worker_pids(), "a new one")
        assert server.stop() == 0
