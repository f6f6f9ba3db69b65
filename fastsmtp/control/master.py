"""What the master is asked by its control socket, ``data_dir/control/master``.

Verbs, all without an argument: ``status`` (`Status`); ``reload`` and ``upgrade`` (`Outcome`, once it has come to its
end); ``drain`` (`Outcome`, at once).
"""

from pathlib import Path

from msgspec import Struct

from fastsmtp.control.place import DIRECTORY

SOCKET = "master"
PATIENCE = 180.0
"""Seconds until the end of a reload or upgrade is given up."""


def master_path(data_dir: Path) -> Path:
    """The master's socket."""
    return data_dir / DIRECTORY / SOCKET


class Outcome(Struct):
    """Whether it was ``done``; ``lines`` say what is new then, otherwise why not. ``generation`` is the one that
    serves since; ``at`` in seconds since 1970."""

    done: bool
    lines: list[str]
    generation: int = 0
    at: float = 0.0


class ProcessStatus(Struct):
    """A process: its ``name`` as in the log, ``state`` (``starting``, ``serving``, ``draining``), ``sessions`` and
    ``waiting`` messages of its own shard, -1 for one that has none; ``silent``: seconds since its heart beat."""

    name: str
    pid: int
    generation: int
    state: str
    sessions: int
    waiting: int
    silent: float


class Status(Struct):
    """``up``: seconds since the master's start; ``state``: ``serving``, ``reloading``, ``draining``, ``stopping``;
    ``last``: what came of the last reload or upgrade; ``waiting``: messages in all shards."""

    version: str
    pid: int
    up: float
    state: str
    generation: int
    listeners: list[str]
    processes: list[ProcessStatus]
    waiting: int
    last: Outcome | None = None
