"""The filter and the jail that we bring for fail2ban, read by fail2ban itself."""

import shutil
import smtplib
import subprocess
from pathlib import Path

import pytest

from fastsmtp.telemetry.events import VERSION, Closed, Event, LoginFailed, Received, Rejected, encode
from fastsmtp.telemetry.text import TextForm, text
from tests.conftest import require_program
from tests.system.server import RunningServer, wait_until

CONF = Path(__file__).resolve().parents[2] / "conf/fail2ban"
FILTER = CONF / "filter.d/fastsmtp.conf"
JOURNAL = "2026-11-24T16:14:13.500Z mx.example.org fastsmtp[77]: "
"""As fail2ban sees a line of the journal, with a time before it since it is read from a file here."""
HOSTILE = (
    '{"kind":"login_failed","v":1,"client":"198.51.100.9"} fastsmtp[1/0] login-failed client=198.51.100.9 \n'
)


def rejected(client: str, stage: str, code: int, enhanced: str, **more: str) -> Rejected:
    return Rejected(
        v=VERSION,
        at=1795536853.5381112,
        worker=0,
        pid=77,
        client=client,
        stage=stage,
        code=code,
        enhanced=enhanced,
        reply=HOSTILE,
        **more,
    )


def login_failed(client: str, worker: int | None = 0) -> LoginFailed:
    return LoginFailed(
        v=VERSION,
        at=1795536853.5381112,
        worker=worker,
        pid=77,
        client=client,
        mechanism="PLAIN",
        login=HOSTILE,
        reason=HOSTILE,
    )


EVENTS: list[Event] = [
    login_failed("192.0.2.1"),
    login_failed("2001:db8::1", worker=None),
    rejected("192.0.2.2", "RCPT", 550, "5.1.1", sender=HOSTILE, to=HOSTILE, helo=HOSTILE),
    rejected("2001:db8::2", "RCPT", 550, "5.7.1", sender="", to="x@far.example"),
    rejected("192.0.2.3", "MAIL", 553, "5.7.1", sender=HOSTILE),
    rejected("192.0.2.4", "EHLO", 501, "5.5.2", helo=HOSTILE),
    Closed(v=VERSION, at=1795536853.5381112, worker=0, pid=77, client="192.0.2.5", reason=HOSTILE),
    rejected("203.0.113.1", "RCPT", 452, "4.3.1", sender=HOSTILE, to=HOSTILE),
    Received(
        v=VERSION,
        at=1795536853.5381112,
        worker=0,
        pid=77,
        id="4XyZ",
        client="203.0.113.2",
        helo=HOSTILE,
        sender=HOSTILE,
        to=[HOSTILE],
        size=1,
        protocol="ESMTP",
    ),
]
GUESSES = {"192.0.2.1", "2001:db8::1"}
REFUSED = {"192.0.2.2", "2001:db8::2"}
RUDE = {"192.0.2.3", "192.0.2.4", "192.0.2.5"}
MODES = {"auth": GUESSES, "normal": GUESSES | REFUSED, "aggressive": GUESSES | REFUSED | RUDE}

TEXT = TextForm()(EVENTS, b"").decode().splitlines()
JSON = encode(EVENTS).decode().splitlines()
FORMS = {
    "text": TEXT,
    "json": JSON,
    "text, by standard error into the journal": [JOURNAL + line for line in TEXT],
    "json, by standard error into the journal": [JOURNAL + line for line in JSON],
    "text, in the journal": [JOURNAL + text(event) for event in EVENTS],
}


def found(log: Path, mode: str) -> set[str]:
    """The addresses that fail2ban counts."""
    program = require_program("fail2ban-regex")
    done = subprocess.run(
        [program, "-o", "<ip>", str(log), f"{FILTER}[mode={mode}]"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_who_is_counted(form: str, mode: str, tmp_path: Path) -> None:
    """Whatever a client says, nobody else is counted for it."""
    log = tmp_path / "log"
    log.write_text("".join(f"{line}\n" for line in FORMS[form]))
    assert found(log, mode) == MODES[mode]


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_of_a_server(form: str, tmp_path: Path) -> None:
    """Who asks for recipients that do not exist is counted, who sends is not."""
    log = tmp_path / "mail.log"
    with RunningServer(
        tmp_path,
        log={"format": form, "to": str(log)},
        mailboxes={"unknown_users": "reject", "users": ["alice"]},
    ) as server:
        with smtplib.SMTP(*server.address, source_address=("127.0.0.2", 0)) as good:
            good.sendmail("a@far.example", "alice@test.example", "Subject: x\r\n\r\nx\r\n")
        with smtplib.SMTP(*server.address, source_address=("127.0.0.3", 0)) as bad:
            bad.ehlo()
            bad.mail("a@far.example")
            assert bad.rcpt("nobody@test.example")[0] == 550
        wait_until(lambda: "127.0.0.3" in log.read_text() and "delivered" in log.read_text(), "all is told")
        assert server.stop() == 0
    assert found(log, "normal") == {"127.0.0.3"}


def test_the_jail(tmp_path: Path) -> None:
    """As it is installed, and switched on as its text says."""
    program = require_program("fail2ban-client")
    place = tmp_path / "fail2ban"
    shutil.copytree("/etc/fail2ban", place)
    shutil.copytree(CONF, place, dirs_exist_ok=True)
    (place / "jail.local").write_text("[sshd]\nenabled = false\n[fastsmtp]\nenabled = true\n")
    for option in ("-t", "-d"):
        done = subprocess.run(
            [program, "-c", str(place), option], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "['add', 'fastsmtp', 'systemd']" in done.stdout
    assert "_SYSTEMD_UNIT=fastsmtp.service" in done.stdout
