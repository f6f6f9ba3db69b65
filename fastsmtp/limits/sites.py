"""What each site gets from all workers together, in memory that the master maps before it forks.

Every worker counts in a column of its own, so that what a dead one held can be told and forgotten. Whether there is
room for one more is asked and taken under a lock of that row, which the kernel gives back when its holder dies;
nobody waits for it. A site falls into one of many rows by a hash, so two of them may share a limit, which is rare and
matters only where both are near it.

Where several workers want a site that can bear no more, each has its part of the limit; what cannot be divided goes
round by the second.
"""

import copy
import fcntl
import mmap
import os
import secrets

from fastsmtp.clock import Clock

ROWS = 1 << 17
AGAIN = 0.02
"""Seconds after which a worker asks again that was refused because others hold all there is."""
_TURN = 1.0
"""Seconds for which what cannot be divided is one worker's."""


class SiteTable:
    """Made by the master before the first fork. ``per_site`` deliveries at once to one site, ``per_minute`` messages
    to it, 0 for any number."""

    def __init__(self, workers: int, per_site: int, per_minute: int, clock: Clock) -> None:
        self.workers = workers
        self.per_site = per_site
        self.per_minute = per_minute
        self.clock = clock
        self.seed = secrets.randbits(64)
        self.fd = os.memfd_create("fastsmtp-sites")
        cells = 2 * ROWS * workers
        size = 2 * cells + 8 * ROWS
        os.ftruncate(self.fd, size)  # pages are taken only when they are written
        memory = memoryview(mmap.mmap(self.fd, size))
        self.held = memory[:cells].cast("H")
        """Deliveries under way, row by row, one counter for each worker."""
        self.wants = memory[cells : 2 * cells].cast("H")
        """Who has mail for it and was refused; likewise."""
        self.next_at = memory[2 * cells :].cast("d")
        """When the next message may go if all go evenly, by the steady clock, which is the same for all processes."""

    def worker(self, slot: int) -> "SiteClaims":
        """A view of the worker in ``slot``, counted from 0; there may be more than one."""
        return SiteClaims(self, slot)

    def renewed(self, per_site: int, per_minute: int) -> "SiteTable":
        """The same counters with other limits."""
        renewed = copy.copy(self)
        renewed.per_site, renewed.per_minute = per_site, per_minute
        return renewed

    def clear(self, slot: int) -> None:
        """Forget what the worker in ``slot`` held: it is dead, and its connections with it."""
        zeros = memoryview(bytes(2 * ROWS)).cast("H")
        self.held[slot :: self.workers] = zeros
        self.wants[slot :: self.workers] = zeros


class SiteClaims:
    """See `fastsmtp.queue.plan.board.Claims`."""

    def __init__(self, table: SiteTable, slot: int) -> None:
        self._table = table
        self._slot = slot
        self._now = table.clock.monotonic
        self._between = 60 / table.per_minute if table.per_minute else 0.0
        self._ahead = (max(1.0, table.per_minute / 60) - 1) * self._between
        """Messages of one second may go at once after a rest."""
        self._wanting: set[str] = set()

    def claim(self, site: str) -> float:
        """See `Claims.claim`."""
        table = self._table
        row = self._row(site)
        try:
            fcntl.lockf(table.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, row)
        except BlockingIOError:
            return AGAIN
        try:
            after = self._claim(row)
        finally:
            fcntl.lockf(table.fd, fcntl.LOCK_UN, 1, row)
        if not after:
            self.enough(site)
        elif site not in self._wanting:
            self._wanting.add(site)
            table.wants[row * table.workers + self._slot] += 1
        return after

    def release(self, site: str, *, used: bool) -> None:
        """See `Claims.release`."""
        table = self._table
        row = self._row(site)
        at = row * table.workers + self._slot
        table.held[at] = max(0, table.held[at] - 1)
        if not used and self._between:
            table.next_at[row] -= self._between

    def enough(self, site: str) -> None:
        """See `Claims.enough`."""
        if site in self._wanting:
            self._wanting.remove(site)
            self._table.wants[self._row(site) * self._table.workers + self._slot] -= 1

    def close(self) -> None:
        """See `Claims.close`."""
        for site in list(self._wanting):
            self.enough(site)

    def _claim(self, row: int) -> float:
        table, slot = self._table, self._slot
        start, end = row * table.workers, (row + 1) * table.workers
        held, wants = table.held[start:end], table.wants[start:end]
        now = self._now()
        if sum(held) >= table.per_site or held[slot] >= self._part(held, wants, now):
            return AGAIN
        if self._between:
            after = table.next_at[row] - self._ahead - now
            if after > 0:
                return after
            table.next_at[row] = max(table.next_at[row], now) + self._between
        held[slot] += 1
        return 0.0

    def _part(self, held: memoryview, wants: memoryview, now: float) -> int:
        """How many of the site's deliveries may be this worker's: all, unless others want some."""
        table, slot = self._table, self._slot
        those = [other for other in range(table.workers) if other == slot or held[other] or wants[other]]
        part, over = divmod(table.per_site, len(those))
        turn = (those.index(slot) + int(now / _TURN)) % len(those)
        return part + (turn < over)

    def _row(self, site: str) -> int:
        # All workers are forked from one process, so str's hash is the same in each of them.
        return hash((self._table.seed, site)) % ROWS
