"""Visits targets in turn, round after round, and makes the report."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fastsmtp.loadgen import crew, machine, processes, report
from fastsmtp.loadgen.plan import Plan, Target
from fastsmtp.loadgen.tally import Tally

Watcher = Callable[[str], tuple[crew.Watch, Callable[[], None]]]
"""Given the title of one visit: what to call with its progress, and what to call at its end."""


class BenchmarkError(Exception):
    """No figures could be had: one line. ``unreachable`` when no connection could be made at all."""

    def __init__(self, text: str, *, unreachable: bool = False) -> None:
        super().__init__(text)
        self.unreachable = unreachable


def benchmark(
    plan: Plan,
    targets: Sequence[Target],
    *,
    rounds: int,
    pids: Sequence[int],
    durability: str | None,
    command: str,
    watcher: Watcher,
) -> report.Report:
    """Runs ``plan`` against each of ``targets``, ``rounds`` times in turn.

    ``pids`` are the server's processes when there is one target and the caller knows them; otherwise those of
    a loopback target are found by its listening socket. ``durability`` is what the caller states about the
    servers. Ctrl-C ends the visit under way, and no other follows. Raises BenchmarkError.
    """
    visits: list[list[report.Round]] = [[] for _ in targets]
    interrupted = False
    for number in range(rounds):
        for target, done in zip(targets, visits, strict=True):
            if interrupted:
                break
            title = target.name if rounds == 1 else f"{target.name}, round {number + 1} of {rounds}"
            done.append(_visit(msgspec.structs.replace(plan, target=target), pids, title, watcher))
            interrupted = done[-1].interrupted
    return report.Report(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        durability=_not_stated(targets) if durability is None else f"{durability} (stated by the caller)",
        load=describe(plan),
        machine=machine.facts(Path.cwd()),
        versions=machine.versions(),
        targets=report.results(
            [
                (target.name, target.address, done)
                for target, done in zip(targets, visits, strict=True)
                if done
            ]
        ),
        interrupted=interrupted,
    )


def _not_stated(targets: Sequence[Target]) -> str:
    ours = any(
        processes.is_server(pid)
        for target in targets
        if target.loopback
        for pid in processes.listeners(target.port)
    )
    return "not stated; see the server's start-up line, and say it by --durability" if ours else "not stated"


def describe(plan: Plan) -> str:
    """The load in one line."""
    parts = [f"{plan.sessions} sessions in {plan.processes} process{'es' if plan.processes > 1 else ''}"]
    parts.append("connections kept" if plan.kept else "one connection per message")
    if plan.rate is not None:
        parts.append(f"open loop at {plan.rate:g} messages/s, latency from the intended start")
    else:
        parts.append("closed loop")
    parts += [f"{plan.messages:,} messages"] if plan.messages is not None else []
    parts += [f"{plan.duration:g} s"] if plan.duration is not None else []
    whole = sum(share.weight for share in plan.mix)
    if len(plan.mix) == 1:
        parts.append(f"{plan.mix[0].size:,} octets each")
    else:
        parts += [f"{share.weight / whole:.1%} of {share.size:,} octets" for share in plan.mix]
    parts.append(f"{plan.recipients} recipient{'s' if plan.recipients > 1 else ''}")
    parts += ["PIPELINING"] if plan.pipelining else []
    parts += ["BDAT"] if plan.chunking else []
    if plan.tls:
        parts.append("TLS from the start" if plan.tls == "tls" else "STARTTLS")
        parts += ["sessions resumed"] if plan.resume else []
    parts += [f"AUTH {plan.login.by}"] if plan.login else []
    return ", ".join(parts)


def _visit(plan: Plan, pids: Sequence[int], title: str, watcher: Watcher) -> report.Round:
    roots = set(pids)
    if not roots and plan.target.loopback:
        roots = processes.listeners(plan.target.port) - {os.getpid()}
    before = processes.usage(processes.family(roots))
    watch, finished = watcher(title)
    try:
        tally = crew.run(plan, watch)
    except crew.CrewError as error:
        raise BenchmarkError(str(error)) from None
    finally:
        finished()
    after = processes.usage(processes.family(roots))
    _check(plan, tally)
    return report.round_of(tally, before, after) if roots else report.round_of(tally)


def _check(plan: Plan, tally: Tally) -> None:
    if tally.failure:
        raise BenchmarkError(tally.failure)
    if not tally.connections and tally.failed:
        why = next(iter(tally.errors), "no answer").removeprefix("connect: ")
        raise BenchmarkError(f"cannot connect to {plan.target.address}: {why}", unreachable=True)
