"""A queue of a million messages that wait for other hosts: what it costs to keep, to find and to change them.

    .venv/bin/python -m bench.queue_index [--messages 1000000] [--domains 10000] [--size 500] [--json FILE]

One spool, in this process, without network: messages are submitted as intake does, and deferred as the queue's engine
does. A tenth of them is for one domain, the others are spread. While that domain's mail is changed, messages come in
one after another: "wait" is from handing one over until it is durable. Prints one line a figure, and writes them as
JSON where that is asked for. What the system has cached stays so: this is a server that runs.
"""

import argparse
import json
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from fastsmtp.clock import SystemClock
from fastsmtp.loadgen import machine
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.bulk import Action, Changed
from fastsmtp.spool.filter import Filter
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.waiting import RcptState, Try, Waiting
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.threads import collect_seldom

PREFIX = b"Return-Path: <sender@example.org>\r\nReceived: by mx.example.org\r\n"
BIG = "big.test"
SESSIONS = 200
REPLIES = [
    (451, "4.7.1", "Greylisted, try again"),
    (421, "4.3.2", "Too busy"),
    (450, "4.2.1", "Mailbox busy"),
    (0, "4.4.1", "No answer"),
]
FILTERS = {
    "everything": Filter(),
    "recipient": Filter(recipient=f"u77@{BIG}"),
    "recipient *@domain": Filter(recipient=f"*@{BIG}"),
    "recipient *@*.domain": Filter(recipient="*@*.d77.test"),
    "recipient prefix*": Filter(recipient="u777*"),
    "domain": Filter(domain="mx.d77.test"),
    "sender": Filter(sender="s77@example.org"),
    "sender *@domain": Filter(sender="*@example.org"),
    "code": Filter(code="421"),
    "held": Filter(state="held"),
    "deferred": Filter(state="deferred"),
    "fresh": Filter(state="fresh"),
    "younger": Filter(younger=1.0),
    "older": Filter(older=1.0),
    "text (scan)": Filter(text="nobody says this"),
}


class Queue:
    """A spool whose call-backs are run by this thread."""

    def __init__(self, path: Path) -> None:
        self.posted: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.spool = LmdbSpool(
            path, slot=0, settings=SpoolSettings(), durability="full", post=self.posted.put,
            log=MailLog(SystemClock(), slot=0, fd=2), clock=SystemClock(),
        )  # fmt: skip
        self.spool.start()
        collect_seldom()  # as in a worker

    def run(self, condition: Callable[[], bool]) -> None:
        while not condition():
            try:
                self.posted.get(timeout=1.0)()
            except Empty:
                pass

    def submit(self, count: int, to: Callable[[int], str], size: int) -> list[str]:
        """``count`` messages, `SESSIONS` at a time, each once the one before is answered; their ids."""
        body, ids, answered = b"x" * size, list[str](), 0

        def one(error: object) -> None:
            nonlocal answered
            assert error is None, error
            answered += 1
            if len(ids) < count:
                send()

        def send() -> None:
            queue_id = self.spool.new_id()
            ids.append(queue_id)
            envelope = Envelope(
                queue_id, f"s{len(ids) % 1000}@example.org", [Recipient(to(len(ids)), "")],
                "192.0.2.1", "c", "ESMTP", time.time(),
            )  # fmt: skip
            self.spool.submit(envelope, PREFIX, body, one)

        for _ in range(min(SESSIONS, count)):
            send()
        self.run(lambda: answered == count)
        return ids

    def settle(self, changes: list[Defer | Finish]) -> None:
        answers: list[object] = []
        self.spool.relay.settle(changes, answers.append)
        self.run(lambda: bool(answers))
        assert answers == [None]

    def defer(self, ids: list[str], dice: random.Random) -> None:
        now = time.time()
        changes: list[Defer | Finish] = []
        for one in ids:
            code, enhanced, text = dice.choice(REPLIES)
            due = now + dice.randrange(3600) if dice.random() < 0.1 else 0.0
            state = RcptState(0, due, (Try(now, code, enhanced, text, "mx.far.test[192.0.2.9]:25"),))
            changes.append(Defer(one, Waiting(now, False, False, [state])))
        self.settle(changes)

    def apply(self, filter: Filter, action: Action) -> str:
        """How many were changed, and what messages that came in meanwhile had to wait for."""
        position: bytes | None = b""
        changed = 0
        waits: list[float] = []

        def done(error: object, what: Changed) -> None:
            nonlocal position, changed
            assert error is None, error
            changed += len(what.ids)
            position = what.position
            if position is not None:
                self.spool.search.apply(filter, action, position, done)

        def send() -> None:
            begun = time.perf_counter()
            envelope = Envelope(
                self.spool.new_id(), "s@example.org", [Recipient("u@live.test", "")],
                "192.0.2.1", "c", "ESMTP", time.time(),
            )  # fmt: skip

            def stored(error: object) -> None:
                assert error is None, error
                waits.append(time.perf_counter() - begun)
                if position is not None:
                    send()

            self.spool.submit(envelope, PREFIX, b"x" * 500, stored)

        self.spool.search.apply(filter, action, position, done)
        send()
        self.run(lambda: position is None)
        waits.sort()
        p99 = waits[len(waits) * 99 // 100]
        return f"{changed} changed; {len(waits)} came in, p99 {p99 * 1000:.1f} ms, longest {waits[-1] * 1000:.1f} ms"


def anonymous() -> float:
    """Megabytes of this process that are not a file's."""
    found = re.search(r"^Anonymous:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


class Report:
    """Prints figures as they come, and keeps them."""

    def __init__(self) -> None:
        self.figures: dict[str, str] = {}

    def tell(self, what: str, figure: str) -> None:
        print(f"{what:<46} {figure}", flush=True)
        self.figures[what] = figure

    def timed(self, what: str, work: Callable[[], object]) -> None:
        begun = time.perf_counter()
        result = work()
        took = f"{(time.perf_counter() - begun) * 1000:.1f} ms"
        self.tell(what, took if result is None else f"{took}; {result}")


def rate(queue: Queue, size: int, count: int = 20_000) -> float:
    """Messages a second that come and go at once."""
    begun = time.perf_counter()
    ids = queue.submit(count, lambda n: f"u{n}@live.test", size)
    seconds = time.perf_counter() - begun
    queue.settle([Finish(one) for one in ids])
    return count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--domains", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(dir=chosen.dir))
    report = Report()
    try:
        facts = machine.facts(base)
        measure(base, chosen, report)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if chosen.json is not None:
        told = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": "bench/queue_index.py",
            "machine": facts,
            "versions": machine.versions(),
            "options": {name: getattr(chosen, name) for name in ("messages", "domains", "size")},
            "figures": report.figures,
        }
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


def measure(base: Path, chosen: argparse.Namespace, report: Report) -> None:
    dice = random.Random(1)
    queue = Queue(base / "spool")
    empty = sorted(rate(queue, chosen.size) for _ in range(5))[2]
    report.tell("intake of an empty queue", f"{empty:.0f} messages/s; {anonymous():.0f} MB anonymous")
    begun = time.perf_counter()
    for start in range(0, chosen.messages, 10_000):
        count = min(10_000, chosen.messages - start)

        def to(n: int) -> str:
            domain = BIG if n % 10 == 0 else f"mx.d{dice.randrange(chosen.domains)}.test"
            return f"u{dice.randrange(100_000)}@{domain}"

        queue.defer(queue.submit(count, to, chosen.size), dice)
    seconds = time.perf_counter() - begun
    report.tell(
        "submitted and deferred",
        f"{chosen.messages / seconds:.0f} messages/s; {anonymous():.0f} MB anonymous",
    )
    full = sorted(rate(queue, chosen.size) for _ in range(5))[2]
    report.tell("intake of the full queue", f"{full:.0f} messages/s, {full / empty:.2f} of the empty one's")
    report.timed("stop", queue.spool.stop)
    begun = time.perf_counter()
    queue = Queue(base / "spool")
    report.tell("start", f"{time.perf_counter() - begun:.2f} s; {anonymous():.0f} MB anonymous")
    report.timed("walk through all for fresh ones", lambda: walk(queue))
    for name, filter in FILTERS.items():
        report.timed(
            f"first page by {name}", lambda f=filter: len(queue.spool.search.find(f, b"", 100).found)
        )
    report.timed("count by domain", lambda: count_all(queue, Filter(domain=BIG)))
    report.timed("count by text (scan)", lambda: count_all(queue, Filter(text="Too")))
    report.timed("domains", lambda: len(queue.spool.relay.domains(b"", 100_000).found))
    actions: list[Action] = ["hold", "release", "retry", "hold"]
    for number, action in enumerate(actions, 1):
        report.timed(f"{number}. {action} by domain", lambda a=action: queue.apply(Filter(domain=BIG), a))
    for name in ("domain", "held", "everything"):
        report.timed(
            f"first page by {name}, after these",
            lambda f=FILTERS[name]: len(queue.spool.search.find(f, b"", 100).found),
        )
    report.tell("memory", f"{anonymous():.0f} MB anonymous")
    report.timed("remove by domain", lambda: queue.apply(Filter(domain=BIG), "remove"))
    queue.spool.stop()


def walk(queue: Queue) -> str:
    position: bytes | None = b""
    pages = 0
    while position is not None:
        position = queue.spool.relay.fresh(position, 500).position
        pages += 1
    return f"{pages} pages"


def count_all(queue: Queue, filter: Filter) -> int:
    count, position = 0, b""
    while position is not None:
        page = queue.spool.search.count(filter, position)
        count, position = count + page.messages, page.position
    return count


if __name__ == "__main__":
    main()
