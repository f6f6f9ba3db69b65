"""Mail for other hosts, with the real program between smtp-source and smtp-sink: everything arrives, once."""

import email
import os
import re
import signal
import smtplib
import subprocess
from collections import Counter
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require_program
from tests.fakes.scripted_peer import ScriptedPeer
from tests.system.server import RunningServer, free_port, wait_until
from tests.tools.site import public_folder

FAST = {"retry": ["1s", "2s"], "jitter": 0.0}
"""Pauses that a test can wait for."""


class Sink:
    """`smtp-sink`, which keeps each message in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.program = require_program("smtp-sink")
        self.folder = folder / "sink"
        self.folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.folder.chmod(0o777)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Take connections from now on."""
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [self.program, *user, "-d", f"{self.folder}/%M.", f"127.0.0.1:{self.port}", "200"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """Nobody is there any more."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def subjects(self) -> Counter[str]:
        """How often each subject has arrived whole."""
        found: Counter[str] = Counter()
        for file in self.folder.iterdir():
            text = file.read_bytes()
            match = re.search(rb"^Subject: (\S+)\r?$", text, re.MULTILINE)
            if match and b"\nThe end of it." in text:
                found[match[1].decode()] += 1
        return found


@pytest.fixture
def sink() -> Iterator[Sink]:
    with public_folder() as folder:
        sink = Sink(folder)
        yield sink
        sink.stop()


def relay(folder: Path, port: int, **more: object) -> RunningServer:
    """A server that sends all mail for other hosts to ``port``."""
    settings: dict[str, object] = {
        "relay": {"networks": ["127.0.0.0/8"]},
        "routes": [{"match": "*", "to": f"127.0.0.1:{port}"}],
        "queue": FAST,
    }
    return RunningServer(folder, **(settings | more))  # type: ignore[arg-type]


def send(server: RunningServer, subjects: list[str], to: str = "b@far.test", size: int = 1000) -> None:
    """One message for each subject, over one connection."""
    with smtplib.SMTP(*server.address, timeout=20) as client:
        for subject in subjects:
            text = f"Subject: {subject}\r\n\r\n" + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * (size // 72)
            client.sendmail("alice@test.example", to.split(), text + "The end of it.\r\n")


def names(start: str, count: int) -> list[str]:
    return [f"{start}-{number}" for number in range(count)]


def test_everything_arrives_once(sink: Sink, tmp_path: Path) -> None:
    sink.start()
    with relay(tmp_path, sink.port) as server:
        small, large = names("small", 100), names("large", 5)
        send(server, small)
        send(server, large, size=300_000)
        wait_until(lambda: sum(sink.subjects().values()) >= 105, "all has arrived")
        assert sink.subjects() == Counter(small + large)
        wait_until(lambda: server.log.count(" sent id=") == 105, "all is logged")
        assert server.stop() == 0
    assert not list((tmp_path / "data").glob("spool/*/body/*")), "nothing is left of the large ones"


def test_what_waits_for_a_host_that_is_down_arrives_when_it_is_back(sink: Sink, tmp_path: Path) -> None:
    with relay(tmp_path, sink.port) as server:
        before = names("before", 60)
        send(server, before)
        server.wait_log(r" deferred id=.*Connection refused")
        assert server.stop() == 0
        server.start()
        meanwhile = names("meanwhile", 20)
        send(server, meanwhile)
        sink.start()
        wait_until(lambda: len(sink.subjects()) == 80, "all has arrived", 30)
        wait_until(lambda: server.log.count(" sent id=") == 80, "all is logged")
        assert sink.subjects() == Counter(before + meanwhile)
        assert server.stop() == 0


def test_workers_that_are_killed_lose_nothing(sink: Sink, tmp_path: Path) -> None:
    sink.start()
    with relay(tmp_path, sink.port) as server:
        wanted = []
        for turn in range(4):
            subjects = names(f"turn{turn}", 50)
            send(server, subjects)
            wanted += subjects
            for pid in server.worker_pids():
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(server.worker_pids()) == 2, "new workers")
        wait_until(lambda: set(sink.subjects()) == set(wanted), "all has arrived", 40)
        # What was under way at a death may come twice, at most as much as can be under way.
        doubles = sum(count - 1 for count in sink.subjects().values())
        assert doubles <= 4 * 2 * 20
        assert server.stop() == 0


def test_one_message_for_here_and_elsewhere(sink: Sink, tmp_path: Path) -> None:
    sink.start()
    with relay(tmp_path, sink.port) as server:
        send(server, ["small"], "alice@test.example b@far.test")
        send(server, ["large"], "alice@test.example b@far.test", size=300_000)
        wait_until(lambda: len(sink.subjects()) == 2, "both have arrived elsewhere")
        box = server.mail / "test.example/alice/new"
        wait_until(lambda: len(list(box.glob("*"))) == 2, "both have arrived here")
        assert sink.subjects() == Counter(["small", "large"])
        for file in sink.folder.iterdir():
            assert b"Return-Path" not in file.read_bytes(), "that is for the last host"
        assert server.stop() == 0
    assert not list((tmp_path / "data").glob("spool/*/body/*"))


def bounces(server: RunningServer, user: str = "alice") -> list[Message]:
    """What has come back to ``user``."""
    box = server.mail / "test.example" / user / "new"
    return [email.message_from_bytes(file.read_bytes()) for file in box.glob("*")] if box.exists() else []


def test_what_is_refused_for_good_goes_back_to_its_sender(tmp_path: Path) -> None:
    with (
        ScriptedPeer({"rcpt": "550 5.1.1 nobody of that name"}) as peer,
        relay(tmp_path, peer.port) as server,
    ):
        send(server, ["lost"], "b@far.test")
        wait_until(lambda: bounces(server), "the bounce")
        [bounce] = bounces(server)
        assert server.stop() == 0
        assert len(re.findall(r" bounced id=", server.log)) == 1
    assert bounce["Return-Path"] == "<>"
    assert bounce["To"] == "<alice@test.example>"
    assert bounce.get_content_type() == "multipart/report"
    parts: Any = bounce.get_payload()
    about_message, about_recipient = parts[1].get_payload()
    assert about_message["Reporting-MTA"] == "dns; mx.test.example"
    assert about_recipient["Final-Recipient"] == "rfc822; b@far.test"
    assert about_recipient["Action"] == "failed"
    assert about_recipient["Status"] == "5.1.1"
    assert about_recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 nobody of that name"
    assert "Subject: lost" in parts[2].get_payload()


def test_what_came_without_a_sender_is_not_bounced(tmp_path: Path) -> None:
    with (
        ScriptedPeer({"rcpt": "550 5.1.1 nobody of that name"}) as peer,
        relay(tmp_path, peer.port) as server,
    ):
        with smtplib.SMTP(*server.address, timeout=20) as client:
            client.sendmail("", "b@far.test", "Subject: a bounce\r\n\r\nx\r\n")
        server.wait_log(r'untold id=\S+ to=<b@far.test> reason="it has no sender"')
        assert server.stop() == 0
        assert " notified " not in server.log
    assert peer.commands.count("MAIL FROM:<>") <= 1


def test_one_who_is_put_off_is_tried_again_alone(tmp_path: Path) -> None:
    later = ["250 2.1.5 fine", "451 4.3.0 later", "250 2.1.5 fine"]
    with ScriptedPeer({"rcpt": later}) as peer, relay(tmp_path, peer.port) as server:
        send(server, ["two"], "b@far.test c@far.test")
        wait_until(lambda: server.log.count(" sent id=") == 2, "both have it")
        assert server.log.count(" deferred id=") == 1
        assert [line for line in peer.commands if line.startswith("RCPT")] == [
            "RCPT TO:<b@far.test>",
            "RCPT TO:<c@far.test>",
            "RCPT TO:<c@far.test>",
        ]
        assert server.stop() == 0


def test_old_mail_goes_back(tmp_path: Path) -> None:
    queue = FAST | {"expire": "8s", "delay_notice": "1s"}
    with relay(tmp_path, free_port(), queue=queue) as server:
        send(server, ["old"], "b@far.test")
        wait_until(lambda: len(bounces(server)) == 2, "the notice and the bounce")
        late, given_up = sorted(bounces(server), key=lambda one: one["Subject"])
        assert late["Subject"] == "Delayed: b@far.test"
        assert given_up["Subject"] == "Not delivered: b@far.test"
        assert "Connection refused" in str(given_up)
        assert server.stop() == 0


def test_strangers_may_not_relay(tmp_path: Path) -> None:
    with relay(
        tmp_path, free_port(), relay={"networks": ["192.0.2.0/24"], "domains": ["ours.test"]}
    ) as server:
        with smtplib.SMTP(*server.address, timeout=20) as client:
            client.ehlo()
            client.mail("x@away.test")
            assert client.rcpt("b@far.test")[0] == 550
            assert client.rcpt("b@ours.test")[0] == 250
        assert server.stop() == 0
