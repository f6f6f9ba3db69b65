"""What clients notice of reloads and upgrades: a steady load, and each message accounted for.

    PYTHONPATH=. .venv/bin/python bench/upgrade.py [--rounds 5] [--messages 1500] [--json FILE]

Eight sessions send ``--messages`` each, at rest between them and ten a connection, while the server is reloaded and
upgraded in turn, each until what was there before has ended. Then Postfix's smtp-source sends as fast as it can
(``--flood``), while the same goes on. No session may fail, no message may be lost or doubled.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

from servers import ServerError, program

from fastsmtp.control.client import NotThere, ask
from fastsmtp.control.master import Outcome, master_path
from fastsmtp.loadgen import machine
from tests.system.server import alive
from tests.tools import audit
from tests.tools.load import Load, Mix, Sent
from tests.tools.site import USERS, Site
from tests.tools.waiting import until

QUIET = 1.5
"""Seconds of load alone before each reload and upgrade."""
PATIENCE = 60.0

Window = tuple[str, float, float]


class Generations:
    """Lets generations of ``server`` follow; ``windows`` says what was done from when to when."""

    def __init__(self, server: Site) -> None:
        self._server = server
        self._path = master_path(server.data)
        self._number = 1
        self.windows: list[Window] = []
        self.seconds: dict[str, list[float]] = {"reload": [], "upgrade": []}
        """Until new connections were met by the new generation."""

    def follow(self, verb: str) -> None:
        """``reload`` or ``upgrade``, until the one before has ended."""
        pid, ended = self.master(), f"generation {self._number} has ended"
        before = self._server.log.count(ended)
        began = time.monotonic()
        outcome = until("the master answers", lambda: self._ask(verb), PATIENCE)
        self.seconds[verb].append(time.monotonic() - began)
        if not outcome.done:
            raise ServerError(f"{verb}: {'; '.join(outcome.lines)}")
        self._number = outcome.generation
        if verb == "reload":
            until(ended, lambda: self._server.log.count(ended) > before, PATIENCE)
        else:
            until("the old master has ended", lambda: not alive(pid), PATIENCE)
        self.windows.append((verb, began, time.monotonic()))

    def master(self) -> int:
        """The pid of whoever serves."""
        return int(until("a master", (self._server.data / "lock").read_text, PATIENCE))

    def _ask(self, verb: str) -> Outcome | None:
        try:
            outcome: Outcome = asyncio.run(ask(self._path, verb, None, Outcome, patience=PATIENCE))
            return outcome
        except NotThere:  # between the masters of an upgrade
            return None


def steady(server: Site, generations: Generations, rounds: int, messages: int) -> list[Sent]:
    """All that was sent while the server was reloaded and upgraded ``rounds`` times each."""
    mailboxes = tuple(f"{user}@example.org" for user in USERS)
    mix = Mix(mailboxes, small=4_000, large_every=0, most_recipients=1, rest=0.02, messages=messages)
    load = Load(server.address, mix, sessions=8)
    load.start()
    for _ in range(rounds):
        for verb in ("reload", "upgrade"):
            time.sleep(QUIET)
            generations.follow(verb)
    under_way = time.monotonic()
    load.finish()
    if load.lost:
        raise ServerError(f"{len(load.lost)} sessions failed: {load.lost[:3]}")
    if max(one.ended for one in load.sent) < under_way:
        raise ServerError("the load was over before the last upgrade: ask for more --messages")
    return load.sent


def settled(server: Site, sent: Sequence[Sent]) -> None:
    """Every message is where it belongs, once."""
    until("all mail", lambda: not audit.awaited(sent, audit.standing(server.mail)), PATIENCE, pause=1.0)
    faults = audit.compare(sent, audit.standing(server.mail))
    if faults:
        raise ServerError(f"{len(faults)} faults: {faults[:3]}")


def flood(server: Site, generations: Generations, count: int) -> int:
    """smtp-source with ``count`` messages to a mailbox of their own; how many generations followed meanwhile."""
    user = USERS[-1]
    new = server.maildir(user) / "new"
    before = len(list(new.iterdir())) if new.exists() else 0
    source = subprocess.Popen(
        [program("smtp-source"), "-s", "8", "-m", str(count), "-l", "4096", "-f", "source@client.example",
         "-t", f"{user}@example.org", f"127.0.0.1:{server.port}"]
    )  # fmt: skip
    followed = 0
    for verb in cycle(("reload", "upgrade")):
        if source.poll() is not None:
            break
        generations.follow(verb)
        followed += 1
    if source.wait() != 0:
        raise ServerError("smtp-source ended with a fault")
    until("all mail", lambda: len(list(new.iterdir())) >= before + count, PATIENCE, pause=1.0)
    arrived = len(list(new.iterdir())) - before
    if arrived != count:
        raise ServerError(f"{arrived} messages arrived of {count}")
    return followed


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """Of transactions, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "transactions": len(ordered),
        "p50_ms": statistics.median(ordered) * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        "max_ms": ordered[-1] * 1e3,
    }


def by_moment(sent: Sequence[Sent], windows: Sequence[Window]) -> dict[str, dict[str, float]]:
    """Transactions while nothing else was done, and those that a reload or an upgrade overlapped."""
    found: dict[str, list[float]] = {"before": [], "reload": [], "upgrade": []}
    for one in sent:
        meanwhile = {verb for verb, began, ended in windows if one.began < ended and one.ended > began}
        for name in meanwhile or {"before"}:
            found[name].append(one.ended - one.began)
    return {name: figures(seconds) for name, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=1500, help="of each of the eight sessions")
    parser.add_argument("--flood", type=int, default=20_000, help="messages of smtp-source; 0: none")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.setswitchinterval(0.0005)  # a session of ours does not wait for another one of ours
    var = Path(__file__).resolve().parent / "var"
    var.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="upgrade-", dir=var))
    server = Site(folder, workers=options.workers)
    generations = Generations(server)
    try:
        facts = machine.facts(folder)
        server.start()
        sent = steady(server, generations, options.rounds, options.messages)
        settled(server, sent)
        result = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": "bench/upgrade.py " + " ".join(sys.argv[1:]),
            "machine": facts,
            "versions": machine.versions(),
            "messages": len(sent),
            "latency": by_moment(sent, generations.windows),
            "seconds": {verb: list(each) for verb, each in generations.seconds.items()},
        }
        if options.flood:
            result["flood"] = {
                "messages": options.flood,
                "followed": flood(server, generations, options.flood),
            }
    except BaseException:
        print(server.log[-3000:], file=sys.stderr)
        raise
    finally:
        if server.process is not None:
            server.kill()
        shutil.rmtree(folder)
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
