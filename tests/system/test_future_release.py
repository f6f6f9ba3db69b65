"""FUTURERELEASE (RFC 4865) with the real server: what is held stays out of every mailbox, also when the server dies
meanwhile, until its time or until somebody lets it go."""

import smtplib
from pathlib import Path

import pytest

from tests.fakes.tls_client import client_context
from tests.system.server import wait_until
from tests.system.test_bench_tls import LOGIN, Secured
from tests.system.test_queue_commands import Queue


def submit(server: Secured, hold: str, *to: str) -> None:
    """A message of the account."""
    with smtplib.SMTP_SSL("127.0.0.1", server.submissions, context=client_context()) as client:
        client.login(LOGIN, "secret")
        assert client.esmtp_features["futurerelease"].startswith("604800 20")
        refused = client.sendmail(LOGIN, list(to), f"Subject: {hold}\r\n\r\nx\r\n", mail_options=[hold])
        assert not refused


def arrived(server: Secured, user: str) -> list[str]:
    """What stands in a mailbox: the subjects."""
    files = sorted((server.mail / "test.example" / user / "new").glob("*"))
    return [line[9:] for file in files for line in file.read_text().splitlines() if line[:9] == "Subject: "]


def test_mail_is_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tls").mkdir()
    with Secured(tmp_path) as server:
        server.add_account()
        queue = Queue(server, capsys)
        submit(server, "HOLDFOR=3600", "bob@test.example", "carol@test.example")
        wait_until(lambda: [row["state"] for row in queue.rows()] == ["deferred"], "it waits")
        server.kill()
        server.start()
        [row] = queue.rows()
        assert [one["why"][:26] for one in row["recipients"]] == ["held by its sender until 2"] * 2
        assert "held by its sender until 2" in queue("show", row["id"])
        submit(server, "HOLDFOR=1", "dave@test.example")
        wait_until(lambda: arrived(server, "dave"), "its time has come")
        assert arrived(server, "dave") == ["HOLDFOR=1"]
        assert arrived(server, "bob") == arrived(server, "carol") == []
        queue("retry", row["id"], "--yes")
        wait_until(lambda: arrived(server, "bob") and arrived(server, "carol"), "it was let go")
        assert arrived(server, "bob") == arrived(server, "carol") == ["HOLDFOR=3600"]
        wait_until(lambda: not queue.rows(), "nothing waits")
