"""Finds the processes of a local server and reads what they cost: CPU seconds and memory (Linux /proc)."""

import os
from collections.abc import Iterable
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What a group of processes has used: CPU in seconds since they began, resident memory in bytes now.

    ``cpu`` includes children that have ended and been waited for; ``rss`` counts shared pages once per
    process, ``pss`` divides them among those that share them. ``user`` is the part of ``cpu`` outside the kernel.
    """

    processes: int
    cpu: float
    rss: int
    pss: int
    user: float = 0.0


def listeners(port: int) -> set[int]:
    """The processes that hold a socket listening on TCP ``port``, as far as we may look at them."""
    inodes = _listening_inodes(port)
    if not inodes:
        return set()
    names = {f"socket:[{inode}]" for inode in inodes}
    found = set()
    for pid in _all_pids():
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") in names:
                    found.add(pid)
                    break
            except OSError:
                continue
    return found


def family(roots: Iterable[int]) -> set[int]:
    """``roots`` and all their living descendants; roots that have ended are left out."""
    children: dict[int, list[int]] = {}
    alive = set()
    for pid in _all_pids():
        fields = _stat(pid)
        if fields is not None:
            alive.add(pid)
            children.setdefault(int(fields[1]), []).append(pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in alive]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def is_server(pid: int) -> bool:
    """Whether the process is ``fastsmtp serve``, by its command line."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return b"serve" in words and any(os.path.basename(word) == b"fastsmtp" for word in words)


def usage(pids: Iterable[int], *, shared: bool = False) -> Usage:
    """The sum over ``pids``; one that has ended counts nothing. ``pss`` costs a walk over the page tables
    of every process and is read only when ``shared`` is true, else it is 0."""
    number, cpu, rss, pss, user = 0, 0.0, 0, 0, 0.0
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in pids:
        fields = _stat(pid)
        if fields is None:
            continue
        number += 1
        cpu += sum(int(field) for field in fields[11:15]) / _TICKS
        user += (int(fields[11]) + int(fields[13])) / _TICKS
        rss += int(fields[21]) * page
        if shared:
            pss += _pss(pid)
    return Usage(number, cpu, rss, pss, user)


def _pss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name, so that the state is field 0."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _listening_inodes(port: int) -> set[str]:
    wanted = f"{port:04X}"
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                next(lines)
                for line in lines:
                    fields = line.split()
                    if fields[3] == "0A" and fields[1].rpartition(":")[2] == wanted:
                        inodes.add(fields[9])
        except OSError:
            continue
    return inodes
