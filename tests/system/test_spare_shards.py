"""Shards that a generation has left with nothing in them are kept for the next one: no command misses them."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.system.server import RunningServer, wait_until

ASIDE = "spool/{}/corrupt/A.eml"


def run(*arguments: str, code: int = 0) -> dict[str, Any]:
    """What a command of ours says in JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_shard_that_is_spare_is_not_missed(tmp_path: Path) -> None:
    """Also not by a backup, which has what was set aside there."""
    with RunningServer(tmp_path / "server", tls={"certificates": []}) as server:
        config = ["-c", str(server.file)]
        server.running.send_signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        for number in "01":  # they are empty, and yet open for a while
            server.wait_log(f"has adopted spool shard {number}")
        spares = [server.data / "spool" / number for number in "01"]
        wait_until(lambda: all((spare / "spare").exists() for spare in spares), "they are closed")
        aside = server.data / ASIDE.format(1)
        aside.parent.mkdir(exist_ok=True)
        aside.write_text("for a person")
        for command in (["queue", "ls"], ["queue", "sites"]):
            subprocess.run([sys.executable, "-m", "fastsmtp", *command, *config], timeout=60, check=True)
        mailq = subprocess.run(
            [sys.executable, "-m", "fastsmtp.sendmail", "-bp", "-C", str(server.file)],
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert mailq.stderr == b""
        found = run("doctor", "--no-dns", *config, code=1)["findings"]
        told = [one["text"] for one in found if one["area"] == "leftovers"]
        assert told == [
            f"1 messages could not be delivered by any means and wait in {aside.parent} for a person"
        ]
        backup = tmp_path / "backup"
        assert run("backup", str(backup), *config)["shards"] == 2
        assert (backup / "data" / ASIDE.format(1)).read_text() == "for a person"
        server.running.send_signal(signal.SIGHUP)
        server.wait_log("generation 3 serves")
        assert not any((spare / "spare").exists() for spare in spares)
