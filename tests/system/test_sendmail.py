"""sendmail, mailq and newaliases beside a real server: any user, the server up or down, and what comes back."""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import fastsmtp
from fastsmtp.maildrop.directory import waiting_names
from tests.conftest import require_program
from tests.system.server import RunningServer, free_port, settings_text, wait_until
from tests.tools.root import root_only

NOBODY = 65534
PROGRAM = ("-m", "fastsmtp.sendmail")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Machine:
    """A server and its users, of whom one may be somebody else than we are."""

    def __init__(self, place: Path, **settings: object) -> None:
        self.drop = place / "spool" / "maildrop"
        mailboxes = {"unknown_users": "reject", "users": ["alice", "nobody", "postmaster", "list"]}
        self.server = RunningServer(
            place / "server",
            maildrop={"path": str(self.drop)},
            **{"mailboxes": mailboxes, **settings},  # type: ignore[arg-type]
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of those who send."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{Path(fastsmtp.__file__).parent.parent}:{sysconfig.get_path('purelib')}",
            "FASTSMTP_MAILDROP": str(self.drop),
        }

    def run(
        self, *arguments: str, data: bytes = b"", uid: int | None = None, code: int | None = 0
    ) -> subprocess.CompletedProcess[bytes]:
        """sendmail with these."""
        # Others may not be able to reach the interpreter that runs the tests.
        python = sys.executable if uid is None else "/usr/bin/python3"
        done = subprocess.run(
            [python, *PROGRAM, *arguments],
            input=data,
            env=self.environment,
            cwd="/",
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            capture_output=True,
            timeout=30,
        )
        assert code is None or done.returncode == code, done
        return done

    def mail(self, user: str, count: int = 1) -> list[bytes]:
        """The messages of ``user``, once there are so many."""
        box = self.server.mail / "test.example" / user / "new"
        try:
            wait_until(
                lambda: box.exists() and len(list(box.iterdir())) >= count, f"{count} messages for {user}"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.server.log}") from None
        return [path.read_bytes() for path in sorted(box.iterdir())]


@root_only
def test_any_user_sends_as_cron_does(place: Path) -> None:
    machine = Machine(place)
    cron = (
        b"From: root (Cron Daemon)\nTo: alice\nSubject: Cron <x@y> true\n"
        b"Content-Type: text/plain; charset=UTF-8\nX-Cron-Env: <A=b>\n\nout\xc3\xbc\n.\nput\n"
    )
    with machine.server as server:
        machine.run("-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root", data=cron, uid=NOBODY)
        [message] = machine.mail("alice")
        server.wait_log(r'received .*client="" helo="userid 65534" with=local')
    header, _, body = message.partition(b"\r\n\r\n")
    assert header.startswith(
        b"Return-Path: <root@test.example>\r\nReceived: by mx.test.example (fastsmtp, from userid 65534) id "
    )
    assert b"\r\nFrom: root@test.example (Cron Daemon)\r\nTo: alice@test.example\r\n" in header
    assert re.search(rb"\r\nMessage-ID: <\w+@mx\.test\.example>\r\nDate: ", header)
    assert body == b"out\xc3\xbc\r\n.\r\nput\r\n"
    assert waiting_names(str(machine.drop)) == []


@root_only
def test_mail_is_kept_while_the_server_is_down(place: Path) -> None:
    machine = Machine(place)
    machine.server.start()
    assert machine.server.stop() == 0
    for _ in range(3):
        machine.run("alice", data=b"Subject: later\n\nx\n", uid=NOBODY)
    assert len(waiting_names(str(machine.drop))) == 3
    with machine.server:
        assert len(machine.mail("alice", 3)) == 3
        wait_until(lambda: not waiting_names(str(machine.drop)), "all were taken")


@root_only
def test_nobody_sees_or_removes_what_others_dropped(place: Path) -> None:
    machine = Machine(place)
    machine.server.start()
    machine.server.stop()
    machine.run("alice", data=b"secret\n", uid=NOBODY)
    [name] = waiting_names(str(machine.drop))
    for command in (
        ["ls", str(machine.drop)],
        ["cat", str(machine.drop / name)],
        ["rm", "-f", str(machine.drop / name)],
        ["ln", str(machine.drop / name), str(machine.drop / ("0" * 32))],
    ):
        done = subprocess.run(command, user=1, group=1, extra_groups=[], capture_output=True, cwd="/")
        assert b"secret" not in done.stdout
        assert name.encode() not in done.stdout
    assert name in waiting_names(str(machine.drop))


@root_only
def test_tricks_bring_nothing_in(place: Path) -> None:
    """A link, a pipe, and a file that somebody else has made and can be moved."""
    machine = Machine(place)
    secret = place / "secret"
    secret.write_bytes(b"fastsmtp maildrop 1 7\nrecipient alice\n\n\r\nsecret\r\n")
    secret.chmod(0o644)
    machine.server.start()
    machine.server.stop()
    others = place / "others"
    others.mkdir()
    (others / "made").write_bytes(secret.read_bytes())
    others.chmod(0o777)
    script = f"""
import os
os.symlink({str(secret)!r}, {str(machine.drop / ("1" * 32))!r})
os.mkfifo({str(machine.drop / ("2" * 32))!r})
os.rename({str(others / "made")!r}, {str(machine.drop / ("3" * 32))!r})
"""
    os.chown(others / "made", 2, 2)
    subprocess.run(["/usr/bin/python3", "-c", script], user=1, group=1, extra_groups=[], check=True, cwd="/")
    with machine.server as server:
        machine.run("alice", data=b"Subject: good\n\nx\n", uid=NOBODY)
        [message] = machine.mail("alice")
        for number in "123":
            server.wait_log(rf"maildrop: {number * 32} of user \d+ is removed")
        assert b"Subject: good" in message
    assert secret.exists()


def test_a_failure_comes_back_to_the_user(place: Path) -> None:
    machine = Machine(place)
    with machine.server:
        machine.run("-f", "alice", "nosuch", "alice", data=b"Subject: both\n\nx\n")
        letters = machine.mail("alice", 2)
        [bounce] = [one for one in letters if b"Return-Path: <>" in one]
        assert b"Final-Recipient: rfc822; nosuch@test.example" in bounce
        assert b"Status: 5.1.1" in bounce
        machine.run("-f", "alice", "-N", "never", "nosuch", data=b"Subject: quiet\n\nx\n")
        machine.run("-f", "alice", "alice", data=b"Subject: after\n\nx\n")
        assert len(machine.mail("alice", 3)) == 3


def test_php_and_large_mail(place: Path) -> None:
    """As PHP's mail(): ``sendmail -t -i`` with CRLF in the header and LF in the body."""
    machine = Machine(place)
    text = b"To: alice@test.example\r\nSubject: php\r\nX-PHP: 1\r\n\r\n" + b"line\n" * 400_000
    with machine.server:
        machine.run("-t", "-i", data=text)
        [message] = machine.mail("alice")
        assert message.endswith(b"\r\n\r\n" + b"line\r\n" * 400_000)
        facts = (machine.drop / "server").read_text()
        assert "message_size 52428800" in facts


def test_smtp_on_standard_input(place: Path) -> None:
    machine = Machine(place)
    said = b"EHLO x\r\nMAIL FROM:<me@far.test>\r\nRCPT TO:<alice@test.example>\r\nDATA\r\n"
    said += b"Subject: bs\r\n\r\nx\r\n.\r\nQUIT\r\n"
    with machine.server:
        done = machine.run("-bs", data=said)
        assert re.sub(rb"250-.*\r\n", b"", done.stdout).split(b"\r\n")[2:] == [
            b"250 2.1.0 sender OK",
            b"250 2.1.5 recipient OK",
            b"354 end with <CRLF>.<CRLF>",
            b"250 2.0.0 kept for the server, which takes it up when it runs",
            b"221 2.0.0 closing the connection",
            b"",
        ]
        [message] = machine.mail("alice")
        assert message.startswith(b"Return-Path: <me@far.test>\r\n")


@pytest.mark.parametrize("rounds", [6])
def test_kill_at_any_moment_loses_and_doubles_nothing(place: Path, rounds: int) -> None:
    machine = Machine(place)
    total = 0
    machine.server.start()
    for turn in range(rounds):
        senders = [
            subprocess.Popen(
                [sys.executable, *PROGRAM, "-i", "alice"],
                stdin=subprocess.PIPE,
                env=machine.environment,
                cwd="/",
            )
            for _ in range(5)
        ]
        for number, sender in enumerate(senders):
            assert sender.stdin is not None
            sender.stdin.write(b"Subject: number %d\n\nx\n" % (total + number))
            sender.stdin.close()
        if turn % 2:
            for pid in machine.server.worker_pids():
                os.kill(pid, signal.SIGKILL)
        else:
            machine.server.kill()
            machine.server.start()
        total += len(senders)
        assert [sender.wait(30) for sender in senders] == [0] * len(senders)
    machine.mail("alice", total)
    wait_until(lambda: not waiting_names(str(machine.drop)), "all were taken")
    subjects = sorted(re.findall(rb"Subject: number (\d+)\r\n", b"".join(machine.mail("alice"))))
    machine.server.kill()
    assert sorted(set(subjects), key=int) == [b"%d" % number for number in range(total)]
    assert len(subjects) == total


def test_a_reload_loses_and_doubles_nothing(place: Path) -> None:
    """Mail is dropped all the time; the generation that goes lets go of the maildrop at once."""
    machine = Machine(place)
    total = 0
    with machine.server as server:
        for turn in range(3):
            for _ in range(4):
                machine.run("alice", data=b"Subject: number %d\n\nx\n" % total)
                total += 1
            server.settings["banner_delay"] = 0.1 * (turn + 1)
            server.file.write_text(settings_text(server.settings))
            server.running.send_signal(signal.SIGHUP)
            machine.run("alice", data=b"Subject: number %d\n\nx\n" % total)
            total += 1
            server.wait_log(f"(?s)(reload.*){{{turn + 1}}}")
        letters = machine.mail("alice", total)
        wait_until(lambda: not waiting_names(str(machine.drop)), "all were taken")
        subjects = re.findall(rb"Subject: number (\d+)\r\n", b"".join(letters))
        assert sorted(subjects, key=int) == [b"%d" % number for number in range(total)]


def test_mailq_shows_what_waits_and_q_tries_it(place: Path) -> None:
    port = free_port()
    machine = Machine(place, routes=[{"match": "far.test", "to": f"127.0.0.1:{port}"}])
    with machine.server as server:
        config = str(server.file)
        assert machine.run("-bp", "-C", config).stdout == b"Mail queue is empty\n"
        machine.run("-f", "alice", "bob@far.test", data=b"Subject: far\n\nx\n")
        server.wait_log(r"deferred .*to=<bob@far\.test>")
        wait_until(
            lambda: b"(" in machine.run("-bp", "-C", config).stdout, "what was tried is shown with the reason"
        )
        shown = machine.run("-bp", "-C", config).stdout.decode()
        assert shown.startswith("-Queue ID-")
        assert re.search(r"^\w{13} +\d+ \w{3} \w{3} \d\d [\d:]{8}  alice@test\.example$", shown, re.MULTILINE)
        assert re.search(r"^ +bob@far\.test$", shown, re.MULTILINE)
        assert shown.endswith("-- 1 Kbytes in 1 Request.\n")
        before = server.log.count("deferred")
        machine.run("-q", "-C", config)
        wait_until(lambda: server.log.count("deferred") > before, "it is tried again")
        if os.geteuid() == 0:
            done = machine.run("-bp", "-C", config, uid=NOBODY, code=os.EX_NOPERM)
            assert b"only root and the server's user may see the queue" in done.stderr
        server.stop()
        machine.run("alice", data=b"x\n")
        down = machine.run("-bp", "-C", config)
        assert b"bob@far.test" in down.stdout
        assert b"1 message waits in the maildrop" in down.stdout
        assert b"no server runs" in down.stderr
        server.start()


def test_the_file_of_aliases_is_followed(place: Path) -> None:
    aliases = place / "aliases"
    aliases.write_text("root: alice\nteam: alice, nobody\nowner-team: postmaster\nlost: nosuch\n")
    machine = Machine(place, forwarding={"aliases_file": str(aliases)})
    with machine.server as server:
        machine.run("root", data=b"Subject: one\n\nx\n")
        assert b"Subject: one" in machine.mail("alice")[0]
        said = machine.run("-bi", "-C", str(server.file)).stdout.decode()
        assert "4 aliases, well-formed" in said
        assert '"lost@test.example" is left out' in said
        machine.run("-f", "alice", "team", data=b"Subject: two\n\nx\n")
        assert b"Subject: two" in machine.mail("nobody")[0]
        aliases.write_text("root: |/bin/sh\n")
        server.wait_log(r"routing stays as it was: .*aliases:1: .*commands are not run for mail")
        done = machine.run("-bi", "-C", str(server.file), code=os.EX_DATAERR)
        assert b"commands are not run" in done.stderr
        aliases.write_text("root: list\n")
        server.wait_log("routing was read again")
        machine.run("root", data=b"Subject: three\n\nx\n")
        assert b"Subject: three" in machine.mail("list")[0]


@root_only
def test_a_server_with_a_user_of_its_own(place: Path) -> None:
    machine = Machine(place, user="daemon")
    with machine.server:
        status = machine.drop.stat()
        assert (status.st_uid, status.st_mode & 0o7777) == (1, 0o3733)
        machine.run("alice", data=b"Subject: drop\n\nx\n", uid=NOBODY)
        assert b"from userid 65534)" in machine.mail("alice")[0]


def send_with(machine: Machine, command: Sequence[str], data: bytes = b"") -> None:
    """Run a program that finds our sendmail by a script of that name."""
    done = subprocess.run(
        command,
        input=data,
        env={**machine.environment, "HOME": "/nonexistent"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done


def script(place: Path) -> Path:
    """A command ``sendmail`` of ours."""
    file = place / "sendmail"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} {" ".join(PROGRAM)} "$@"\n')
    file.chmod(0o755)
    return file


def test_mailx(place: Path) -> None:
    mailx = require_program("bsd-mailx")
    machine = Machine(place)
    with machine.server:
        rc = place / "mailrc"
        rc.write_text(f"set sendmail={script(place)}\n")
        machine_environment = {**machine.environment, "MAILRC": str(rc), "HOME": str(place)}
        done = subprocess.run(
            [mailx, "-s", "by mailx", "-c", "nobody", "alice"],
            input=b"hello\n.\nnot this\n",
            env=machine_environment,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done
        assert b"Subject: by mailx" in machine.mail("alice")[0]
        assert b"Subject: by mailx" in machine.mail("nobody")[0]


def test_git_send_email(place: Path) -> None:
    git = require_program("git")
    parts = subprocess.run([git, "--exec-path"], capture_output=True, check=True, text=True).stdout.strip()
    if not Path(parts, "git-send-email").exists():
        pytest.skip("git send-email is not installed")
    machine = Machine(place)
    patch = place / "1.patch"
    patch.write_text(
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
        "From: Ann <ann@far.test>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nSubject: [PATCH] x\n\nx\n---\n"
    )
    with machine.server:
        send_with(
            machine,
            [
                *(
                    "git",
                    "-c",
                    "user.name=Alice",
                    "-c",
                    "user.email=alice@test.example",
                    "send-email",
                    "--quiet",
                    "--confirm=never",
                ),
                *(
                    "--suppress-cc=all",
                    "--envelope-sender=auto",
                    "--from=alice@test.example",
                    "--to=alice@test.example",
                ),
                *("--cc=nobody@test.example", f"--sendmail-cmd={script(place)}", str(patch)),
            ],
        )
        assert b"Subject: [PATCH] x" in machine.mail("alice")[0]
        assert machine.mail("nobody")[0].startswith(b"Return-Path: <alice@test.example>")
