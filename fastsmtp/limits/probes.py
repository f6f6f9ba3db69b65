"""What is left of disk and memory, as the system tells it. Sizes in bytes."""

import ctypes
import os
from pathlib import Path
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CGROUPS = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Options of mallopt(3), as glibc's malloc.h numbers them."""
_LARGE = 256 * 1024
"""Bytes of a block that is mapped by itself and goes back when it is freed, and of free memory at the end of the heap
that does."""


class Space(NamedTuple):
    """What an ordinary user may still take of a file system; ``inodes`` is None where it does not count them."""

    free: int
    inodes: int | None


def space(path: Path) -> Space:
    """Of the file system of ``path``. May block for as long as that does not answer. Raises OSError."""
    state = os.statvfs(path)
    return Space(state.f_bavail * state.f_frsize, state.f_favail if state.f_files else None)


def own_memory(statm: Path = Path("/proc/self/statm")) -> int:
    """Memory of this process alone: resident, without files that are mapped and what is shared."""
    resident, shared = map(int, statm.read_text().split()[1:3])
    return (resident - shared) * _PAGE


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """What new work may take before the machine swaps, as the kernel estimates it."""
    return _field(meminfo, "MemAvailable:")


def whole_memory(
    meminfo: Path = Path("/proc/meminfo"), own: Path = Path("/proc/self/cgroup"), cgroups: Path = _CGROUPS
) -> int:
    """The machine's memory, or what the cgroup of this process, or one above it, allows (memory.max of version 2)."""
    whole = _field(meminfo, "MemTotal:")
    try:
        [name] = [line[3:] for line in own.read_text().splitlines() if line.startswith("0::")]
    except (OSError, ValueError):
        return whole
    group = cgroups / name.lstrip("/")
    while group != cgroups.parent:
        try:
            most = (group / "memory.max").read_text().strip()
        except OSError:  # the root has none, and a namespace may hide those above
            most = "max"
        if most != "max":
            whole = min(whole, int(most))
        group = group.parent
    return whole


def hold_less() -> None:
    """Let malloc keep less of what is freed, in this process and those it forks; to be called before there are
    threads. By itself it keeps a heap for each thread, and after the first large block also those to come: with the
    tables of a long queue that is 25 MB a worker. Nothing happens where the C library cannot."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _LARGE)):
            mallopt(option, value)


def give_back() -> None:
    """Let malloc give back to the system what was freed; else a burst that is over may look like one that goes
    on. Nothing happens where the C library cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _field(meminfo: Path, name: str) -> int:
    with meminfo.open() as lines:
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    raise ValueError(f"{meminfo} has no {name}")
