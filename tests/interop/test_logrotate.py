"""logrotate with the file that we bring, against a running server whose log is a file."""

import shutil
import smtplib
import subprocess
from pathlib import Path

from tests.conftest import require_program
from tests.system.server import RunningServer, wait_until

CONF = Path(__file__).resolve().parents[2] / "conf/logrotate/fastsmtp"


def logrotate(*arguments: str | Path) -> str:
    """Run it; what it says."""
    done = subprocess.run(
        [require_program("logrotate"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_the_file_is_understood(tmp_path: Path) -> None:
    said = logrotate("-d", "-s", tmp_path / "state", CONF)
    assert "rotating pattern: /var/log/fastsmtp/*.log  after 1 days (14 rotations)" in said
    assert "error" not in said


def test_a_rotation_while_mail_comes(tmp_path: Path) -> None:
    """All is told, in the old file or in the new one."""
    logs = tmp_path / "log"
    logs.mkdir(mode=0o750)
    log, old = logs / "mail.log", logs / "mail.log.1"
    with RunningServer(tmp_path, log={"to": str(log)}) as server:
        conf = tmp_path / "logrotate.conf"
        text = CONF.read_text()
        assert text.count("/var/log/fastsmtp/") == text.count("/var/lib/fastsmtp/data/") == 1
        text = text.replace("/var/log/fastsmtp/", f"{logs}/").replace(
            "/var/lib/fastsmtp/data/", f"{server.data}/"
        )
        conf.write_text(text)
        conf.chmod(0o644)
        delivered = lambda file: file.read_text().count(" delivered id=")  # noqa: E731
        with smtplib.SMTP(*server.address) as client:
            for number in range(40):
                if number == 20:
                    wait_until(lambda: delivered(log) == 20, "the first half is told")
                    logrotate("-f", "-s", tmp_path / "state", conf)
                    wait_until(lambda: log.exists() and "SIGUSR1" in log.read_text(), "it is opened anew")
                client.sendmail("a@far.example", "alice@test.example", f"Subject: {number}\r\n\r\nx\r\n")
        wait_until(lambda: delivered(old) + delivered(log) == 40, "every delivery is told")
        assert (delivered(old), delivered(log)) == (20, 20)
        assert server.stop() == 0
    assert "stopped" in log.read_text()


def test_no_server_and_somebody_else_s_pid(tmp_path: Path) -> None:
    """The lock file of a server that is gone names a stranger: SIGUSR1 would end it."""
    logs, data = tmp_path / "log", tmp_path / "data"
    logs.mkdir(mode=0o750)
    data.mkdir()
    (logs / "mail.log").write_text("x\n")
    conf = tmp_path / "logrotate.conf"
    text = CONF.read_text().replace("/var/log/fastsmtp/", f"{logs}/")
    conf.write_text(text.replace("/var/lib/fastsmtp/data/", f"{data}/"))
    conf.chmod(0o644)
    sleep = shutil.which("sleep")
    assert sleep is not None
    stranger = subprocess.Popen([sleep, "600"])
    try:
        (data / "lock").write_text(f"{stranger.pid}\n")
        logrotate("-f", "-s", tmp_path / "state", conf)
        assert stranger.poll() is None
        assert (logs / "mail.log.1").exists()
        (data / "lock").unlink()
        (logs / "mail.log").write_text("x\n")
        logrotate("-f", "-s", tmp_path / "state", conf)
    finally:
        stranger.kill()
        stranger.wait()
