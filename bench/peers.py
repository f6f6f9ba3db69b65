#!/usr/bin/env python3
"""Compares fastsmtp with Debian's Postfix and its smtp-sink: the same smtp-source, in turn, in one run.

    .venv/bin/python bench/peers.py --rounds 5                          everything, as in the README
    .venv/bin/python bench/peers.py burst-connect-20 --rounds 3 --messages 5000
    .venv/bin/python bench/peers.py --list

Needs Debian's postfix package, and root for Postfix itself. Writes the raw figures to bench/results/.
"""

import argparse
import resource
import shlex
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import extras
import orjson
from drive import Figures, medians
from scenarios import SCENARIOS, Sizes
from servers import FastSmtp, Postfix, Server, ServerError, SmtpSink, all_users
from table import markdown

from fastsmtp.loadgen import machine

HERE = Path(__file__).resolve().parent
PORTS = {"fastsmtp": 2624, "postfix": 2625, "smtp-sink": 2626}


def main() -> int:
    """Runs the chosen scenarios; 0 when all of them gave figures."""
    options = arguments()
    if options.list:
        titles = {name: one.title for name, one in SCENARIOS.items()}
        titles |= {name: one.title for name, one in extras.EXTRAS.items()}
        for name, title in titles.items():
            print(f"{name:20} {title}")
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    directory = HERE / "var" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    report: dict[str, object] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["bench/peers.py", *sys.argv[1:]]),
        "machine": machine.facts(directory),
        "versions": machine.versions(),
        "rounds": options.rounds,
        "servers": {},
        "scenarios": {},
    }
    spread(directory)
    failures = compare(options, directory, report)
    failures += alone(options, directory, report)
    report["failures"] = failures
    target = options.output or HERE / "results" / f"{directory.name}-peers.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    print(markdown(report))
    print(f"raw figures: {target}", file=sys.stderr)
    for failure in failures:
        print(f"peers: {failure}", file=sys.stderr)
    if not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failures else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Compare fastsmtp, Postfix and smtp-sink, driven by smtp-source in turn.",
        epilog="example: bench/peers.py burst-connect-20 burst-kept-20 --rounds 5",
    )
    default = Sizes()
    parser.add_argument("scenario", nargs="*", help="scenarios to run (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--servers", default=",".join(PORTS), help="which to compare (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="visits to each server (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=default.messages, help="in a burst")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="of a sustained run")
    parser.add_argument("--large-messages", type=int, default=default.large_messages, help="of 10 MB")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each visit")
    parser.add_argument("--queued", type=int, default=1_000_000, help="mails of the intake test")
    parser.add_argument("--in-a-row", type=int, default=50_000, help="TLS connections of the test of memory")
    parser.add_argument("--durability", default="full", help="fastsmtp's setting (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="file for the raw figures")
    parser.add_argument("--keep", action="store_true", help="leave mail, logs and settings in bench/var/")
    options = parser.parse_args()
    known = {**SCENARIOS, **extras.EXTRAS}
    for name in options.scenario:
        if name not in known:
            parser.error(f"no scenario {name}; there are {', '.join(known)}")
    options.scenario = options.scenario or list(known)
    options.servers = options.servers.split(",")
    for name in options.servers:
        if name not in PORTS:
            parser.error(f"no server {name}; there are {', '.join(PORTS)}")
    return options


def make(name: str, directory: Path, durability: str, extra: str = "") -> Server:
    """A server, not yet started."""
    if name == "postfix":
        return Postfix(directory, PORTS[name])
    if name == "smtp-sink":
        return SmtpSink(directory, PORTS[name])
    return FastSmtp(directory, PORTS[name], durability, extra)


def spread(directory: Path) -> None:
    """Asks ext4 to put each server's directories into another group of inodes: it skips inodes that were freed
    a short while ago, so that a server that removes files would slow down its neighbours' creating them."""
    chattr = shutil.which("chattr")
    if chattr is not None:
        subprocess.run([chattr, "+T", directory], capture_output=True, check=False)


def compare(options: argparse.Namespace, directory: Path, report: dict[str, object]) -> list[str]:
    """The scenarios in which several servers are visited in turn; returns what went wrong."""
    chosen = [name for name in options.scenario if name in SCENARIOS]
    sizes = Sizes(options.messages, options.seconds, options.large_messages)
    failures: list[str] = []
    fleet: dict[str, Server] = {}
    if not chosen:
        return failures
    try:
        for name in options.servers:
            server = make(name, directory, options.durability)
            try:
                server.start()
            except ServerError as error:
                failures.append(str(error))
                server.stop()
                continue
            fleet[name] = server
            described(report, server)
        users = iter(all_users())
        for name in chosen:
            scenario = SCENARIOS[name]
            visited = [server for server in fleet.values() if server.name in scenario.servers]
            figures: dict[str, list[Figures]] = {server.name: [] for server in visited}
            for number in range(options.rounds):
                user = next(users)
                for server in visited:
                    time.sleep(options.pause)
                    say(f"{name}: round {number + 1} of {options.rounds}, {server.name}")
                    try:
                        figures[server.name].append(scenario.run(server, user, sizes))
                        say(f"    {figures[server.name][-1][scenario.figure]:,.0f} {scenario.figure}")
                    except ServerError as error:
                        failures.append(f"{name}: {error}")
            record(report, name, scenario.title, scenario.figure, figures)
    finally:
        for server in fleet.values():
            server.stop()
    return failures


def alone(options: argparse.Namespace, directory: Path, report: dict[str, object]) -> list[str]:
    """The scenarios that need a freshly started server; returns what went wrong."""
    failures = []
    for name in options.scenario:
        scenario = extras.EXTRAS.get(name)
        if scenario is None:
            continue
        figures: dict[str, list[Figures]] = {}
        for server_name in options.servers:
            if server_name not in scenario.servers:
                continue
            server = make(server_name, directory / name, options.durability, scenario.settings)
            say(f"{name}: {server_name}")
            try:
                server.start()
                described(report, server)
                figures[server_name] = [scenario.run(server, options)]
            except (ServerError, OSError) as error:
                failures.append(f"{name}: {error}")
            finally:
                server.stop()
        record(report, name, scenario.title, scenario.figure, figures)
    return failures


def described(report: dict[str, object], server: Server) -> None:
    """Notes version and durability of a server in the report."""
    servers = report["servers"]
    assert isinstance(servers, dict)
    servers[server.name] = {"version": server.version(), "durability": server.durability}


def record(
    report: dict[str, object], name: str, title: str, figure: str, figures: dict[str, list[Figures]]
) -> None:
    """Adds one scenario's rounds and medians to the report."""
    scenarios = report["scenarios"]
    assert isinstance(scenarios, dict)
    scenarios[name] = {
        "title": title,
        "figure": figure,
        "servers": {
            server: {"rounds": rounds, "median": medians(rounds)}
            for server, rounds in figures.items()
            if rounds
        },
    }


def say(text: str) -> None:
    """One line of progress."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
