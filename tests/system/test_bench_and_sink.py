"""The real `fastsmtp bench` against the real `fastsmtp sink`: both counts agree, and errors are told."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from fastsmtp.loadgen import crew, sender, sink

PROGRAM = (sys.executable, "-m", "fastsmtp")
PATIENCE = 60


class Running:
    """A sink that runs; ``counts`` are there once it has ended."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.counts: dict[str, Any] = {}


@contextlib.contextmanager
def running_sink(*options: str) -> Iterator[Running]:
    command = [*PROGRAM, "sink", "--listen", "127.0.0.1:0", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", first)
            assert found is not None, first
            running = Running(int(found[1]))
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    running.counts = orjson.loads(out)


def bench(*options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, "bench", "-q", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def measured(*options: str) -> dict[str, Any]:
    target = orjson.loads(bench("--json", "-", *options).stdout)["targets"][0]
    assert isinstance(target, dict)
    return target


@pytest.mark.parametrize(
    "way", [[], ["--kept"], ["--kept", "--pipelining"], ["--bdat"], ["--bdat", "--pipelining", "--kept"]]
)
def test_everything_sent_is_swallowed(way: list[str]) -> None:
    with running_sink() as server:
        one = measured(server.address, "-m", "60", "-s", "4", "--size", "1k:2,70k", *way)["rounds"][0]
    assert (one["sent"], one["failed"], one["errors"]) == (60, 0, {})
    assert server.counts["messages"] == 60
    assert server.counts["octets"] == 40 * 1024 + 20 * 70 * 1024
    assert server.counts["connections"] == one["connections"] == (4 if "--kept" in way else 60)
    assert sum(one["timeline"]) == 60
    assert one["figures"]["rss_mb"] > 1


def test_several_recipients_and_rounds() -> None:
    with running_sink() as server:
        target = measured(
            server.address, "-m", "10", "--rcpt", "3", "--to", "u{n}-{r}@x.example", "--rounds", "2"
        )
    assert [one["sent"] for one in target["rounds"]] == [10, 10]
    assert server.counts["recipients"] == 60


@pytest.mark.parametrize("stage", ["connect", "helo", "mail", "rcpt", "data", "body"])
def test_a_refusal_is_told_with_its_stage_and_reply(stage: str) -> None:
    with running_sink("--refuse", f"{stage}=450 4.2.0 busy") as server:
        done = bench(server.address, "-m", "6", "-s", "2", "--kept", "--json", "-", code=76)
        one = orjson.loads(done.stdout)["targets"][0]["rounds"][0]
    assert (one["sent"], one["failed"]) == (0, 6)
    assert one["errors"] == {f"{stage}: 450 4.2.0 busy": 6}
    assert server.counts["refused"] == {stage: 6}
    assert "no message was accepted" in done.stderr


@pytest.mark.parametrize("stage", ["mail", "body"])
def test_a_cut_connection_is_told(stage: str) -> None:
    with running_sink("--drop", stage) as server:
        done = bench(server.address, "-m", "5", "-s", "2", "--json", "-", code=76)
        one = orjson.loads(done.stdout)["targets"][0]["rounds"][0]
    assert one["errors"] == {f"{stage}: connection closed": 5}
    assert server.counts["dropped"] == {stage: 5}


def test_a_delay_shows_in_the_latency() -> None:
    with running_sink("--delay", "body=0.2") as server:
        figures = measured(server.address, "-m", "4", "-s", "4")["median"]
    assert 200 <= figures["p50_ms"] <= figures["max_ms"]


def test_an_open_loop_counts_from_the_intended_start() -> None:
    """One session, 0.1 s a message, but one due each 0.01 s: the tenth has waited for nine others."""
    with running_sink("--delay", "body=0.1") as server:
        options = ("-m", "10", "-s", "1", "--rate", "100", "--processes", "1", "--kept")
        one = measured(server.address, *options)["rounds"][0]
    assert one["sent"] == 10
    assert one["figures"]["max_ms"] >= 900
    assert one["figures"]["p50_ms"] >= 350


def test_messages_that_never_began_are_told() -> None:
    with running_sink("--delay", "body=0.3") as server:
        options = ("--duration", "0.5", "-s", "1", "--rate", "100", "--processes", "1", "--kept")
        one = measured(server.address, *options)["rounds"][0]
    assert one["missed"] >= 40
    assert one["sent"] + one["missed"] + one["failed"] == 50


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with running_sink("--delay", "body=30") as server:
        done = bench(server.address, "-m", "2", "-s", "2", "--timeout", "3", code=76)
    assert "2 x body: no answer within 3 s" in done.stdout


def test_nobody_there_is_one_line() -> None:
    with running_sink() as server:
        pass
    done = bench(server.address, code=69)
    assert done.stderr == f"fastsmtp: bench: cannot connect to {server.address}: Connection refused\n"
    assert done.stdout == ""


def test_a_page_and_a_table_for_two_targets(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with running_sink() as one, running_sink() as other:
        done = bench(f"--label=one={one.address}", f"--label=other={other.address}", "-m5", f"--html={page}")
    assert [line.split()[0] for line in done.stdout.splitlines()[2:4]] == ["one", "other"]
    assert page.read_text().count("<svg") == 3


@pytest.mark.parametrize("whom", ["all of the terminal", "the parent alone"])
def test_an_interrupted_run_reports_what_it_has(whom: str) -> None:
    with running_sink() as server:
        command = [*PROGRAM, "bench", server.address, "--duration", "50", "--json", "-"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stderr is not None
            while not re.search(r"\b[1-9][0-9,]* sent", process.stderr.readline()):
                assert process.poll() is None
            if whom == "the parent alone":
                process.send_signal(signal.SIGINT)
            else:
                os.killpg(process.pid, signal.SIGINT)
            out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    report = orjson.loads(out)
    assert report["interrupted"] is True
    one = report["targets"][0]["rounds"][0]
    assert one["failed"] == 0, "what was under way is finished"
    assert 0 < one["sent"] == server.counts["messages"]


def test_a_port_in_use_is_refused_by_name() -> None:
    with running_sink() as server:
        command = [*PROGRAM, "sink", "--listen", server.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 75
    assert done.stderr == (
        f"fastsmtp: sink: cannot listen on {server.address}: Address already in use; stop what listens there, or "
        "name another port by --listen (0: one that is free)\n"
    )


def test_too_many_sessions_for_the_files_allowed_are_refused() -> None:
    with pytest.raises(crew.CrewError, match="open files"):
        crew.raise_limit(1 << 40)


def test_both_ends_are_forked_from_these_modules() -> None:
    assert sender.Sender.__module__ == "fastsmtp.loadgen.sender"
    assert sink.SinkError.__module__ == "fastsmtp.loadgen.sink"
