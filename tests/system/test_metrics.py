"""The figures of a running server: that they are what the log tells, over the deaths of workers, and how one reads
them."""

import json
import os
import re
import signal
import smtplib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fastsmtp.cli.samples import Reading
from tests.conftest import require_program
from tests.system.server import RunningServer, free_port, wait_until

TO, UNKNOWN, FAR = "alice@test.example", "nobody@elsewhere.test", "bob@far.test"


def command(server: RunningServer, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "fastsmtp", *arguments, "-c", str(server.file)]


def read(server: RunningServer) -> Reading:
    done = subprocess.run(command(server, "metrics"), check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == os.EX_OK, done.stderr
    return Reading(done.stdout)


def send(server: RunningServer, messages: int) -> None:
    with smtplib.SMTP(*server.address, timeout=20) as client:
        for _ in range(messages):
            client.sendmail("a@client.test", [TO], "Subject: x\r\n\r\nHello\r\n")


def told(server: RunningServer) -> Counter[str]:
    """What the log has told of, by kind."""
    return Counter(
        re.findall(r"^\S+ fastsmtp\[\d+/\d+\] (received|rejected|delivered) ", server.log, re.MULTILINE)
    )


def test_the_figures_are_those_of_the_log_also_after_a_worker_has_died(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        for _ in range(4):
            send(server, 5)
        with (
            smtplib.SMTP(*server.address, timeout=20) as client,
            pytest.raises(smtplib.SMTPRecipientsRefused),
        ):
            client.sendmail("a@client.test", [UNKNOWN], "Subject: x\r\n\r\n")
        wait_until(lambda: told(server)["delivered"] == 20, "twenty deliveries in the log")
        before = read(server)
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: len(re.findall(r"worker \d \(pid \d+\) ready", server.log)) == 4, "two new workers"
        )
        after = read(server)
        for name in ("connections", "messages_received", "received_bytes", "rejected", "deliveries"):
            assert after.total(f"fastsmtp_{name}_total") >= before.total(f"fastsmtp_{name}_total") > 0, name
        assert after.total("fastsmtp_worker_exits_total") == 2
        send(server, 3)
        wait_until(lambda: told(server)["delivered"] == 23, "three more")
        last, log = read(server), told(server)
        assert last.total("fastsmtp_messages_received_total") == log["received"] == 23
        assert last.total("fastsmtp_deliveries_total", transport="local", result="delivered") == 23
        assert last.by("fastsmtp_rejected_total", "reason")["relay"] == log["rejected"] == 1
        assert last.total("fastsmtp_session_stage_seconds_count", stage="commit") == 23
        assert last.total("fastsmtp_spool_commit_messages_sum") == 23
        wait_until(lambda: read(server).total("fastsmtp_workers") == 2, "gauges of two workers")


def test_the_queue_by_state_and_by_site(tmp_path: Path) -> None:
    nobody = free_port()
    with RunningServer(
        tmp_path,
        relay={"networks": ["127.0.0.0/8"]},
        routes=[{"match": "far.test", "to": [f"127.0.0.1:{nobody}"]}],
    ) as server:
        with smtplib.SMTP(*server.address, timeout=20) as client:
            for _ in range(3):
                client.sendmail("a@client.test", [FAR], "Subject: x\r\n\r\nHello\r\n")

        def waits() -> bool:
            found = read(server)
            states = found.by("fastsmtp_queue_messages", "state")
            sites = found.all("fastsmtp_site_failing")
            return sum(states.values()) == 3 and any(site.value for site in sites)

        wait_until(waits, "three messages that wait, and a site that fails")
        found = read(server)
        assert found.total("fastsmtp_attempt_seconds_count", outcome="unreachable") >= 1
        sites = [line for line in picture(server) if line.startswith("[127.0.0.1]:")]
        assert sites
        assert all(line.endswith("failing") for line in sites)


def picture(server: RunningServer) -> list[str]:
    done = subprocess.run(
        command(server, "top", "--once", "--every", "0.2"),
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.splitlines()


def test_top_as_one_picture_and_as_json(tmp_path: Path) -> None:
    with RunningServer(tmp_path, workers=1) as server:
        text = picture(server)
        assert text[0].startswith("fastsmtp ")
        assert [line for line in text if line.startswith("message stored")]
        done = subprocess.run(
            command(server, "top", "--json", "--once", "--every", "0.2"),
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        [line] = done.stdout.splitlines()
        found = json.loads(line)
        assert found["queue"] == {"local": 0, "fresh": 0, "deferred": 0, "held": 0}
        assert {stage["name"] for stage in found["stages"]} >= {"message stored", "journal sync"}


class Terminal:
    """A terminal of tmux's, 80 columns and 24 lines, that nobody looks at; its socket lies in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._tmux = [require_program("tmux"), "-S", str(directory / "tmux"), "-f", os.devnull]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=False, capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *program: str) -> None:
        # a shell that stays shows what is there after the program
        self.run("new-session", "-d", "-s", "t", "-x", "80", "-y", "24", "/bin/sh")
        self.run(
            "send-keys", "-t", "t", subprocess.list2cmdline([*program]) + "; echo ended with $?", "Enter"
        )

    def screen(self) -> str:
        return self.run("capture-pane", "-p", "-t", "t")

    def press(self, key: str) -> None:
        self.run("send-keys", "-t", "t", key)

    def end(self) -> None:
        self.run("kill-server")


def test_top_on_a_terminal(tmp_path: Path) -> None:
    directory = tmp_path / "s"
    with RunningServer(directory, workers=1) as server:
        terminal = Terminal(tmp_path)
        terminal.start(*command(server, "top", "--every", "0.5"))
        try:
            wait_until(lambda: "how long it takes" in terminal.screen(), "a picture")
            send(server, 10)
            wait_until(lambda: re.search(r"^message stored +\d+\.\d .*(us|ms|s)$", terminal.screen(), re.MULTILINE),
                       "messages in it")  # fmt: skip
            shown = terminal.screen()
            assert len(shown.splitlines()) <= 24
            assert shown.splitlines()[0].startswith("fastsmtp ")
            assert re.search(r"^queue +local \d+  fresh 0  deferred 0  held 0", shown, re.MULTILINE)
            terminal.press("q")
            wait_until(lambda: "ended with 0" in terminal.screen(), "the end")
            assert "how long it takes" not in terminal.screen(), "the screen is as it was"
        finally:
            terminal.end()


def test_top_outlives_the_server(tmp_path: Path) -> None:
    directory = tmp_path / "s"
    with RunningServer(directory, workers=1) as server:
        terminal = Terminal(tmp_path)
        terminal.start(*command(server, "top", "--every", "0.3"))
        try:
            wait_until(lambda: "how long it takes" in terminal.screen(), "a picture")
            assert server.stop() == 0
            wait_until(lambda: "no server runs" in terminal.screen(), "that nobody answers")
            server.start()
            wait_until(lambda: "how long it takes" in terminal.screen(), "a picture again")
            terminal.press("C-c")
            wait_until(lambda: "ended with 130" in terminal.screen(), "the end")
        finally:
            terminal.end()


@pytest.mark.parametrize("name", ["metrics", "top"])
def test_without_a_server_that_is_said(tmp_path: Path, name: str) -> None:
    server = RunningServer(tmp_path)
    with server:
        server.stop()
    done = subprocess.run(command(server, name), check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == os.EX_UNAVAILABLE
    assert done.stdout == ""
    assert re.fullmatch(
        r"fastsmtp: no server runs on \S+; start one, or name another settings file with -c\n", done.stderr
    )


def test_a_new_generation_goes_on_counting(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        send(server, 5)
        with smtplib.SMTP(*server.address, timeout=20) as held:
            held.docmd("NOOP")
            for number in range(1, 4):
                server.running.send_signal(signal.SIGHUP)
                server.wait_log(rf"(?s)(generation \d.*){{{number}}}", 30)
                wait_until(lambda: read(server).total("fastsmtp_workers") == 2, "two workers that serve")
                send(server, 5)
            held.sendmail("a@client.test", [TO], "Subject: x\r\n\r\nfrom the first generation\r\n")
            found = read(server)
            assert found.total("fastsmtp_messages_received_total") == 21
            assert found.total("fastsmtp_workers") == 2
            assert found.total("fastsmtp_connections_total") >= 5
        server.wait_log("generation 1 has ended")
        last = read(server)
        assert last.total("fastsmtp_messages_received_total") == 21
        assert last.total("fastsmtp_worker_exits_total") == 0, "nobody ended but for the reloads"
