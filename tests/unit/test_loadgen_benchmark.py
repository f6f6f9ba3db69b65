"""Visiting targets in turn: order, medians, and what is said when nothing can be had. Nothing is connected."""

from collections.abc import Callable

import pytest

from fastsmtp.loadgen import benchmark as module
from fastsmtp.loadgen import crew
from fastsmtp.loadgen.benchmark import BenchmarkError, benchmark, describe
from fastsmtp.loadgen.plan import Login, Plan, Target
from fastsmtp.loadgen.report import Report
from fastsmtp.loadgen.sizes import parse_mix
from fastsmtp.loadgen.tally import Tally

ONE, OTHER = Target("one", "127.0.0.1", 1), Target("other", "127.0.0.1", 2)


def sent(number: int) -> Tally:
    """A tally of messages sent within one second."""
    tally = Tally()
    tally.connections = 1
    for index in range(1, number + 1):
        tally.accepted(0.001, 10, index / number)
    return tally


def watcher(title: str) -> tuple[crew.Watch, Callable[[], None]]:
    return (lambda elapsed, sent, failed: None), (lambda: None)


def measure(*targets: Target, rounds: int = 1) -> Report:
    return benchmark(
        Plan(targets[0]), targets, rounds=rounds, pids=(), durability=None, command="x", watcher=watcher
    )


def test_targets_are_visited_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    visited = []

    def run(plan: Plan, watch: crew.Watch) -> Tally:
        visited.append(plan.target.name)
        return sent(100 if plan.target is ONE else 50)

    monkeypatch.setattr(module.crew, "run", run)
    report = measure(ONE, OTHER, rounds=3)
    assert visited == ["one", "other"] * 3
    assert [target.ratio for target in report.targets] == [1.0, pytest.approx(0.5)]
    assert [len(target.rounds) for target in report.targets] == [3, 3]


def test_after_an_interruption_nothing_else_is_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plan: Plan, watch: crew.Watch) -> Tally:
        tally = sent(100)
        tally.interrupted = True
        return tally

    monkeypatch.setattr(module.crew, "run", run)
    report = measure(ONE, OTHER, rounds=3)
    assert report.interrupted
    assert [(target.name, len(target.rounds)) for target in report.targets] == [("one", 1)]
    assert report.targets[0].rounds[0].interrupted


def test_durability_is_what_the_caller_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.crew, "run", lambda plan, watch: sent(1))
    monkeypatch.setattr(module.processes, "listeners", lambda port: {4711})
    monkeypatch.setattr(module.processes, "is_server", lambda pid: False)
    assert measure(ONE).durability == "not stated"
    monkeypatch.setattr(module.processes, "is_server", lambda pid: pid == 4711)
    assert measure(ONE).durability.startswith("not stated; see the server's start-up line")
    stated = benchmark(Plan(ONE), [ONE], rounds=1, pids=(), durability="full", command="x", watcher=watcher)
    assert stated.durability == "full (stated by the caller)"


def test_when_nothing_connects_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plan: Plan, watch: crew.Watch) -> Tally:
        tally = Tally()
        tally.failed = 20
        tally.error("connect: Connection refused", 20)
        return tally

    monkeypatch.setattr(module.crew, "run", run)
    with pytest.raises(
        BenchmarkError, match=r"^cannot connect to 127\.0\.0\.1:1: Connection refused$"
    ) as caught:
        measure(ONE)
    assert caught.value.unreachable


def test_a_process_that_fails_ends_the_run_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plan: Plan, watch: crew.Watch) -> Tally:
        raise crew.CrewError("a sending process ended")

    monkeypatch.setattr(module.crew, "run", run)
    with pytest.raises(BenchmarkError, match="a sending process ended") as caught:
        measure(ONE)
    assert not caught.value.unreachable


def test_the_load_is_described() -> None:
    text = describe(Plan(ONE, rate=50.0, duration=2.0, messages=None, mix=parse_mix("1k:3,2k"), kept=True))
    assert text == (
        "20 sessions in 1 process, connections kept, open loop at 50 messages/s, latency from the intended start, "
        "2 s, 75.0% of 1,024 octets, 25.0% of 2,048 octets, 1 recipient"
    )
    plain = describe(Plan(ONE, processes=2, recipients=2, pipelining=True, chunking=True))
    assert plain == (
        "20 sessions in 2 processes, one connection per message, closed loop, 10,000 messages, "
        "4,096 octets each, 2 recipients, PIPELINING, BDAT"
    )
    secured = describe(Plan(ONE, tls="starttls", resume=True, login=Login("me", "secret")))
    assert secured.endswith(", 1 recipient, STARTTLS, sessions resumed, AUTH PLAIN")
    assert describe(Plan(ONE, tls="tls")).endswith(", 1 recipient, TLS from the start")
