"""An upgrade to a program with another format of the spool, or of the accounts: what it leaves when it comes to
nothing, and what it does when it serves."""

import os
import smtplib
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts import embedded
from fastsmtp.store import format_of
from tests.system.server import RunningServer, settings_text
from tests.system.test_generations import command, end, mailed, master_of, reload, upgrade
from tests.tools.site import ROOT
from tests.tools.waiting import until

OLD, NEW = 3, 4
PROGRAM = f"""
import os, pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
from fastsmtp.accounts import embedded
from fastsmtp.spool import record
file = pathlib.Path(os.environ["INSTALLED"])
installed = file.read_text() if file.exists() else ""
if installed == "spool":
    record.FORMAT = {NEW}
    record.MIGRATIONS[{OLD}] = lambda txn, databases: None
elif installed == "accounts":
    embedded.MIGRATIONS[embedded.FORMAT] = lambda txn, databases: None
    embedded.FORMAT += 1
from fastsmtp.cli.main import main
sys.argv[0] = "fastsmtp"
sys.exit(main())
"""
"""The next version, once its file says what is new in it."""


class Versions:
    """A server with a message that waits, whose next version can be installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.installed = directory / "installed"
        self.script = directory / "program.py"
        directory.mkdir(parents=True, exist_ok=True)
        self.script.write_text(PROGRAM)

    def server(self, **settings: Any) -> RunningServer:
        return RunningServer(
            self.directory / "server",
            program=[sys.executable, str(self.script), "serve"],
            environment={"INSTALLED": str(self.installed)},
            delivery={"hold": True},
            **settings,
        )


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def send(server: RunningServer) -> None:
    with smtplib.SMTP(*server.address) as client:
        client.sendmail("a@client.example", ["alice@test.example"], "Subject: x\r\n\r\nx\r\n")


def formats(server: RunningServer) -> dict[int, int | None]:
    """The format of each shard."""
    return {
        int(path.parent.name): format_of(path.parent) for path in (server.data / "spool").glob("*/data.mdb")
    }


def release(server: RunningServer) -> None:
    """What waits is delivered after the next reload."""
    server.settings["delivery"] = {"hold": False}
    server.file.write_text(settings_text(server.settings))


def test_an_upgrade_that_is_given_up_has_migrated_nothing(versions: Versions) -> None:
    with versions.server() as server:
        send(server)
        before = formats(server)
        assert set(before.values()) == {OLD}
        versions.installed.write_text("spool")
        # Its workers get ready, on shards of the new format, and then one of its processes cannot start.
        server.settings["webhooks"] = [
            {"name": "a", "url": "http://127.0.0.1:1/", "secret_file": "/nowhere/secret"}
        ]
        server.file.write_text(settings_text(server.settings))
        refused = command(server, "upgrade")
        assert refused.returncode == os.EX_CONFIG, refused
        assert {number: formats(server)[number] for number in before} == before
        del server.settings["webhooks"]
        server.file.write_text(settings_text(server.settings))
        reload(server, 2)
        send(server)
        versions.installed.unlink()
        assert server.stop() == 0
    # The old program starts again, beside what the new one has left, and can be reloaded.
    with versions.server() as server:
        for number in (2, 3, 4):
            reload(server, number)
            send(server)
        release(server)
        reload(server, 5)
        until("all mail", lambda: len(mailed(server)) == 5, 20)
        assert server.stop() == 0


def test_shards_are_migrated_when_they_are_adopted(versions: Versions) -> None:
    with versions.server() as server:
        send(server)
        before = formats(server)
        versions.installed.write_text("spool")
        release(server)
        upgrade(server)
        until("the mail", lambda: len(mailed(server)) == 1, 20)
        assert master_of(server) != server.running.pid
        end(server)
        after = formats(server)
        assert {after.get(number, NEW) for number in before} == {NEW}


def test_accounts_of_another_format_need_a_restart(versions: Versions) -> None:
    """The old program reads them as long as it lives: an upgrade is refused, and what is there is not touched."""
    accounts = {"backend": "embedded"}
    with versions.server(accounts=accounts) as server:
        versions.installed.write_text("accounts")
        refused = command(server, "upgrade")
        assert refused.returncode == os.EX_CONFIG, refused
        assert "stop the server and start it again" in refused.stderr
        assert master_of(server) == server.running.pid
        assert format_of(server.data / "accounts") == embedded.FORMAT
        with smtplib.SMTP(*server.address) as client:
            assert client.ehlo()[0] == 250
        assert server.stop() == 0
    with versions.server(accounts=accounts) as server:
        assert format_of(server.data / "accounts") == embedded.FORMAT + 1
        assert server.stop() == 0
