"""FUTURERELEASE (RFC 4865) with the real server: what is held stays out of every mailbox, also when the server dies
meanwhile, until its time or until somebody lets it go."""

import smtplib
from pathlib import Path

import pytest

from tests.fakes.tls_client import client_context
from tests.system.server import wait_until
from tests.system.test_bench_tls import LOGIN, Secured
from tests.system.test_queue_commands import Queue

TOO_LONG = b"mail is not kept for so long, see FUTURERELEASE in EHLO"


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
        assert queue.rows("--state", "held") == [], "nobody but its sender holds it"
        assert [one["id"] for one in queue.rows("--state", "deferred")] == [row["id"]]
        queue("hold", row["id"], "--yes")
        assert [one["id"] for one in queue.rows("--state", "held")] == [row["id"]]
        queue("release", row["id"], "--yes")
        assert queue.rows()[0]["recipients"][0]["why"].startswith("held by its sender until 2")
        submit(server, "HOLDFOR=1", "dave@test.example")
        wait_until(lambda: arrived(server, "dave"), "its time has come")
        assert arrived(server, "dave") == ["HOLDFOR=1"]
        assert arrived(server, "bob") == arrived(server, "carol") == []
        queue("retry", row["id"], "--yes")
        wait_until(lambda: arrived(server, "bob") and arrived(server, "carol"), "it was let go")
        assert arrived(server, "bob") == arrived(server, "carol") == ["HOLDFOR=3600"]
        wait_until(lambda: not queue.rows(), "nothing waits")
        submit(server, "HOLDFOR=3600", "erin@test.example")
        wait_until(lambda: [row["state"] for row in queue.rows()] == ["deferred"], "it waits")
        queue("rm", queue.rows()[0]["id"], "--yes")
        wait_until(lambda: not queue.rows(), "it is gone")
        submit(server, "HOLDFOR=3600", "erin@test.example")
        wait_until(lambda: [row["state"] for row in queue.rows()] == ["deferred"], "it waits")
        queue("bounce", queue.rows()[0]["id"], "--yes")
        wait_until(lambda: arrived(server, "alice"), "its sender has it back")
        [notice] = (server.mail / "test.example" / "alice" / "new").glob("*")
        assert "Future-Release-Request: for;3600" in notice.read_text()
        assert not arrived(server, "erin")


def test_it_is_for_users_only(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    wish = "<alice@test.example> HOLDFOR=60"
    with Secured(tmp_path) as server:
        server.add_account()
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.starttls(context=client_context())
            client.login(LOGIN, "secret")
            assert "futurerelease" not in client.esmtp_features
            assert client.docmd("MAIL", f"FROM:{wish}")[0] == 555
        with smtplib.SMTP("127.0.0.1", server.submission) as client:
            client.ehlo()
            assert "futurerelease" not in client.esmtp_features
            assert client.docmd("MAIL", f"FROM:{wish}")[0] == 530
            client.starttls(context=client_context())
            client.ehlo()
            assert client.docmd("MAIL", f"FROM:{wish}")[0] == 530
            client.login(LOGIN, "secret")
            assert client.docmd("MAIL", f"FROM:{wish} HOLDUNTIL=2026-12-24T18:00:00Z")[0] == 501
            assert client.docmd("MAIL", f"FROM:{wish}000000") == (554, b"5.5.4 " + TOO_LONG)
            assert client.docmd("MAIL", f"FROM:{wish}")[0] == 250
