"""From nothing to a server that people send by: `fastsmtp init`, then `serve`, then mail by TLS and a password."""

import base64
import os
import pwd
import re
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.system.server import RunningServer, free_port, wait_until
from tests.tools.site import environment

PASSWORD = "correct horse 7 battery"
ROOT = os.geteuid() == 0
USER = "nobody" if ROOT else pwd.getpwuid(os.geteuid()).pw_name


def init(directory: Path, ports: list[int]) -> "subprocess.CompletedProcess[str]":
    """Run it without a terminal."""
    command = [sys.executable, "-m", "fastsmtp", "init", "example.org", "--dir", str(directory)]
    options = ["--user", USER, "--account", "alice", "--password-stdin", "--ip", "192.0.2.1"]
    options += ["--listen", "127.0.0.1", "--ports", ",".join(map(str, ports))]
    return subprocess.run(
        [*command, *options],
        env=environment(),
        input=PASSWORD + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """The server as it was set up; its ports are those in ``settings["ports"]``."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        ports = [free_port() for _ in range(3)]
        done = init(directory, ports)
        assert done.returncode == 0, done.stderr
        assert "192.0.2.1" in done.stdout
        again = init(directory, ports)
        assert again.returncode == os.EX_CANTCREAT
        assert f"{directory}/fastsmtp.toml is there already" in again.stderr
        made = RunningServer(directory)
        made.text = made.file.read_text()
        made.settings["ports"] = ports
        with made:
            yield made


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_a_place_that_the_user_cannot_enter_is_left_as_it_was(tmp_path: Path) -> None:
    """The account is made last, by the server's user: what root made until then goes again."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    done = init(closed / "mail", [2525, 2587, 2465])
    assert done.returncode == os.EX_IOERR
    assert done.stderr.startswith("fastsmtp: ")
    assert "Permission denied" in done.stderr
    assert done.stdout == ""
    assert list(closed.iterdir()) == []


def swaks(server: RunningServer, listener: int, *options: str) -> "subprocess.CompletedProcess[str]":
    """Send a mail by the listener of this number."""
    return subprocess.run(
        [require_program("swaks"), "--server", f"127.0.0.1:{server.settings['ports'][listener]}", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


LOGIN = ("--auth-user", "alice@example.org", "--auth-password", PASSWORD)
MAIL = ("--from", "alice@example.org", "--to", "alice@example.org")


@pytest.mark.parametrize(("listener", "tls"), [(1, "--tls"), (2, "--tlsc")], ids=["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_person_sends_with_tls_and_a_password(
    server: RunningServer, listener: int, tls: str, mechanism: str
) -> None:
    new = server.mail / "example.org" / "alice" / "new"
    before = len(list(new.glob("*")))
    done = swaks(server, listener, tls, "--auth", mechanism, *LOGIN, *MAIL)
    assert done.returncode == 0, done.stdout
    wait_until(lambda: len(list(new.glob("*"))) > before, "it is delivered")
    assert PASSWORD not in server.log


def test_an_account_sends_elsewhere(server: RunningServer) -> None:
    done = swaks(
        server,
        1,
        "--tls",
        *LOGIN,
        "--from",
        "alice@example.org",
        "--to",
        "a@b.invalid",
        "--quit-after",
        "RCPT",
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("listener", "options", "reply"),
    [
        (0, ["--from", "x@far.test", "--to", "y@far.test"], "550 5.7.1"),
        (1, [*MAIL], "530 5.7.0"),
        (1, ["--tls", *MAIL], "530 5.7.0"),
        (2, ["--tlsc", *MAIL], "530 5.7.0"),
        (1, ["--tls", "--auth-user", "alice@example.org", "--auth-password", "wrong", *MAIL], "535 5.7.8"),
        (1, ["--tls", *LOGIN, "--from", "bob@example.org", "--to", "y@far.test"], "553 5.7.1"),
    ],
    ids=["relay", "clear", "starttls", "implicit", "password", "sender"],
)
def test_nobody_else_can(server: RunningServer, listener: int, options: list[str], reply: str) -> None:
    done = swaks(server, listener, *options)
    assert done.returncode != 0
    assert f"* {reply}" in done.stdout, done.stdout


@pytest.mark.parametrize("listener", [0, 1, 2])
def test_a_password_said_at_the_wrong_moment_is_not_logged(server: RunningServer, listener: int) -> None:
    """In clear, after a login was cancelled, as a command of its own, with a broken line: it is refused, and kept
    nowhere."""
    plain = base64.b64encode(b"\0alice@example.org\0" + PASSWORD.encode())
    alone = base64.b64encode(PASSWORD.encode())
    lines = [b"EHLO x", b"AUTH PLAIN " + plain + b"!", b"AUTH LOGIN", b"YQ==", b"*", alone, plain]
    lines += [
        PASSWORD.encode(),
        b"AUTH PLAIN " + plain[:20],
        b"AUTH NONE " + plain,
        b"AUTH PLAIN",
        b"*",
        plain,
    ]
    lines += [b"MAIL FROM:<x@far.test> AUTH=" + alone, b"QUIT"]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", server.settings["ports"][listener]), 20) as plain_socket:
        client = context.wrap_socket(plain_socket) if listener == 2 else plain_socket
        replies = client.makefile("rb")
        assert replies.readline().startswith(b"220")
        for line in lines:
            client.sendall(line + b"\r\n")
            while replies.readline()[3:4] == b"-":
                pass
        replies.close()
        client.close()
    assert swaks(server, 0, "--from", "x@far.test", "--to", f"mark{listener}@example.org").returncode
    server.wait_log(f"mark{listener}@example.org")
    for secret in (PASSWORD, plain.decode(), alone.decode(), plain[:20].decode()):
        assert secret not in server.log


@pytest.mark.parametrize("listener", [0, 1])
def test_no_login_is_offered_in_clear(server: RunningServer, listener: int) -> None:
    done = swaks(server, listener, "--quit-after", "EHLO")
    assert "STARTTLS" in done.stdout
    assert "AUTH" not in done.stdout


def test_an_outsider_delivers_to_our_users(server: RunningServer) -> None:
    done = swaks(server, 0, "--from", "x@far.test", "--to", "postmaster@example.org")
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_workers_are_nobody_and_root_keeps_the_key(server: RunningServer) -> None:
    nobody = pwd.getpwnam(USER)
    key = server.directory / "tls" / "key.pem"
    assert (key.stat().st_uid, key.stat().st_mode & 0o777) == (0, 0o600)
    assert (server.directory / "dkim").stat().st_mode & 0o777 == 0o700
    assert (server.file.stat().st_gid, server.file.stat().st_mode & 0o777) == (nobody.pw_gid, 0o640)
    seen = subprocess.run(
        ["cat", str(key)],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert b"Permission denied" in seen.stderr
    assert status(server.running.pid)["Uid"].split()[1] == "0"
    assert len(server.worker_pids()) >= 1
    for pid in server.worker_pids():
        one = status(pid)
        assert set(one["Uid"].split()) == {str(nobody.pw_uid)}
        assert set(one["Gid"].split()) == set(one["Groups"].split()) == {str(nobody.pw_gid)}
        assert (one["NoNewPrivs"], one["Umask"]) == ("1", "0077")
        assert int(one["CapPrm"], 16) == int(one["CapEff"], 16) == 0
        # What may not be dumped belongs to root, whoever runs it.
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
    below = [path for top in (server.data, server.mail) for path in (top, *top.rglob("*"))]
    assert {path.stat().st_uid for path in below} == {nobody.pw_uid}
    assert [str(path) for path in below if path.stat().st_mode & 0o077] == []


def status(pid: int) -> dict[str, str]:
    """What the kernel tells of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(\w+):[\t ]*(.*)$", text, re.MULTILINE))
