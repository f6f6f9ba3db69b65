"""Generations follow one another under load: no session fails, and each message that was taken is delivered once."""

import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.cli.samples import Reading
from tests.system.server import RunningServer, alive, free_port, settings_text
from tests.tools import audit
from tests.tools.load import Load, Mix
from tests.tools.ordeal import MAILBOXES, Ordeal
from tests.tools.site import Site, environment
from tests.tools.waiting import until

RELOADS = 20
DRAIN = 300


@contextmanager
def under_load(directory: Path, **settings: object) -> Iterator[tuple[Ordeal, Load]]:
    """A server with clients that come and go, and others that keep their sessions; at the end every message is
    accounted for, and no session may have failed."""
    ordeal = Ordeal(Site(directory, workers=2, drain_grace=DRAIN, **settings), rest=0.02)
    kept = Load(ordeal.server.address, Mix(MAILBOXES, per_connection=10**9, rest=0.02), sessions=2, seed=7)
    ordeal.load.sent = kept.sent  # one account of both
    ordeal.begin()
    try:
        kept.start()
        yield ordeal, kept
        ordeal.progress(10)
        kept.stop()
        assert ordeal.end() > 100
    except BaseException:
        kept.faults.clear()
        ordeal.abandon()
        kept.stop()
        raise
    assert kept.lost == []
    assert ordeal.load.lost == []


def mailed(server: RunningServer) -> list[Path]:
    """All messages in mailboxes."""
    return list(server.mail.glob("*/*/new/*"))


def reload(server: RunningServer, number: int) -> None:
    """SIGHUP, until generation ``number`` serves."""
    server.running.send_signal(signal.SIGHUP)
    server.wait_log(f"generation {number} serves")


def test_twenty_reloads_under_load(tmp_path: Path) -> None:
    with under_load(tmp_path) as (ordeal, _):
        for number in range(2, RELOADS + 2):
            reload(ordeal.server, number)
            ordeal.progress(2)


def test_smtp_source_during_reloads(tmp_path: Path) -> None:
    messages = 3000
    with RunningServer(tmp_path, drain_grace=DRAIN) as server:
        source = subprocess.Popen(
            ["smtp-source", "-s", "8", "-m", str(messages), "-l", "2000", "-f", "a@client.example",
             "-t", "alice@test.example", f"127.0.0.1:{server.port}"]
        )  # fmt: skip
        try:
            number = 1
            while source.poll() is None:
                number += 1
                reload(server, number)
        finally:
            source.kill()
        assert source.wait() == 0
        assert number > 2
        until("all mail", lambda: len(mailed(server)) >= messages, 30)
        assert server.stop() == 0
        assert len(mailed(server)) == messages


def test_new_settings_are_met_at_once_and_the_difference_is_told(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        before = smtplib.SMTP(*server.address)
        server.settings["hostname"] = "other.test.example"
        server.settings["limits"] = {**server.settings["limits"], "message_size": 50_000}
        server.file.write_text(settings_text(server.settings))
        reload(server, 2)
        assert 'reload: hostname: "mx.test.example" -> "other.test.example"' in server.log
        assert "reload: limits.message_size: 52_428_800 -> 50_000" in server.log
        with smtplib.SMTP(*server.address) as client:
            assert b"other.test.example" in client.ehlo()[1]
            assert client.esmtp_features["size"] == "50000"
        # Who was there before goes on as it was.
        before.sendmail("a@client.example", ["alice@test.example"], "Subject: x\r\n\r\nx\r\n")
        before.quit()
        server.wait_log("generation 1 has ended")


def refused(server: RunningServer, change: Mapping[str, Any], why: str) -> None:
    """A reload with ``change``, which leaves everything as it is."""
    workers = server.worker_pids()
    server.file.write_text(settings_text({**server.settings, **change}))
    server.running.send_signal(signal.SIGHUP)
    server.wait_log(f"reload refused: .*{why}")
    until("the workers are those from before", lambda: server.worker_pids() == workers, 60)
    with smtplib.SMTP(*server.address) as client:
        assert client.ehlo()[0] == 250


def test_a_reload_that_cannot_be_leaves_everything_as_it_is(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = {"address": f"127.0.0.1:{other.getsockname()[1]}"}
        refused(server, {"hostname": "not a name"}, "hostname: expected a host name")
        refused(server, {"data_dir": "/elsewhere"}, "data_dir: only a restart changes it")
        refused(server, {"listeners": [*server.settings["listeners"], taken]}, "cannot listen on 127.0.0.1")
        # What is mended is taken.
        server.file.write_text(settings_text(server.settings))
        reload(server, 2)


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def page(port: int) -> bytes:
    """What HTTP says at /livez."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=20) as answer:
        body: bytes = answer.read()
        return body


def test_http_goes_on_and_is_started_again(tmp_path: Path) -> None:
    port = free_port()
    with RunningServer(tmp_path, http={"address": f"127.0.0.1:{port}"}) as server:
        server.wait_log(r"web \(pid \d+\) ready")
        page(port)
        for number in (2, 3):
            reload(server, number)
            page(port)
        (pid,) = re.findall(r"web \(pid (\d+)\) ready", server.log)[-1:]
        os.kill(int(pid), signal.SIGKILL)
        server.wait_log("web ended by signal SIGKILL")
        until("another", lambda: len(re.findall(r"web \(pid \d+\) ready", server.log)) == 4, 60)
        page(port)
        with smtplib.SMTP(*server.address) as client:
            assert client.ehlo()[0] == 250
        assert server.stop() == 0


def test_listeners_come_and_go(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        port = free_port()
        first = server.settings["listeners"]
        server.settings["listeners"] = [*first, {"address": f"127.0.0.1:{port}"}]
        server.file.write_text(settings_text(server.settings))
        reload(server, 2)
        before = smtplib.SMTP("127.0.0.1", port)
        server.settings["listeners"] = first
        server.file.write_text(settings_text(server.settings))
        reload(server, 3)

        until("nobody listens there", lambda: refuses(port), 60)
        before.sendmail("a@client.example", ["alice@test.example"], "Subject: x\r\n\r\nx\r\n")
        with smtplib.SMTP(*server.address) as client:
            assert client.ehlo()[0] == 250


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_another_number_of_workers(tmp_path: Path, before: int, after: int) -> None:
    with RunningServer(tmp_path, workers=before) as server:
        server.settings["workers"] = after
        server.file.write_text(settings_text(server.settings))
        reload(server, 2)
        server.wait_log("generation 1 has ended")
        assert len(server.worker_pids()) == after
        for _ in range(20):
            with smtplib.SMTP(*server.address) as client:
                client.sendmail("a@client.example", ["alice@test.example"], "Subject: x\r\n\r\nx\r\n")
        until("all mail", lambda: len(mailed(server)) == 20, 60)


def test_mail_that_waits_is_the_next_generations(tmp_path: Path) -> None:
    """It is held, so that a shard of it is never empty: its numbers do not grow without end."""
    with RunningServer(tmp_path, delivery={"hold": True}) as server:
        for number in range(2, 9):
            with smtplib.SMTP(*server.address) as client:
                client.sendmail("a@client.example", ["alice@test.example"], f"Subject: {number}\r\n\r\nx\r\n")
            reload(server, number)
            server.wait_log(f"generation {number - 1} has ended")
        shards = list((server.data / "spool").iterdir())
        assert len(shards) <= 6
        server.settings["delivery"] = {"hold": False}
        server.file.write_text(settings_text(server.settings))
        reload(server, 9)
        until("all mail", lambda: len(mailed(server)) == 7, 60)
        assert server.stop() == 0
        assert len(mailed(server)) == 7


def test_a_worker_that_is_killed_during_a_reload(tmp_path: Path) -> None:
    with under_load(tmp_path) as (ordeal, kept):
        server = ordeal.server
        for number in range(2, 8):
            server.running.send_signal(signal.SIGHUP)
            server.kill_worker(number % 2)
            server.wait_log(f"generation {number} serves|reload refused: .*cannot start")
            if f"generation {number} serves" not in server.log:
                break
        # Sessions of a worker that was killed are lost, the mail is not.
        kept.lost.clear()
        ordeal.load.lost.clear()
        ordeal.progress(10)
        kept.lost.clear()
        ordeal.load.lost.clear()


def test_a_stop_during_a_reload(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        server.running.send_signal(signal.SIGHUP)
        server.running.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert re.search("stopped: exit code 0", server.log)


def command(server: RunningServer, *words: str) -> subprocess.CompletedProcess[str]:
    """``fastsmtp WORDS`` on the server."""
    return subprocess.run(
        [sys.executable, "-m", "fastsmtp", *words, "-c", str(server.file)],
        env=environment(),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_commands_reload_show_and_drain(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        server.settings["hostname"] = "other.test.example"
        server.file.write_text(settings_text(server.settings))
        reloaded = command(server, "reload")
        assert (reloaded.returncode, reloaded.stdout) == (
            0,
            'hostname: "mx.test.example" -> "other.test.example"\nreloaded: generation 2\n',
        )
        server.file.write_text(settings_text({**server.settings, "accept": "shared"}))
        refused = command(server, "reload")
        assert refused.returncode == os.EX_CONFIG
        assert "accept: only a restart changes it" in refused.stderr
        server.file.write_text(settings_text(server.settings))
        with smtplib.SMTP(*server.address) as client:
            assert client.ehlo()[0] == 250
            status = json.loads(command(server, "status", "--json").stdout)
            assert status["generation"] == 2
            assert status["state"] == "serving"
            assert sum(one["sessions"] for one in status["processes"] if one["state"] == "serving") == 1
            assert not status["last"]["done"]
            shown = command(server, "status").stdout
            assert f"pid {server.running.pid}, up " in shown
            assert "last change: REFUSED\n  accept: only a restart" in shown
            assert (
                command(server, "drain").stdout == "it ends with its last session\ndraining: generation 2\n"
            )
            until("nobody is accepted", lambda: refuses(server.port), 60)
            client.sendmail("a@client.example", ["alice@test.example"], "Subject: x\r\n\r\nx\r\n")
            assert server.running.poll() is None
        assert server.wait() == 0
        assert len(mailed(server)) == 1
        assert command(server, "status").returncode == os.EX_UNAVAILABLE


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        told: list[str] = []

        def hear(word: str) -> None:
            while word not in told:
                told.extend(manager.recv(4096).decode().split("\n"))

        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with RunningServer(tmp_path / "server", environment=environ) as server:
            hear("READY=1")
            hear("WATCHDOG=1")
            told.clear()
            server.running.send_signal(signal.SIGHUP)
            hear("RELOADING=1")
            hear("READY=1")
            assert told.index("RELOADING=1") < told.index("READY=1")
            told.clear()
            assert server.stop() == 0
            hear("STOPPING=1")


# --- upgrades ---------------------------------------------------------------------------------


def master_of(server: RunningServer) -> int:
    """The pid of whoever is the master now."""
    text = (server.data / "lock").read_text().strip()
    return int(text) if text else 0


def upgrade(server: RunningServer) -> int:
    """SIGUSR2 to the master, until another serves; its pid."""
    before = master_of(server)
    os.kill(before, signal.SIGUSR2)
    until("another master", lambda: master_of(server) not in (0, before), 30)
    return master_of(server)


def end(server: RunningServer) -> None:
    """Stop the last master in order."""
    pid = master_of(server)
    os.kill(pid, signal.SIGTERM)
    until("it has ended", lambda: not alive(pid), 30)
    server.wait_log(rf"\[{pid}/master\] event stopped: exit code 0")


def test_upgrades_under_load(tmp_path: Path) -> None:
    ordeal = Ordeal(Site(tmp_path, workers=2, drain_grace=DRAIN), rest=0.02)
    server = ordeal.server
    kept = Load(server.address, Mix(MAILBOXES, per_connection=10**9, rest=0.02), sessions=2, seed=7)
    ordeal.load.sent = kept.sent
    ordeal.begin()
    try:
        kept.start()
        for _ in range(4):
            upgrade(server)
            ordeal.progress(20)
        kept.stop()
        ordeal.load.stop()
        until("all mail", lambda: not audit.awaited(kept.sent, ordeal.reader.seen), 30)
        until("all others have ended", lambda: server.log.count("stopped: exit code 0") == 4, 30)
        end(server)
        ordeal.reader.finish()
        assert ordeal.reader.faults == []
        assert audit.compare(kept.sent, ordeal.reader.seen) == []
        assert audit.left_behind(server.data, server.mail) == []
    except BaseException:
        kept.faults.clear()
        ordeal.abandon()
        kept.stop()
        raise
    assert kept.lost == []
    assert ordeal.load.lost == []


def test_an_upgrade_goes_on_counting(tmp_path: Path) -> None:
    def received() -> float:
        return Reading(command(server, "metrics").stdout).total("fastsmtp_messages_received_total")

    def send() -> None:
        with smtplib.SMTP(*server.address) as client:
            client.sendmail("a@client.example", ["alice@test.example"], "Subject: x\r\n\r\nx\r\n")

    with RunningServer(tmp_path) as server:
        send()
        upgrade(server)
        send()
        until("both are counted", lambda: received() == 2, 60)
        end(server)
        assert server.wait() == 0


def test_an_upgrade_that_cannot_serve_is_rolled_back(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        server.file.write_text(settings_text({**server.settings, "hostname": "not a name"}))
        os.kill(server.running.pid, signal.SIGUSR2)
        server.wait_log("upgrade refused: .*hostname: expected a host name")
        assert master_of(server) == server.running.pid
        server.file.write_text(settings_text({**server.settings, "data_dir": str(tmp_path / "other")}))
        os.kill(server.running.pid, signal.SIGUSR2)
        server.wait_log("upgrade refused: data_dir: an upgrade cannot change it")
        server.file.write_text(settings_text(server.settings))
        with smtplib.SMTP(*server.address) as client:
            client.sendmail("a@client.example", ["alice@test.example"], "Subject: x\r\n\r\nx\r\n")
        # Shards that it left are not touched, and a reload and an upgrade go well afterwards.
        reload(server, 2)
        done = command(server, "upgrade")
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "upgraded: generation 3")
        assert server.wait() == 0
        until("the mail", lambda: len(mailed(server)) == 1, 60)
        asked = command(server, "status", "--json")
        assert asked.returncode == 0, asked.stderr
        status = json.loads(asked.stdout)
        assert (status["pid"], status["generation"]) == (master_of(server), 3)
        end(server)


def test_a_master_that_is_killed_during_an_upgrade(tmp_path: Path) -> None:
    """The new one serves, as nobody else does."""
    with RunningServer(tmp_path) as server:
        os.kill(server.running.pid, signal.SIGUSR2)
        server.wait_log("upgrade: starting")
        server.running.kill()
        until("another master", lambda: master_of(server) not in (0, server.running.pid), 30)

        def greeted() -> bool:
            try:
                with smtplib.SMTP(*server.address) as client:
                    return client.ehlo()[0] == 250
            except OSError:
                return False

        until("it serves", greeted, 30)
        end(server)


def test_a_stop_ends_masters_that_drain(tmp_path: Path) -> None:
    with RunningServer(tmp_path, drain_grace=DRAIN) as server:
        stays = smtplib.SMTP(*server.address)
        upgrade(server)
        upgrade(server)
        end(server)
        assert server.wait() == 0
        assert "the master that followed has ended" in server.log
        stays.close()
        with RunningServer(tmp_path) as again:
            assert again.stop() == 0


def test_sockets_of_systemd(tmp_path: Path) -> None:
    with RunningServer(tmp_path, program=[sys.executable, "-c", ACTIVATED]) as server:
        assert f"listening on 127.0.0.1 port {server.port} by a socket of systemd" in server.log
        with smtplib.SMTP(*server.address) as client:
            assert client.ehlo()[0] == 250
        reload(server, 2)
        with smtplib.SMTP(*server.address) as client:
            assert client.ehlo()[0] == 250


ACTIVATED = """
import os, re, socket, sys
address = re.search(r'address = "127.0.0.1:(\\d+)"', open(sys.argv[2]).read())
sock = socket.create_server(("127.0.0.1", int(address.group(1))))
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "fastsmtp", "serve", *sys.argv[1:]])
"""
"""As systemd starts a service with a socket."""
