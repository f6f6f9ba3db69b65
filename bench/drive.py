"""Drives one server with Postfix's smtp-source and tells what came of it."""

import contextlib
import os
import signal
import statistics
import subprocess
import time
from pathlib import Path

from servers import DOMAIN, Server, ServerError, pids, program

from fastsmtp.loadgen import processes

Figures = dict[str, float]
QUIET = 2.0
STALLED = 30.0
PATIENCE = 600.0


def source(server: Server, user: str, *, kept: bool, sessions: int, size: int, count: int) -> list[str]:
    """The command line of smtp-source."""
    command = [program("smtp-source"), "-s", str(sessions), "-m", str(count), "-l", str(size)]
    if kept:
        command.append("-d")
    return [*command, "-f", f"sender@{DOMAIN}", "-t", f"{user}@{DOMAIN}", f"127.0.0.1:{server.port}"]


def burst(server: Server, user: str, *, kept: bool, sessions: int, size: int, count: int) -> Figures:
    """Sends ``count`` messages; the clock stops when the last 250 is read. Then waits, off the clock, until
    all is delivered, so that the next measurement finds the machine quiet, and checks that nothing is lost."""
    before = processes.usage(pids(server))
    seconds = accept(server, user, kept=kept, sessions=sessions, size=size, count=count)
    accepting = processes.usage(pids(server))
    delivered = settle(server, user, count)
    after = processes.usage(pids(server))
    if delivered is not None and delivered[0] != count:
        raise ServerError(f"{server.name} accepted {count} messages and delivered {delivered[0]}")
    return {
        "seconds": seconds,
        "messages_per_s": count / seconds,
        "megabytes_per_s": count * size / seconds / 1e6,
        "cpu_ms_per_message_accepting": (accepting.cpu - before.cpu) / count * 1e3,
        "cpu_ms_per_message": (after.cpu - before.cpu) / count * 1e3,
        "rss_mb": after.rss / 1e6,
    }


def accept(server: Server, user: str, *, kept: bool, sessions: int, size: int, count: int) -> float:
    """Sends ``count`` messages; seconds until the last 250 is read."""
    command = source(server, user, kept=kept, sessions=sessions, size=size, count=count)
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise ServerError(f"smtp-source against {server.name}: {done.stderr.strip()[-200:]}")
    return seconds


def sustained(server: Server, user: str, *, kept: bool, sessions: int, size: int, seconds: float) -> Figures:
    """Sends for ``seconds``, then waits until all is delivered: the clock stops with the last file that
    appears in the mailbox. What is counted is what stands there."""
    command = source(server, user, kept=kept, sessions=sessions, size=size, count=1_000_000_000)
    before = processes.usage(pids(server))
    began = time.time()
    sender = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, complaint = sender.communicate(timeout=seconds)
        raise ServerError(f"smtp-source against {server.name} ended early: {complaint.strip()[-200:]}")
    except subprocess.TimeoutExpired:
        sender.send_signal(signal.SIGTERM)
        sender.communicate()
    sent = time.time() - began
    delivered = settle(server, user)
    if delivered is None:
        raise ServerError(f"{server.name} delivers nothing: a sustained rate means nothing there")
    count, last = delivered
    after = processes.usage(pids(server))
    total = max(last - began, sent)
    return {
        "seconds_sending": sent,
        "seconds_until_all_delivered": total,
        "messages": count,
        "messages_per_s": count / total,
        "megabytes_per_s": count * size / total / 1e6,
        "cpu_ms_per_message": (after.cpu - before.cpu) / max(count, 1) * 1e3,
        "rss_mb": after.rss / 1e6,
    }


def settle(server: Server, user: str, expected: int | None = None) -> tuple[int, float] | None:
    """Waits until the queue is empty and nothing new has appeared in the mailbox for two seconds; with fewer than
    ``expected`` there, for a good while longer, as a sync may have to write what other servers left behind.

    Returns how many messages are there and when the last one appeared (seconds since 1970); None when the
    server delivers nowhere. The directory's own time of change tells it without a reading of its entries.
    """
    inbox = server.inbox(user)
    if inbox is None:
        time.sleep(0.5)
        return None
    began = time.time()  # a server may put delivery off as long as it is flooded
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        last = changed(inbox)
        quiet = time.time() - max(last, began)
        if last and quiet >= QUIET and not server.queued():
            count = count_files(inbox)
            if expected is None or count >= expected or quiet >= STALLED:
                return count, last
        time.sleep(0.25)
    raise ServerError(f"{server.name} has not delivered everything within {PATIENCE:g} s")


def changed(directory: Path) -> float:
    """When the directory last changed, 0.0 while there is none."""
    try:
        return directory.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def count_files(directory: Path) -> int:
    """How many entries a directory has."""
    with os.scandir(directory) as entries:
        return sum(1 for _ in entries)


def anonymous(watched: set[int]) -> dict[int, int]:
    """Anonymous resident bytes of each of these processes; of a page that several share, each has its part."""
    found = {}
    for pid in watched:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as lines:
            found[pid] = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon"))
    return found


def flush_ms(directory: Path) -> float:
    """What the disk takes to keep 16 KB that were appended to a file in ``directory``: milliseconds, the median of
    300 times. What waits for a flush cannot be compared between two moments without it."""
    file = directory / "flush"
    taken = []
    with open(file, "wb", buffering=0) as stream:
        os.posix_fallocate(stream.fileno(), 0, 300 * 16384)
        os.fsync(stream.fileno())
        for _ in range(300):
            stream.write(bytes(16384))
            began = time.monotonic()
            os.fdatasync(stream.fileno())
            taken.append(time.monotonic() - began)
    file.unlink()
    return statistics.median(taken) * 1000


def medians(rounds: list[Figures]) -> Figures:
    """The median of each figure over the rounds."""
    names = [name for name in rounds[0] if all(name in figures for figures in rounds)]
    return {name: statistics.median(figures[name] for figures in rounds) for name in names}
