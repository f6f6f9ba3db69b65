"""``fastsmtp queue`` on a thousand messages for hosts that are down: each filter finds what it should and says when
it had to look at everything, and what was rerouted goes where it was sent, whether or not a server runs."""

import json
import os
import re
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from fastsmtp.control.place import reach, slots, socket_path
from tests.system.server import RunningServer, free_port, wait_until
from tests.system.test_queue_commands import Capture, Queue, reachable, swallowing

DOMAINS = 10
EACH = 100
SCAN = re.compile(r"^note: no index answers this; [0-9,]+ messages were looked at$", re.MULTILINE)


def fill(server: RunningServer) -> None:
    """A hundred messages for each of ten domains, every tenth from the null sender."""

    def one(number: int) -> None:
        with smtplib.SMTP(*server.address) as client:
            for user in range(EACH):
                sender = "" if user % 10 == 0 else f"s{user}@test.example"
                client.sendmail(sender, [f"u{user}@d{number}.test"], f"Subject: {number}.{user}\r\n\r\nx\r\n")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(DOMAINS)))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """Mail for d0.test and below has a route of its own; nobody listens anywhere."""
    made = RunningServer(
        tmp_path,
        relay={"networks": ["127.0.0.0/8"]},
        routes=[
            {"match": "*", "to": f"127.0.0.1:{free_port()}"},
            {"match": "d0.test", "to": f"127.0.0.1:{free_port()}"},
        ],
        queue={"retry": ["1h"]},
    )
    with made:
        fill(made)
        yield made


def count(queue: Queue, *filter: str) -> tuple[int, bool]:
    """How many there are, and whether a scan was told of."""
    return int(queue("ls", "--count", *filter).replace(",", "")), bool(SCAN.search(queue.err))


def ready(server: RunningServer, capsys: Capture) -> Queue:
    """The queue, once each message has been tried or waits with a site that was."""
    queue = Queue(server, capsys)
    wait_until(lambda: count(queue, "--state", "deferred") == (DOMAINS * EACH, True), "all wait")
    return queue


def test_filters_changes_and_words(server: RunningServer, capsys: Capture) -> None:
    queue = ready(server, capsys)
    for filter, number, scan in (
        (["--to", "u7@d3.test"], 1, False),
        (["--rcpt", "*@d3.test"], EACH, False),
        (["--to", "u7@*"], DOMAINS, False),
        (["--to", "u7*"], 11 * DOMAINS, False),
        (["--to", "*7@d3.test"], DOMAINS, True),
        (["--to-domain", "*.test"], DOMAINS * EACH, False),
        (["--from", "<>"], 10 * DOMAINS, False),
        (["--from", "s7@test.example"], DOMAINS, False),
        (["--code", "0"], DOMAINS * EACH, False),
        (["--younger", "1h"], DOMAINS * EACH, False),
        (["--older", "1h"], 0, True),
        (["--route", "d0.test"], EACH, True),
        (["--route", "*", "--to-domain", "d1.test"], EACH, False),
        (["--route", f"127.0.0.1:{server.settings['routes'][0]['to'].rpartition(':')[2]}"], 900, True),
        (["--remote", "*:25"], 0, True),
    ):
        assert count(queue, *filter) == (number, scan), filter

    hold = ["hold", "--from", "<>"]
    assert queue(*hold, "--dry-run") == "would hold 100 messages\n"
    assert queue(*hold, "--yes") == "100 messages held\n"
    assert queue("release", "--state", "held", "--to-domain", "d2.test", "--yes") == "10 messages released\n"
    assert count(queue, "--state", "held") == (90, False)
    assert queue("rm", "--everything", "--dry-run", "--json").startswith("{")
    assert queue("rm", "--to-domain", "d5.test", "--yes") == "100 messages removed\n"
    assert queue("bounce", "--to", "*@d6.test", "--from", "s1*", "--yes").startswith("10 messages returned")
    new = server.mail / "test.example"
    wait_until(lambda: len(list(new.glob("*/new/*"))) == 10, "their senders are told")
    assert count(queue) == (890, False)


def arrived(server: RunningServer, port: int) -> list[str]:
    """Who got mail by the host at ``port``, since the last start."""
    return re.findall(rf" sent id=\S+ to=<(\S+)> relay=\S*:{port} ", server.log)


def test_what_is_rerouted_arrives_there(server: RunningServer, capsys: Capture) -> None:
    queue = ready(server, capsys)
    port = free_port()
    there = ["--to", f"127.0.0.1:{port}"]
    with swallowing(port):
        wait_until(lambda: reachable(port), "the sink is there")
        assert queue("reroute", "--to-domain", "d3.test", *there, "--yes") == "100 messages rerouted\n"
        wait_until(lambda: count(queue, "--to-domain", "d3.test")[0] == 0, "the domain has gone")
        assert count(queue) == (900, False)

        queue("hold", "--to-domain", "d4.test", "--yes")
        assert queue("reroute", "--to-domain", "d4.test", "--from", "s4@*", *there, "--yes").startswith("1 ")
        wait_until(lambda: count(queue, "--to-domain", "d4.test")[0] == 99, "it was released")

        server.stop()
        sent = arrived(server, port)
        assert queue("reroute", "--rcpt", "*@d7.test", *there, "--yes") == "100 messages rerouted\n"
        assert queue.err.startswith("note: no server runs on ")
        [row] = queue.rows("--to", "u1@d7.test")
        assert row["hops"] == there[1:]
        assert f"rerouted  to {there[1]}" in queue("show", row["id"])
        assert count(queue, "--route", there[1]) == (100, True)
        assert queue("reroute", "--to", there[1], "--rcpt", "u1@d8.test", "--yes").startswith("1 ")
        assert queue("reroute", "--rcpt", "u1@d8.test", "--clear", "--yes") == "1 message rerouted\n"
        with server:
            wait_until(lambda: count(queue, "--to-domain", "d7.test")[0] == 0, "they go after the start")
            assert count(queue, "--to-domain", "d8.test")[0] == EACH
            server.stop()
        sent += arrived(server, port)
    assert len(sent) == len(set(sent)) == 201


def test_every_attempt_is_shown(server: RunningServer, capsys: Capture) -> None:
    queue = ready(server, capsys)
    port = int(server.settings["routes"][0]["to"].rpartition(":")[2])
    with swallowing(port, "--refuse", "rcpt=450 4.2.0 busy"):
        wait_until(lambda: reachable(port), "the sink is there")
        [row] = queue.rows("--to", "u1@d1.test")
        for number in range(1, 4):
            queue("retry", row["id"], "--yes")

            def tried(number: int = number) -> bool:
                [recipient] = json.loads(queue("show", "--json", row["id"]))["recipients"]
                return [one["code"] for one in recipient["tries"]].count(450) >= number

            wait_until(tried, f"attempt {number}")
        text = queue("show", row["id"])
    assert text.count(f"[127.0.0.1]:{port}: 450 4.2.0 busy") >= 3
    assert re.search(r"^  next      20\d\d-\d\d-\d\d .* UTC, in ", text, re.MULTILINE), text
    assert re.search(r'^  route     127\.0\.0\.1:\d+, by match = "\*"$', text, re.MULTILINE), text
    assert re.search(r"^  site      \S+, working", text, re.MULTILINE), text
    other = queue.rows("--to", "u1@d0.test")[0]["id"]
    assert re.search(r"^  site      \S+, failing: .*Connection refused", queue("show", other), re.MULTILINE)


def test_a_reader_that_goes_is_no_error(server: RunningServer, capsys: Capture) -> None:
    ready(server, capsys)
    command = [sys.executable, "-m", "fastsmtp", "queue", "ls", "--all", "-c", str(server.file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"ID ")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == os.EX_OK


def test_a_thousand_who_connect_and_say_nothing(server: RunningServer, capsys: Capture) -> None:
    queue = ready(server, capsys)
    with ExitStack() as stack:
        for slot in slots(server.data):
            for _ in range(500):
                silent = stack.enter_context(socket.socket(socket.AF_UNIX))
                with reach(socket_path(server.data, slot)) as name:
                    silent.connect(name)
        with smtplib.SMTP(*server.address) as client:
            client.sendmail("a@test.example", ["alice@test.example"], "Subject: s\r\n\r\nx\r\n")
        new = server.mail / "test.example/alice/new"
        wait_until(lambda: new.is_dir() and os.listdir(new), "mail goes on")
    wait_until(lambda: "too many ask at once" not in ask(queue), "who asks is answered again")
    assert count(queue) == (DOMAINS * EACH, False)


def ask(queue: Queue) -> str:
    """What a command says on standard error, whatever comes of it."""
    command = [sys.executable, "-m", "fastsmtp", "queue", "ls", "--count", "-c", str(queue.server.file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stderr
