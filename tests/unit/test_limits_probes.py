"""What is left of disk and memory."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastsmtp.limits import probes
from fastsmtp.limits.probes import available_memory, give_back, own_memory, space, whole_memory

GIB = 1 << 30


def test_space_is_what_an_ordinary_user_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    state = SimpleNamespace(
        f_bfree=9, f_bavail=5, f_frsize=4096, f_bsize=1 << 20, f_files=100, f_ffree=70, f_favail=60
    )
    monkeypatch.setattr(os, "statvfs", lambda path: state)
    assert space(Path("/")) == (5 * 4096, 60)
    state.f_files = 0
    assert space(Path("/")).inodes is None, "a file system without a number of inodes"


def test_a_real_file_system(tmp_path: Path) -> None:
    assert space(tmp_path).free > 0
    with pytest.raises(OSError, match="No such file"):
        space(tmp_path / "not-there")


def test_own_memory_leaves_out_what_is_shared(tmp_path: Path) -> None:
    statm = tmp_path / "statm"
    statm.write_text("1000 300 100 5 0 400 0\n")
    assert own_memory(statm) == 200 * probes._PAGE


def test_own_memory_grows_with_what_is_taken() -> None:
    before = own_memory()
    taken = bytearray(b"x") * (64 << 20)
    assert own_memory() - before > 48 << 20
    del taken


def test_the_machine_s_memory(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 2097152 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n")
    assert available_memory(meminfo) == 1 << 20
    assert whole_memory(meminfo, tmp_path / "none", tmp_path) == 2 * GIB
    meminfo.write_text("MemTotal: 2097152 kB\n")
    with pytest.raises(ValueError, match="has no MemAvailable:"):
        available_memory(meminfo)


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({}, 2 * GIB),
        ({"a/b": "max"}, 2 * GIB),
        ({"a/b": str(GIB)}, GIB),
        ({"a/b": "max", "a": str(GIB)}, GIB),
        ({"a/b": str(GIB), "a": str(GIB // 2)}, GIB // 2),
        ({"": str(GIB)}, GIB),
        ({"a/b": str(8 * GIB)}, 2 * GIB),
    ],
)
def test_a_cgroup_may_allow_less(tmp_path: Path, limits: dict[str, str], most: int) -> None:
    meminfo, own, cgroups = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "cgroups"
    meminfo.write_text("MemTotal: 2097152 kB\n")
    own.write_text("1:name=x:/other\n0::/a/b\n")
    (cgroups / "a/b").mkdir(parents=True)
    for group, limit in limits.items():
        (cgroups / group / "memory.max").write_text(limit + "\n")
    assert whole_memory(meminfo, own, cgroups) == most


def test_the_machine_this_runs_on() -> None:
    assert available_memory() > 0
    assert whole_memory() > 0


def test_what_was_freed_is_given_back() -> None:
    """Else a worker that once had much would refuse mail for ever: what still stands among it keeps it."""
    taken = [bytearray(16_000) for _ in range(10_000)]
    peak = own_memory()
    kept = taken[::50]
    del taken
    give_back()
    assert peak - own_memory() > 100_000_000
    del kept


_FREED = """
import sys
from fastsmtp.limits.probes import hold_less, own_memory
if sys.argv[1] == "less":
    hold_less()
del (once := [bytearray(30_000_000)])[:]  # after this malloc maps no block of such a size by itself
large, small = [], []
for _ in range(40):
    large.append(bytearray(1_000_000))
    small.append(bytearray(2_000))
peak = own_memory()
large.clear()
print(peak - own_memory())
"""


@pytest.mark.parametrize(("how", "goes_back"), [("less", True), ("as it is", False)])
def test_malloc_keeps_less_of_what_was_freed(how: str, goes_back: bool) -> None:
    freed = subprocess.run(
        [sys.executable, "-c", _FREED, how], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert (int(freed) > 30_000_000) is goes_back
