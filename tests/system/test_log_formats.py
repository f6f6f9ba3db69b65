"""What a real run writes in each format of the log, and foreign programs that read it."""

import base64
import collections
import contextlib
import os
import re
import signal
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.telemetry import events
from tests.conftest import require_program
from tests.fakes.scripted_peer import ScriptedPeer
from tests.system.server import RunningServer, wait_until
from tests.tools.site import Site, site


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def send(server: RunningServer, to: str, count: int, *, subject: str = "x") -> None:
    text = f"Subject: {subject}\r\nMessage-ID: <{subject}{{}}@far.test>\r\n\r\nhello\r\n"
    with smtplib.SMTP(*server.address, timeout=20) as client:
        for number in range(count):
            client.sendmail(
                "bob@far.test",
                to,
                text.format(number),
            )


def test_a_file_of_json_that_is_opened_anew(tmp_path: Path) -> None:
    log, old = tmp_path / "log.jsonl", tmp_path / "log.jsonl.1"
    with RunningServer(tmp_path, workers=2, log={"format": "json", "to": str(log)}) as server:
        for _ in range(4):
            send(server, "alice@test.example", 5)
        wait_until(lambda: text_of(log, '"kind":"delivered"') == 20, "all is told")
        log.rename(old)
        server.running.send_signal(signal.SIGUSR1)
        wait_until(
            lambda: any("SIGUSR1" in line for line in lines(log)), "the master writes into the new file"
        )
        for _ in range(4):
            send(server, "alice@test.example", 5, subject="new")
        wait_until(lambda: text_of(log, '"kind":"delivered"') == 20, "all workers write into the new file")
        assert server.stop() == 0
    found = {file: [events.decode(line.encode()) for line in lines(file)] for file in (old, log)}
    for file, subject in ((old, "x"), (log, "new")):
        received = [event for event in found[file] if isinstance(event, events.Received)]
        assert len(received) == 20
        assert {event.message_id for event in received} == {
            f"{subject}{number}@far.test" for number in range(5)
        }
        assert all(event.v == events.VERSION and 0 < event.sync < 20 for event in received)
        delivered = {event.id for event in found[file] if isinstance(event, events.Delivered)}
        assert delivered == {event.id for event in received}
    assert oct(log.stat().st_mode & 0o777) == "0o640"


def test_a_log_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    server = RunningServer(tmp_path, log={"to": str(tmp_path / "missing" / "log")})
    server.start(wait=False)
    assert server.wait() == 78
    assert re.search(
        r"log\.to: cannot open \S+/missing/log: No such file or directory; name another", server.log
    )
    assert "Traceback" not in server.log


def test_the_rest_goes_on_while_a_log_cannot_be_opened_anew(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "log"
    with RunningServer(tmp_path, workers=1, log={"to": str(log)}) as server:
        os.rename(folder, tmp_path / "moved")
        server.running.send_signal(signal.SIGUSR1)
        moved = tmp_path / "moved" / "log"
        wait_until(lambda: any("SIGUSR1: the old log stays" in line for line in lines(moved)), "it is told")
        send(server, "alice@test.example", 1)
        wait_until(lambda: any(" delivered id=" in line for line in lines(moved)), "and used")
        assert server.stop() == 0


# --- as Postfix writes ----------------------------------------------------------------------------

NO_AUTH = "wrong-password"


@pytest.fixture(scope="module")
def postfix_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log of a run in which everything has happened: see the tests for how often."""
    folder = tmp_path_factory.mktemp("postfix")
    log = folder / "mail.log"
    with contextlib.ExitStack() as held:
        peer = held.enter_context(ScriptedPeer({"rcpt": "550 5.1.1 nobody of that name"}))
        server = held.enter_context(
            site(
                folder,
                workers=2,
                log={"format": "postfix", "to": str(log)},
                accounts={"backend": "embedded"},
                auth={"clear_on_loopback": True},
                limits={"loopback_exempt": True, "connections_per_ip": 0},
                relay={"networks": ["127.0.0.1/32"]},
                routes=[
                    {"match": "bounce.test", "to": f"127.0.0.1:{peer.port}"},
                    {"match": "down.test", "to": "127.0.0.1:1"},
                ],
            )
        )
        happen(server)
        wait_until(lambda: text_of(log, "status=sent") == 7, "deliveries, and the notice")
        wait_until(lambda: text_of(log, "status=deferred") >= 1, "a deferral")
        wait_until(lambda: text_of(log, "status=bounced") == 2, "bounces")
        server.stop_in_order()
        yield log


def text_of(log: Path, words: str) -> int:
    return sum(words in line for line in lines(log))


def happen(server: Site) -> None:
    """Five messages for mailboxes, two that bounce (both senders are of ours), one that waits, three for nobody, two
    that would be relayed for strangers, four failed logins."""
    server.add_account("alice@example.org", "secret")
    send(server, "alice@example.org", 5)
    with smtplib.SMTP(*server.address, timeout=20) as client:
        for to in ("a@bounce.test", "b@bounce.test", "c@down.test"):
            client.sendmail("alice@example.org", to, "Subject: y\r\n\r\nhello\r\n")
    with server.wire(source="127.0.0.2") as stranger:
        stranger.hello()
        stranger.expect("MAIL FROM:<a@client.example>", "250")
        for number in range(3):
            stranger.expect(f"RCPT TO:<nobody{number}@example.org>", "550 5.1.1")
        for _ in range(2):
            stranger.expect("RCPT TO:<x@elsewhere.test>", "550 5.7.1")
    for _ in range(4):
        with server.wire(source="127.0.0.3") as guesser:
            guesser.hello()
            login = base64.b64encode(b"\0alice@example.org\0" + NO_AUTH.encode())
            assert guesser.command(b"AUTH PLAIN " + login).code == 535


def test_no_password_is_in_it(postfix_log: Path) -> None:
    text = postfix_log.read_text()
    for secret in (NO_AUTH, base64.b64encode(b"\0alice@example.org\0" + NO_AUTH.encode()).decode()):
        assert secret not in text


def test_pflogsumm_counts_what_happened(postfix_log: Path) -> None:
    program = require_program("pflogsumm")
    done = subprocess.run([program, str(postfix_log)], capture_output=True, text=True, timeout=60, check=True)
    words = "received|delivered|deferred|bounced|rejected|senders|recipients"
    found = re.findall(rf"^ +(\d+) +({words})\b", done.stdout, re.MULTILINE)[:7]
    totals = {word: number for number, word in found}
    assert totals == {
        "received": "8",
        "delivered": "7",
        "deferred": "1",
        "bounced": "2",
        "rejected": "5",
        "senders": "2",
        "recipients": "1",
    }
    assert re.search(r"User unknown", done.stdout)
    assert re.search(r"Relay access denied", done.stdout)


def fail2ban(log: Path, mode: str) -> collections.Counter[str]:
    """How often the stock filter has found which address."""
    program = require_program("fail2ban-regex")
    done = subprocess.run(
        [program, "--print-all-matched", str(log), f"/etc/fail2ban/filter.d/postfix.conf[mode={mode}]"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Date template hits" in done.stdout, done.stdout + done.stderr
    matched = done.stdout.partition("Matched line(s):")[2].partition("`-")[0]
    return collections.Counter(re.findall(r"unknown\[(\S+?)\]", matched))


def test_fail2ban_finds_who_guesses_and_who_asks_for_nobody(postfix_log: Path) -> None:
    assert fail2ban(postfix_log, "auth") == {"127.0.0.3": 4}
    assert fail2ban(postfix_log, "normal") == {"127.0.0.2": 5}
    assert fail2ban(postfix_log, "extra") == {"127.0.0.2": 5, "127.0.0.3": 4}
