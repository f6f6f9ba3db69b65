"""How many deliveries of one kind may run at once, over all sites of a worker."""

from collections import OrderedDict

from fastsmtp.queue.plan.site import Health, Site

PATIENCE = 5.0
"""Seconds after which a delivery counts as one that lingers."""


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
    """Room for ``limit`` deliveries, and for ``spare`` more that linger: where a host hangs, or its line is slow, the
    delivery goes on, but after `PATIENCE` it takes no other's place so long as there is spare room. Dead hosts that
    time out cost those that work nothing so."""

    __slots__ = ("_counted", "_lingering", "limit", "spare")

    def __init__(self, limit: int, spare: int) -> None:
        self.limit = limit
        self.spare = spare
        self._counted: OrderedDict[Slot, None] = OrderedDict()
        """In the order of their beginning."""
        self._lingering: set[Slot] = set()

    def __len__(self) -> int:
        return len(self._counted) + len(self._lingering)

    def free(self, now: float) -> bool:
        """Whether one more may begin."""
        while len(self._counted) >= self.limit:
            if self.frees_at() is None or (oldest := next(iter(self._counted))).began_at + PATIENCE > now:
                return False
            del self._counted[oldest]
            self._lingering.add(oldest)
        return True

    def frees_at(self) -> float | None:
        """When a full room becomes free though nothing ends; None when only an end makes room."""
        if not self._counted or len(self._lingering) >= self.spare:
            return None
        return next(iter(self._counted)).began_at + PATIENCE

    def enter(self, slot: Slot) -> None:
        """It begins."""
        self._counted[slot] = None

    def leave(self, slot: Slot) -> None:
        """It ended."""
        if slot in self._lingering:
            self._lingering.remove(slot)
        else:
            del self._counted[slot]
