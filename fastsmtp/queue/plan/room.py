"""How many deliveries of one kind may run at once, over all sites of a worker."""

from collections import OrderedDict

from fastsmtp.queue.plan.site import Health, Site

PATIENCE = 5.0
"""Seconds after which a delivery counts as one that lingers, and its site as slow."""


class Slot:
    """One delivery in flight: what `SiteBoard.take` gives and `SiteBoard.ended` takes back."""

    __slots__ = ("began_at", "era", "kind", "open", "site")

    def __init__(self, site: Site, began_at: float) -> None:
        self.site = site
        self.began_at = began_at
        self.era = site.era
        self.kind: Health = site.health
        self.open = True

    @property
    def name(self) -> str:
        """The site's name."""
        return self.site.name


class Room:
    """Room for ``limit`` deliveries, and for more that linger, as where a host hangs or its line is slow.

    What lingers goes on, but when the room is full it takes no other's place: it makes way into ``spare`` room. Its
    site is slow until a delivery is quick again, and may begin others so long as fewer than ``slow`` linger, or while
    half of the room is empty. So neither dead nor slow sites use up what the others need, and none stands still.
    """

    __slots__ = ("_counted", "_lingering", "limit", "slow", "spare")

    def __init__(self, limit: int, *, spare: int, slow: int) -> None:
        self.limit = limit
        self.spare = spare
        self.slow = slow
        self._counted: OrderedDict[Slot, None] = OrderedDict()
        """In the order of their beginning."""
        self._lingering: set[Slot] = set()

    def __len__(self) -> int:
        return len(self._counted) + len(self._lingering)

    @property
    def free(self) -> bool:
        """Whether one more may begin."""
        return len(self._counted) < self.limit

    @property
    def free_for_slow(self) -> bool:
        """Whether a slow site may begin one more in any case."""
        return len(self._lingering) < self.slow

    @property
    def half_empty(self) -> bool:
        """Whether there is so much room that a slow site may begin one more when no other would."""
        return 2 * len(self._counted) < self.limit

    def make_way(self, now: float) -> list[Slot]:
        """In a full room: what lingers by now and makes way, as much as there is spare room for."""
        moved = []
        while (at := self.frees_at()) is not None and at <= now:
            slot = self._counted.popitem(last=False)[0]
            slot.site.slow = True
            self._lingering.add(slot)
            moved.append(slot)
        return moved

    def frees_at(self) -> float | None:
        """When something lingers and can make way; None when only an end makes room."""
        if not self._counted or len(self._lingering) >= self.spare:
            return None
        return next(iter(self._counted)).began_at + PATIENCE

    def enter(self, slot: Slot) -> None:
        """It begins."""
        if slot.site.slow and self.free_for_slow:
            self._lingering.add(slot)
        else:
            self._counted[slot] = None

    def leave(self, slot: Slot) -> None:
        """It ended."""
        if slot in self._lingering:
            self._lingering.remove(slot)
        else:
            del self._counted[slot]
