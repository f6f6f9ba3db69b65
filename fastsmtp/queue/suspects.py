"""Messages for other hosts that are under way, in memory that outlives the worker: the way to one that kills it.

Many are under way at once, so a death accuses all of them. They are set aside, and tried after the others, one of
them at a time: so the next death accuses one of them at most. What was under way in `MOST_DEATHS` deaths in a row is
held, until an operator releases it.
"""

import struct
from collections.abc import Callable

from fastsmtp.mail.ids import LENGTH

AFTER = 30.0
"""Seconds after a start during which none of them is tried."""
MOST_DEATHS = 3

_CELLS = 4096
_CELL = struct.Struct(f"<{LENGTH}sBB")
"""A queue id, the deaths it was under way in before, and whether all of it is written."""


class Suspects:
    """``region``: `BYTES` of shared memory, of which one worker at a time is the writer. ``crashed``: the last one
    died of a fault of its own. ``hold`` holds a message, ``event`` writes into the log. Called on the loop's
    thread."""

    BYTES = _CELLS * _CELL.size

    def __init__(
        self,
        region: memoryview,
        *,
        crashed: bool,
        hold: Callable[[str], None],
        event: Callable[[str], None],
    ) -> None:
        self._region = region
        self._hold = hold
        self._event = event
        self._deaths = self._found() if crashed else {}
        self._aside = dict(sorted(self._deaths.items(), key=lambda one: one[1]))
        """Those that are not tried yet, the least suspicious first."""
        self._held: set[str] = set()
        self._cells: dict[str, tuple[int, int]] = {}
        """Of what is under way: how many deliveries, and the cell."""
        region[:] = bytes(len(region))
        self._free = list(range(_CELLS))

    def start(self) -> None:
        """Hold what has killed too often."""
        self._held = {queue_id for queue_id, deaths in self._aside.items() if deaths >= MOST_DEATHS}
        for queue_id in sorted(self._held):
            del self._aside[queue_id]
            self._event(
                f"{queue_id} is held: {self._deaths[queue_id]} workers in a row died while it was delivered; "
                "look at it, then release or remove it"
            )
            self._hold(queue_id)
        if self._aside:
            self._event(
                f"{len(self._aside)} message(s) were under way when the worker died: they are tried after the "
                "others, one at a time"
            )

    def aside(self, queue_id: str) -> bool:
        """Whether it is not to be tried yet."""
        return queue_id in self._aside or queue_id in self._held

    def released(self, queue_id: str) -> None:
        """An operator wants it to be tried."""
        self._held.discard(queue_id)

    def next(self) -> str | None:
        """One that may be tried now."""
        queue_id = next(iter(self._aside), None)
        if queue_id is not None:
            del self._aside[queue_id]
        return queue_id

    def begin(self, queue_id: str) -> None:
        """A delivery of it begins. More than there is room for are not noted."""
        count, cell = self._cells.get(queue_id, (0, -1))
        if not count:
            if not self._free:
                return
            cell = self._free.pop()
            deaths = min(self._deaths.get(queue_id, 0), 255)
            start = cell * _CELL.size
            _CELL.pack_into(self._region, start, queue_id.encode(), deaths, 0)
            self._region[start + _CELL.size - 1] = 1
        self._cells[queue_id] = (count + 1, cell)

    def end(self, queue_id: str) -> None:
        """One is over: it has not killed."""
        count, cell = self._cells.get(queue_id, (0, -1))
        if count > 1:
            self._cells[queue_id] = (count - 1, cell)
        elif count:
            del self._cells[queue_id]
            self._deaths.pop(queue_id, None)
            self._region[(cell + 1) * _CELL.size - 1] = 0
            self._free.append(cell)

    def _found(self) -> dict[str, int]:
        """What the last worker had under way, with the deaths it is accused of now."""
        return {
            queue_id.decode("ascii", "replace"): deaths + 1
            for queue_id, deaths, whole in _CELL.iter_unpack(self._region)
            if whole
        }
