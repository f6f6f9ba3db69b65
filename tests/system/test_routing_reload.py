"""Aliases and users of a changed settings file count without a restart; a broken file changes nothing; and the
server's answer is what `route explain` says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.server import settings_text
from tests.tools.site import Site, environment, site
from tests.tools.waiting import until


def answer(server: Site, address: str) -> str:
    """The reply to RCPT for ``address``."""
    with server.connect() as sock, sock.makefile("rwb", buffering=0) as wire:
        said = wire.readline()
        for line in ("HELO c.test", "MAIL FROM:<s@x.test>", f"RCPT TO:<{address}>"):
            wire.write(f"{line}\r\n".encode())
            said = wire.readline()
        return said.decode().strip()


def explained(server: Site, address: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", "route", "explain", address, "--json", "-c", str(server.file)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return str(json.loads(done.stdout)["answer"])


@pytest.mark.parametrize("in_place", [False, True])
def test_a_changed_file_changes_the_answer(tmp_path: Path, in_place: bool) -> None:
    def write(text: str) -> None:
        if in_place:
            server.file.write_text(text)
        else:
            new = server.file.with_suffix(".new")
            new.write_text(text)
            new.rename(server.file)

    # somebody who asks for unknown recipients until the answer changes comes up against a limit otherwise
    with site(tmp_path, workers=1, limits={"loopback_exempt": True}) as server:
        pids = server.worker_pids()
        before = server.settings
        assert (server.data / "srs.secret").stat().st_mode & 0o777 == 0o600
        assert answer(server, "info@example.org") == "550 5.1.1 no such mailbox here"
        write(
            settings_text(
                {**before, "aliases": {'"info@example.org"': ["alice@example.org", "bob@example.org"]}}
            )
        )
        until("the new answer", lambda: answer(server, "info@example.org") == "250 2.1.5 recipient OK", 60)
        server.wait_log("event routing was read again")
        assert explained(server, "info@example.org") == "250 2.1.5 recipient OK"
        write(settings_text({**before, "aliases": {'"info@example.org"': ["nobody@example.org"]}}))
        server.wait_log(
            r"routing stays as it was: .*fastsmtp\.toml: aliases\..info@example\.org.*nobody@example\.org"
        )
        assert answer(server, "info@example.org") == "250 2.1.5 recipient OK"
        changed = {**before, "mailboxes": {**before["mailboxes"], "users": ["alice", "emil"]}}
        write(settings_text(changed))
        until("the new answer", lambda: answer(server, "emil@example.org") == "250 2.1.5 recipient OK", 60)
        for address in ("info@example.org", "bob@example.org", "x%far.test@example.org", "x@far.test"):
            assert answer(server, address) == explained(server, address)
            assert answer(server, address).startswith("550 ")
        assert server.worker_pids() == pids


def test_mail_for_an_alias_comes_to_all_of_them_once(tmp_path: Path) -> None:
    aliases = {
        '"team@example.org"': ["alice@example.org", "bobs@example.org"],
        '"bobs@example.org"': ["bob@example.org"],
    }
    with site(tmp_path, workers=1, aliases=aliases) as server:
        with server.connect() as sock, sock.makefile("rwb", buffering=0) as wire:
            wire.readline()
            lines = ["HELO c.test", "MAIL FROM:<s@x.test>"]
            lines += [f"RCPT TO:<{name}@example.org>" for name in ("bobs", "team", "bob")]
            for line in [*lines, "DATA", "Subject: x\r\n\r\nto the team\r\n."]:
                wire.write(f"{line}\r\n".encode())
                said = wire.readline()
            assert said.startswith(b"250 2.0.0 queued as ")
        for user in ("alice", "bob"):
            folder = server.maildir(user) / "new"
            until("a copy", lambda folder=folder: folder.is_dir() and any(folder.iterdir()), 60)
            assert len(list(folder.iterdir())) == 1
