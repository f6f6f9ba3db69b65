"""The doctor beside a real server, and the queue's indexes made again when it has stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fakes.dns_server import DnsServer
from tests.tools.site import Site, environment


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def doctor(site: Site, *more: object) -> list[dict[str, Any]]:
    code, out, _ = run("doctor", "-c", site.file, "--json", *more)
    said = json.loads(out)
    assert said["exit_code"] == code
    found: list[dict[str, Any]] = said["findings"]
    return found


def test_it_looks_at_a_server_that_runs_and_at_one_that_does_not(tmp_path: Path) -> None:
    with DnsServer() as dns, Site(tmp_path, dns={"servers": [dns.address]}) as site:
        dns.add("mx.example.org", "A", "192.0.2.1")
        found = doctor(site, "--outbound", "127.0.0.2")
        assert {one["area"] for one in found if one["severity"] == "error"} <= {"dns", "ports"}
        assert next(one["text"] for one in found if one["area"] == "ports").startswith("127.0.0.2:25 cannot")
        assert any("example.org has no MX record" in one["text"] for one in found)
        code, out, _ = run("doctor", "-c", site.file, "--no-dns")
        assert f"mend: fastsmtp backup /backup/mail-$(date +%F).tar -c {site.file}" in out
        assert out.splitlines()[-1].startswith("well: ")
        assert "DNS" not in out
        site.kill_all()
        found = doctor(site, "--no-dns")
        stale = [one["severity"] for one in found if "nobody listens at" in one["text"]]
        assert stale == ["note"] * 3, "two workers and their master"
    assert code in (0, 1)


def test_indexes_are_made_again_when_the_server_has_stopped(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        code, _, errors = run("reindex", "queue", "-c", site.file)
        assert code == os.EX_TEMPFAIL
        assert "stop it first" in errors
        site.stop_in_order()
        code, out, _ = run("reindex", "queue", "-c", site.file, "--json")
        assert code == 0
        assert json.loads(out) == {"shards": 2, "messages": 0, "rows": 0, "damaged": 0}
        code, out, _ = run("reindex", "queue", "-c", site.file)
        assert out == "0 rows made for 0 messages that wait, in 2 spools\n"


def test_what_backup_and_restore_say(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        code, out, errors = run("backup", tmp_path / "b.tar", "-c", site.file)
        assert (code, errors) == (0, "")
        assert "spool, accounts, settings; 2 spools\nto put it back: fastsmtp restore " in out
        code, _, errors = run("backup", tmp_path / "b.tar", "-c", site.file)
        assert code == os.EX_CANTCREAT
        code, _, errors = run("restore", tmp_path / "b.tar", "-c", site.file)
        assert code == os.EX_TEMPFAIL
        assert "stop it first" in errors
        site.stop_in_order()
        code, _, errors = run("restore", tmp_path / "b.tar", "-c", site.file)
        assert code == os.EX_CANTCREAT
        assert "is not empty" in errors
        code, out, _ = run("restore", tmp_path / "b.tar", "-c", site.file, "--replace")
        assert code == 0
        assert "note: what was there before is in " in out
        assert "is delivered once more" in out
        code, _, errors = run("restore", tmp_path / "b.tar")
        assert code == os.EX_USAGE
        site.start()
        site.stop_in_order()
