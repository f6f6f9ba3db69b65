"""The first minutes: no settings file, no root, a message with an attachment in alice's Maildir."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.tools import arrived
from tests.tools.site import environment
from tests.tools.waiting import until
from tests.tools.wire import Wire

ADDRESS = ("127.0.0.1", 2525)


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Path]:
    """The file with what the server prints, started without any settings in an empty directory."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are over do not count
        try:
            probe.bind(ADDRESS)
        except OSError:
            pytest.skip("somebody else listens on 127.0.0.1:2525, the port of the embedded default")
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "fastsmtp", "serve"],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}"
            return re.search("^ready:", output.read_text(), re.MULTILINE) is not None

        until("it is ready", ready, 30)
        yield output
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "Traceback" not in output.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        print(output.read_text())


def test_it_says_what_to_do_next(said: Path) -> None:
    text = said.read_text()
    assert "127.0.0.1:2525" in text, "where it listens"
    assert str(said.parent / "var/mail/{domain}/{user}") in text or "var/mail" in text, "where mail goes"
    assert "alice@localhost" in text, "how to send a first message"
    assert "full" in text, "the durability"


def test_first_message_with_an_attachment(said: Path, tmp_path: Path) -> None:
    swaks = require_program("swaks")
    attachment = tmp_path / "README.md"
    attachment.write_text("# Read me\n\nfirst\n.\nlast\n")
    run = subprocess.run(
        [swaks, "--server", "127.0.0.1:2525", "--to", "alice@localhost", "--attach", f"@{attachment}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    maildir = tmp_path / "var/mail/localhost/alice"
    (message,) = until("it is delivered", lambda: arrived.messages(maildir), 60)
    assert message.path.parent.name == "new"
    assert message.path.stat().st_mode & 0o777 == 0o600
    assert b"README.md" in message.content
    assert message.queue_id in run.stdout


def test_any_user_of_localhost_exists_and_nobody_else(said: Path) -> None:
    with Wire(ADDRESS) as wire:
        wire.hello()
        wire.expect("MAIL FROM:<>", "250 2.1.0")
        wire.expect("RCPT TO:<whoever@localhost>", "250 2.1.5")
        wire.expect("RCPT TO:<postmaster>", "250 2.1.5")
        wire.expect("RCPT TO:<alice@example.org>", "550 5.7.1")
