"""A backup under load, the end of the server, and its mail elsewhere: every message that was accepted before the
backup began is there, byte for byte."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.tools import arrived, audit
from tests.tools.load import Load, Mix, Sent
from tests.tools.ordeal import MAILBOXES
from tests.tools.site import Site, environment
from tests.tools.waiting import until

pytestmark = pytest.mark.slow


def fastsmtp(*arguments: object, code: int = 0) -> dict[str, Any]:
    """What the command says in JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", *map(str, arguments), "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def loaded(site: Site, messages: int) -> Load:
    """Load on ``site``, that many accepted."""
    load = Load(site.address, Mix(MAILBOXES), seed=3)
    load.start()
    until(f"{messages} are accepted", lambda: len(load.accepted) >= messages, 60)
    return load


def arrived_all(site: Site, sent: list[Sent]) -> Counter[tuple[str, str]]:
    """What stands in the mailboxes once all of ``sent`` is there and nothing more comes."""
    until("all of it is there", lambda: not audit.awaited(sent, audit.standing(site.mail)), 60)
    until("no body file is left", lambda: not audit.body_files(site.data), 60)
    until("tmp/ is empty", lambda: not arrived.left_in_tmp(site.mail), 60)
    return audit.standing(site.mail)


def test_held_mail_is_in_it_exactly_once(tmp_path: Path) -> None:
    one = Site(tmp_path / "one", delivery={"hold": True})
    two = Site(tmp_path / "two")
    two.file.write_text("")
    try:
        one.start()
        load = loaded(one, 300)
        before = list(load.accepted)
        taken = fastsmtp("backup", tmp_path / "b.tar", "-c", one.file)
        after = len(load.accepted)
        until("mail is taken after it", lambda: len(load.accepted) > after, 60)
        one.kill_all()
        load.faults.clear()
        load.stop()
        assert taken["shards"] == 2
        two.start(wait=True)
        two.stop_in_order()
        fastsmtp("restore", tmp_path / "b.tar", "-c", two.file, "--replace")
        two.start()
        seen = arrived_all(two, before)
        two.stop_in_order()
        assert [fault for fault in audit.compare(load.sent, seen) if "lost" not in fault] == []
        assert audit.left_behind(two.data, two.mail) == []
    finally:
        for site in (one, two):
            if site.process is not None and site.runs:
                site.kill()


def test_mail_on_its_way_is_in_the_mailbox_or_in_the_queue(tmp_path: Path) -> None:
    one = Site(tmp_path / "one")
    two = Site(tmp_path / "two")
    try:
        one.start()
        load = loaded(one, 300)
        before = list(load.accepted)
        fastsmtp("backup", tmp_path / "b", "--mail", "--ledger", "-c", one.file)
        one.kill_all()
        load.faults.clear()
        load.stop()
        two.file.write_text(one.file.read_text().replace(str(one.directory), str(two.directory)))
        fastsmtp("restore", tmp_path / "b", "-c", two.file, "--mail")
        two.start()
        seen = arrived_all(two, before)
        two.stop_in_order()
        faults = audit.compare(load.sent, seen)
        twice = [fault for fault in faults if "delivered 2 times" in fault]  # delivered while it was taken
        assert [fault for fault in faults if "lost" not in fault and fault not in twice] == []
        assert audit.left_behind(two.data, two.mail) == []
    finally:
        for site in (one, two):
            if site.process is not None and site.runs:
                site.kill()


def test_without_a_server(tmp_path: Path) -> None:
    one = Site(tmp_path / "one", delivery={"hold": True})
    two = Site(tmp_path / "two")
    try:
        one.start()
        load = loaded(one, 100)
        one.kill_all()
        load.faults.clear()
        load.stop()
        fastsmtp("backup", tmp_path / "b.tar", "-c", one.file)
        two.file.write_text(
            one.file.read_text()
            .replace(str(one.directory), str(two.directory))
            .replace("hold = true", "hold = false")
        )
        fastsmtp("restore", tmp_path / "b.tar", "-c", two.file)
        two.start()
        seen = arrived_all(two, load.accepted)
        two.stop_in_order()
        assert audit.compare(load.sent, seen) == []
    finally:
        for site in (one, two):
            if site.process is not None and site.runs:
                site.kill()
