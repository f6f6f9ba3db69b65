"""What a benchmark report must say about the machine it ran on."""

import os
import platform
import ssl
from importlib import metadata
from pathlib import Path

from fastsmtp import __version__

_PACKAGES = ("uvloop", "lmdb", "orjson", "msgspec")


def facts(directory: Path) -> dict[str, str]:
    """The machine's CPU, cores, memory, kernel and Python, and the file system ``directory`` lies on.

    A fact that cannot be read is ``unknown``: a report without it is better than none.
    """
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "filesystem": filesystem(directory),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions of fastsmtp and of the libraries that decide its speed."""
    found = {"fastsmtp": __version__, "openssl": ssl.OPENSSL_VERSION.split()[1]}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def filesystem(directory: Path) -> str:
    """Type, device and mount options of the file system that holds ``directory``."""
    try:
        device = directory.stat().st_dev
        with open("/proc/self/mountinfo") as table:
            lines = table.readlines()
    except OSError:
        return "unknown"
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        fields = line.split()
        dash = fields.index("-")
        if fields[2] == wanted:
            return f"{fields[dash + 1]} on {fields[dash + 2]} ({fields[dash + 3]})"
    return "unknown"


def _field(path: str, name: str) -> str:
    try:
        with open(path) as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() == name:
                    return value.strip()
    except OSError:
        pass
    return "unknown"
