"""A ledger of ten million events: what it costs to keep, and how soon something is found in it.

    .venv/bin/python -m bench.ledger [--events 10000000] [--lmdb 2000000] [--json FILE]

One writer and its keeper, in this process, without network: events come in batches as of a worker under load. Then
messages are traced by each key, each time with a ledger opened anew; once with what the system has in memory, once
after its files have been put out of it. ``--lmdb`` also puts the keys of so many events into an LMDB environment
instead, for comparison: a table of hash and position, without any sync.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import lmdb

from fastsmtp._core import ledger
from fastsmtp.cli.trace_search import Wanted
from fastsmtp.clock import SystemClock
from fastsmtp.ledger.format import DIRECTORY, segments
from fastsmtp.ledger.keeper import LedgerKeeper
from fastsmtp.ledger.rebuild import rebuild
from fastsmtp.ledger.search import EVER, Kind, Ledger
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.ledger.story import read_story
from fastsmtp.ledger.writer import LedgerWriter

LOOK = 5 << 20
"""Octets between two looks of the keeper: what a worker writes in a second at 10,000 mails/s on two cores."""
BATCH = 60
"""Events that leave together."""
HEAD = b'"v":1,"at":%.6f,"worker":0,"pid":4711,"id":"%s",'
RECEIVED = (
    b'{"kind":"received",'
    + HEAD
    + b'"from":"sender%d@example.org","to":["%s"],"size":4096,"client":"192.0.2.17",'
    b'"helo":"mail.example.org","protocol":"ESMTPS","sync":0.0021,"message_id":"<%d.20261124@mail.example.org>",'
    b'"tls":"TLSv1.3 TLS_AES_256_GCM_SHA384","aliases":[]}\n'
)
DELIVERED = b'{"kind":"delivered",' + HEAD + b'"to":"%s","mailbox":"%s","delay":0.031}\n'
ROUTED = b'{"kind":"routed",' + HEAD + b'"to":["%s"],"route":"*","hops":["mx:d.test"],"site":"mx:d.test"}\n'
SENT = (
    b'{"kind":"sent",' + HEAD + b'"to":"%s","relay":"mx.d.test[192.0.2.7]:25","code":250,"enhanced":"2.0.0",'
    b'"reply":"2.0.0 Ok: queued as 4QxYz12","delay":1.2,"duration":0.4,"tls":"TLSv1.3"}\n'
)


def message_id(number: int) -> bytes:
    return b"<%d.20261124@mail.example.org>" % number


def queue_id(number: int) -> bytes:
    return b"8D%011d" % number


def recipient(number: int) -> bytes:
    """A million recipients; every thousandth message goes to the same one."""
    return (
        b"often@d7.test"
        if number % 1000 == 0
        else b"u%d@d%d.test" % (number * 7919 % 1_000_000, number % 977)
    )


def batches(events: int, start: float) -> Iterator[tuple[bytes, int]]:
    """Messages of two events, every third of three: half of them for other hosts."""
    number = given = 0
    lines: list[bytes] = []
    while given < events:
        at, its, to = start + number * 1e-4, queue_id(number), recipient(number)
        lines.append(RECEIVED % (at, its, number % 50_000, to, number))
        if number % 2:
            lines.append(DELIVERED % (at + 0.03, its, to, to))
        else:
            lines += [ROUTED % (at, its, to), SENT % (at + 1.2, its, to)]
        number += 1
        if len(lines) >= BATCH:
            given += len(lines)
            yield b"".join(lines), len(lines)
            lines = []


def build(directory: Path, events: int) -> dict[str, float]:
    """Write them all, the keeper looking every `LOOK` octets; what that took of a CPU."""
    writer = LedgerWriter()
    keeper = LedgerKeeper(directory, LedgerSettings(), writer, clock=SystemClock(), event=print, lost=print)
    keeper.look()
    written, waiting, writing, keeping, longest = 0, 0, 0.0, 0.0, 0.0
    for lines, count in batches(events, time.time()):
        before = time.thread_time()
        writer.append(lines, count)
        writing += time.thread_time() - before
        written += count
        waiting += len(lines)
        if waiting >= LOOK:
            waiting = 0
            before = time.thread_time()
            keeper.look()
            took = time.thread_time() - before
            keeping += took
            longest = max(longest, took)
    held = writer.use(None)
    assert held is not None
    held.close()
    return {
        "events": written,
        "cpu_us_per_event_writing": writing / written * 1e6,
        "cpu_us_per_event_indexing": keeping / written * 1e6,
        "longest_look_s": longest,
        "segments": len(segments(directory)),
        "segment_octets_per_event": sum(place.size for place in segments(directory)) / written,
        "index_octets_per_event": sum(path.stat().st_size for path in directory.glob("*.idx")) / written,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def forget(directory: Path) -> None:
    """Put the files out of the system's memory."""
    os.sync()
    for path in directory.iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def timed(
    work: Callable[[], object], prepare: Callable[[], object] = lambda: None, times: int = 50
) -> dict[str, float]:
    took = []
    for _ in range(times):
        prepare()
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return {"median_ms": median(took), "longest_ms": max(took)}


def assert_rows(directory: Path) -> None:
    """What `fastsmtp trace --to` looks up to list messages."""
    found = list(islice(Wanted(EVER, to="often@d7.test").found(Ledger(directory)), 20))
    assert len(found) == 20


def search(directory: Path, events: int) -> dict[str, dict[str, float]]:
    """How long it takes to find things, and whether they are found."""
    numbers = random.Random(1)
    messages = int(events / 2.5) - 10

    def newest(kind: Kind, value: bytes, most: int = 20) -> None:
        found = list(islice(Ledger(directory).find(kind, value.decode()), most))
        assert found, (kind, value)

    def story() -> None:
        found = read_story(Ledger(directory), queue_id(numbers.randrange(messages)).decode())
        assert found is not None
        assert found.done

    works: dict[str, Callable[[], None]] = {
        "id": story,
        "recipient": lambda: newest("to", recipient(numbers.randrange(messages) | 1)),
        "recipient of 10,000 events, newest 20": lambda: newest("to", b"often@d7.test"),
        "sender, newest 20": lambda: newest("from", b"sender%d@example.org" % numbers.randrange(50_000)),
        "recipient, 20 messages with all of their events": lambda: assert_rows(directory),
        "message-id": lambda: newest("message_id", message_id(numbers.randrange(messages))),
    }
    figures = {name: timed(work) for name, work in works.items()}
    for name, work in works.items():
        figures[f"{name}, from the disk"] = timed(work, lambda: forget(directory), 5)
    return figures


def command(directory: Path, events: int) -> dict[str, dict[str, float]]:
    """The whole command, from its start to its end."""
    settings = directory.parent / "settings.toml"
    settings.write_text(
        f'hostname = "mx.example.org"\ndata_dir = "{directory.parent}"\n[[listeners]]\naddress = "127.0.0.1:2525"\n'
        '[mailboxes]\ndomains = ["example.org"]\npath = "mail/{user}"\nusers = ["a"]\n'
    )
    program = [sys.executable, "-m", "fastsmtp"]

    def run(*words: str) -> None:
        subprocess.run([*program, *words], check=True, stdout=subprocess.DEVNULL)

    its = queue_id(int(events / 5)).decode()
    return {
        "fastsmtp trace ID": timed(lambda: run("trace", its, "-c", str(settings)), times=10),
        "fastsmtp version": timed(lambda: run("version"), times=10),
    }


def in_lmdb(directory: Path, events: int) -> dict[str, float]:
    """The same keys in LMDB, a transaction for each megabyte of lines, as a run is made for each."""
    environment = lmdb.open(str(directory), map_size=64 << 30, max_dbs=1, sync=False, metasync=False)
    table = environment.open_db(b"keys", dupsort=True, integerkey=True, dupfixed=True, integerdup=True)
    base = given = 0
    lines: list[bytes] = []
    cpu, waiting = 0.0, 0
    for batch, count in batches(events, time.time()):
        lines.append(batch)
        given += count
        waiting += len(batch)
        if waiting < 1 << 20:
            continue
        data = b"".join(lines)
        pairs = [
            ((entry >> 32).to_bytes(8, "little"), (base + (entry & 0xFFFFFFFF)).to_bytes(8, "little"))
            for entry in array("Q", ledger.entries(data, 0))
        ]
        made = time.process_time()
        with environment.begin(write=True) as transaction:
            transaction.cursor(table).putmulti(pairs)
        cpu += time.process_time() - made
        lines, waiting, base = [], 0, base + len(data)
    figures = {
        "events": given,
        "cpu_us_per_event_without_making_the_keys": cpu / given * 1e6,
        "octets_per_event": sum(path.stat().st_blocks * 512 for path in directory.iterdir()) / given,
    }
    numbers = random.Random(1)
    with environment.begin() as transaction:
        cursor = transaction.cursor(table)

        def look() -> None:
            hashed = ledger.key("i", queue_id(numbers.randrange(int(given / 3))))
            assert cursor.set_key(hashed.to_bytes(8, "little"))
            list(cursor.iternext_dup())

        figures["find_ms"] = timed(look, times=1000)["median_ms"]
    environment.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--lmdb", type=int, default=0, metavar="EVENTS")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    var = Path(__file__).parent / "var"
    var.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ledger-", dir=var))
    try:
        directory = folder / DIRECTORY
        figures: dict[str, object] = {"build": build(directory, options.events)}
        figures["search"] = search(directory, options.events)
        figures["command"] = command(directory, options.events)
        began = time.perf_counter()
        rebuild(directory)
        figures["reindex_seconds"] = time.perf_counter() - began
        if options.lmdb:
            figures["lmdb"] = in_lmdb(folder / "lmdb", options.lmdb)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
