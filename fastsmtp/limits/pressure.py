"""Puts new mail off with 452 while disk, memory or the queue's room run short, before that does harm.

Each thing that may run short has a mark where refusing begins and another, further off, where it ends, so that it
does not begin and end with every message. They are looked at once a second, and never by a session, which reads one
attribute. A file system may take any time to answer, so each has a thread of its own.

Whether a mark is crossed is kept in memory that all workers share, but for a worker's own memory: they refuse
together, and the log has one line for all. Mail whose MAIL was answered goes on, and so does the server's own.
"""

import mmap
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fastsmtp.limits import probes
from fastsmtp.limits.marks import Mark, available_mark, disk_marks, memory_mark, of_disk, queue_mark
from fastsmtp.limits.probes import Space
from fastsmtp.limits.settings import PressureSettings
from fastsmtp.mail.envelope import declared_size
from fastsmtp.mail.reply import NO_ROOM_FOR_SIZE, Reply

PLACES = 2
"""File systems that are watched at most: that of the spool and that of the mailboxes."""
_EVERY = 1.0
"""Seconds between two looks at a file system."""
_ENDLESS = 10**20
"""Octets: more than SIZE can declare."""


class Machine(Protocol):
    """The probes as `Pressure` uses them; see `fastsmtp.limits.probes`."""

    def space(self, path: Path) -> Space:
        """Of the file system of ``path``."""

    def own_memory(self) -> int:
        """Of this process."""

    def available_memory(self) -> int:
        """Of the machine."""

    def whole_memory(self) -> int:
        """Of the machine, or the cgroup."""

    def give_back(self) -> None:
        """What was freed, to the system."""


class PressureBoard:
    """What all workers share, made before the first fork: which marks are crossed, and what waits in each of the
    spool's shards, whose numbers are below ``shards``; what waits in others is not counted."""

    def __init__(self, shards: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * max(1, shards))).cast("Q")
        self.flags = memoryview(mmap.mmap(-1, 2 * PLACES + 2))
        """A byte for each mark: whether it is crossed."""

    def note(self, queued: Mapping[int, int]) -> None:
        """How many messages wait in some shards."""
        for shard, messages in queued.items():
            if shard < len(self._counts):
                self._counts[shard] = messages

    def waiting(self, shard: int) -> int:
        """How many wait in one."""
        return self._counts[shard] if shard < len(self._counts) else 0

    def total(self) -> int:
        """How many wait in all of them."""
        return sum(self._counts)


class Pressure:
    """One worker's view. ``places`` are directories on the file systems to watch, the spool's first; ``event`` tells
    the log, from any thread."""

    def __init__(
        self,
        settings: PressureSettings,
        board: PressureBoard,
        *,
        places: Sequence[Path],
        workers: int,
        event: Callable[[str], None],
        machine: Machine = probes,
    ) -> None:
        self._board = board
        self._event = event
        self._machine = machine
        self._refused: Reply | None = None
        self._room = _ENDLESS
        self._ended = threading.Event()
        flags = board.flags
        self.disks = [
            (place, disk_marks(settings, place, flags[2 * n : 2 * n + 1], flags[2 * n + 1 : 2 * n + 2]))
            for n, place in enumerate(places)
        ]
        """The places and their marks."""
        self._memory = memory_mark(settings, machine.whole_memory, workers, memoryview(bytearray(1)))
        self._available = available_mark(settings, flags[2 * PLACES : 2 * PLACES + 1])
        self._queue = queue_mark(settings, flags[2 * PLACES + 1 :])
        single = (self._memory, self._available, self._queue)
        self._marks = [mark for _, marks in self.disks for mark in marks]
        self._marks += [mark for mark in single if mark is not None]

    def refusal(self, parameters: dict[str, str] | None) -> Reply | None:
        """The reply to a MAIL with these parameters when it is to be refused now; cheap. A declared size must fit
        into what is free of the spool's disk above its mark (RFC 1870 §6.1)."""
        if self._refused is not None:
            return self._refused
        return NO_ROOM_FOR_SIZE if declared_size(parameters) > self._room else None

    @property
    def short(self) -> list[str]:
        """What mail is put off for, by its setting."""
        return [mark.key for mark in self._marks if mark.crossed]

    def start(self) -> None:
        """Begin to look at the file systems, in threads nobody waits for: they may hang."""
        for place, marks in self.disks:
            if marks:
                threading.Thread(
                    target=self._watch, args=(place, marks), name="pressure", daemon=True
                ).start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def tick(self, queued: Mapping[int, int]) -> None:
        """Once a second, on the loop's thread. ``queued``: messages that wait in each shard this worker has."""
        self._read(self._memory, self._machine.own_memory)
        if self._memory is not None and self._memory.crossed:
            self._machine.give_back()
        self._read(self._available, self._machine.available_memory)
        self._board.note(queued)
        self._read(self._queue, self._board.total)
        self._settle()

    def look(self, place: Path, marks: Sequence[Mark]) -> None:
        """At one file system, which may take its time; one that cannot be asked is as it was."""
        try:
            found = self._machine.space(place)
        except OSError:
            return
        for mark in marks:
            value = of_disk(mark, found)
            if value is not None:
                self._judge(mark, value)
            if mark.key == "disk_free" and place == self.disks[0][0]:
                self._room = max(0, found.free - mark.limit)
        self._settle()

    def _watch(self, place: Path, marks: Sequence[Mark]) -> None:
        while not self._ended.is_set():
            self.look(place, marks)
            self._ended.wait(_EVERY)

    def _read(self, mark: Mark | None, probe: Callable[[], int]) -> None:
        if mark is None:
            return
        try:
            self._judge(mark, probe())
        except (OSError, ValueError):
            pass  # a machine that does not tell is not watched

    def _judge(self, mark: Mark, value: int) -> None:
        line = mark.judge(value)
        if line is not None:
            self._event(line)

    def _settle(self) -> None:
        """What MAIL is answered, by the marks as any worker has judged them."""
        self._refused = next((mark.reply for mark in self._marks if mark.crossed), None)
