"""Control sockets that were removed, or something else was put in their place: mail goes on, and they come back."""

import os
import shutil
from pathlib import Path

from tests.system.server import RunningServer
from tests.system.test_generations import command
from tests.system.test_upgrade_deaths import HOOK, greets
from tests.tools.waiting import until


def in_the_way(path: Path) -> bool:
    """Put a directory in the place of a socket, which its owner may make again in between."""
    path.unlink(missing_ok=True)
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def test_who_asks_finds_the_server_again(tmp_path: Path) -> None:
    with RunningServer(tmp_path, webhooks=[HOOK]) as server:
        control = server.data / "control"
        shutil.rmtree(control)
        until("the master answers", lambda: "webhook a: " in command(server, "status").stdout, 40)
        until("the workers answer", lambda: command(server, "queue", "ls").returncode == 0, 40)
        until("a directory is in the way", lambda: in_the_way(control / "master"), 40)
        server.wait_log(f"cannot listen at {control}/master: Is a directory; ")
        asked = command(server, "status")
        assert asked.returncode == os.EX_UNAVAILABLE
        assert "runs, but nobody listens at " in asked.stderr
        assert greets(server)
        (control / "master").rmdir()
        until("the master answers", lambda: command(server, "status").returncode == 0, 40)
        assert server.log.count("cannot listen at ") == 1
        assert server.stop() == 0
