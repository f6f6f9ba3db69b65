"""swaks speaks LMTP to us, and XCLIENT for others."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import require_program
from tests.system.server import free_port
from tests.tools import arrived
from tests.tools.site import Site, site
from tests.tools.waiting import until

SPEAKER = "127.0.0.4"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, int, int]]:
    """The server, with the ports of its LMTP listener and of one that takes XCLIENT."""
    lmtp, smtp = free_port(), free_port()
    listeners = [
        {"address": f"127.0.0.1:{lmtp}", "protocol": "lmtp"},
        {"address": f"127.0.0.1:{smtp}", "xclient": [SPEAKER]},
    ]
    with site(tmp_path_factory.mktemp("lmtp"), listeners=listeners) as server:
        yield server, lmtp, smtp


def swaks(*options: str) -> tuple[int, str]:
    """Its exit code, and the dialogue."""
    command = [require_program("swaks"), "--helo", "client.test", "--from", "a@client.example", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


def received(server: Site, user: str) -> bytes:
    """The Received field of this user's one message, which is removed."""
    maildir = server.maildir(user)
    until("the mail is there", lambda: list(maildir.glob("new/*")), 60)
    (mail,) = arrived.messages(maildir)
    mail.path.unlink()
    return mail.received


def test_lmtp(served: tuple[Site, int, int]) -> None:
    server, lmtp, _ = served
    port = ["--protocol", "LMTP", "--server", f"127.0.0.1:{lmtp}"]
    code, said = swaks(*port, "--to", "alice@example.org,bob@example.org")
    assert code == 0
    assert said.count("queued as") == 2, "one reply for each recipient"
    assert b" with LMTP id " in received(server, "alice")
    assert b" with LMTP id " in received(server, "bob")
    code, said = swaks(*port, "--to", "x@far.test")
    assert code != 0
    assert "550 5.7.1" in said


def test_xclient(served: tuple[Site, int, int]) -> None:
    server, _, smtp = served
    options = ["--server", f"127.0.0.1:{smtp}", "--to", "bob@example.org", "--xclient", "ADDR=192.0.2.9"]
    code, said = swaks(*options, "--local-interface", SPEAKER)
    assert code == 0, said
    assert b"([192.0.2.9])" in received(server, "bob")
    code, said = swaks(*options, "--local-interface", "127.0.0.5")
    assert code != 0, "a stranger may not"
    assert not list(server.maildir("bob").glob("new/*"))


def test_xclient_names_a_login(served: tuple[Site, int, int]) -> None:
    server, _, smtp = served
    options = ["--server", f"127.0.0.1:{smtp}", "--local-interface", SPEAKER]
    options += ["--xclient-addr", "192.0.2.9", "--xclient-helo", "far.test", "--xclient-login", "bob@example.org"]
    code, said = swaks(*options, "--to", "bob@example.org", "--from", "bob@example.org")
    assert code == 0, said
    field = received(server, "bob")
    assert b"from far.test ([192.0.2.9])" in field
    assert b" with ESMTPA id " in field
    code, said = swaks(*options, "--to", "bob@example.org")
    assert "553 5.7.1" in said, "a login has its own addresses"
