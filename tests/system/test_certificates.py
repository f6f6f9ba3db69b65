"""Certificates of the real program: only the master reads them, workers use what it hands over, and `cert status`
tells what that is."""

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastsmtp.tls.settings import CertificateSettings
from tests.system.server import RunningServer, wait_until
from tests.tools.chains import Issued
from tests.tools.root import root_only
from tests.tools.site import environment
from tests.tools.tls_pairs import key_pem, write_pair


def tls(*pairs: CertificateSettings) -> dict[str, Any]:
    """The table for these."""
    return {"certificates": [{"cert": one.cert, "key": one.key} for one in pairs]}


def status(server: RunningServer) -> dict[str, Any]:
    """What `cert status` says of the one certificate."""
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", "cert", "status", "--json", "-c", str(server.file)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    (one,) = json.loads(done.stdout)["certificates"]
    assert isinstance(one, dict)
    return one


def used_everywhere(server: RunningServer) -> bool:
    """Whether both workers use what is in the file."""
    one = status(server)
    return len(one["loaded"]) == 2 and bool(one["current"])


@root_only
def test_workers_that_cannot_read_the_key_get_each_new_one() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        secret = folder / "secret"
        secret.mkdir(mode=0o700)
        pair = write_pair(secret, Issued("one.example.org"))
        with RunningServer(folder / "server", user="nobody", tls=tls(pair)) as server:
            wait_until(lambda: used_everywhere(server), "both workers use the first one")
            for pid in server.worker_pids():
                assert f"Uid:\t{os.stat(server.data).st_uid}\t" in Path(f"/proc/{pid}/status").read_text()
            write_pair(secret, Issued("two.example.org"))
            wait_until(lambda: "new certificate of two.example.org" in server.log, "the change is seen")
            wait_until(lambda: used_everywhere(server), "both workers use the second one")
            assert status(server)["names"] == ["two.example.org"]
            killed = server.worker_pids()[0]
            os.kill(killed, 9)
            wait_until(
                lambda: len(server.worker_pids()) == 2 and killed not in server.worker_pids(), "a new worker"
            )
            wait_until(lambda: used_everywhere(server), "the new worker uses the second one too")


def test_a_bad_new_pair_changes_nothing(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, Issued("one.example.org"))
    with RunningServer(tmp_path / "server", tls=tls(pair)) as server:
        wait_until(lambda: used_everywhere(server), "both workers use it")
        before = status(server)["loaded"]
        Path(pair.key).write_bytes(key_pem(Issued("other.example.org")))
        wait_until(lambda: "the old certificate stays in use" in server.log, "the change is refused")
        now = status(server)
        assert now["loaded"] == before
        assert "is not for the key" in now["problem"]
        assert server.log.count("stays in use") == 1


def test_a_loose_key_is_refused_at_the_start(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, Issued("one.example.org"))
    os.chmod(pair.key, 0o644)
    server = RunningServer(tmp_path / "server", tls=tls(pair))
    server.start(wait=False)
    assert server.wait() == os.EX_CONFIG
    assert f"`chmod 600 {pair.key}` mends it" in server.log


def test_an_expired_certificate_is_no_reason_not_to_start(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, Issued("old.example.org", begins=datetime.now(UTC) - timedelta(days=40)))
    with RunningServer(tmp_path / "server", tls=tls(pair)) as server:
        wait_until(
            lambda: (
                "WARNING: tls.certificates[0]: the certificate of old.example.org expired on" in server.log
            ),
            "it is told",
        )
