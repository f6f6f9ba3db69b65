"""All sites of one worker: which may begin the next delivery.

* **Fair**: among the sites that may begin one, the site with the fewest in flight is next, and among equals the one
  that has waited longest. A site with much mail has no more than its turn.
* **Nobody holds up another**: what has not answered yet and what fails does not use the room of what works. There are
  three rooms: for sites that work, for first contacts, and for attempts at failing sites. `Room` says what becomes of
  deliveries that hang, and of slow sites. Of those not tried yet the oldest and the newest have turns, so that a new
  site need not wait for thousands of silent ones before it.
* **Cheap**: a paused site stands in a heap by the end of its pause and costs nothing until then; a step is O(log n).
* **Bounded**: a site that has no mail is forgotten when its pause ends; of those that work, the `IDLE_SITES` that
  were used last are remembered with their window.

``now`` is queue time everywhere.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, nlargest
from itertools import count
from operator import attrgetter
from random import Random
from typing import Protocol

from msgspec import Struct

from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.plan.room import PATIENCE, Room, Slot
from fastsmtp.queue.plan.site import Health, Site, SiteLimits, SiteState

IDLE_SITES = 10_000
"""Sites without mail of which a worker remembers the window."""

RESTED = 600.0
"""Seconds without a delivery after which a window is found out anew."""

_NEW, _FAILING, _SLOW, _WORKING = range(4)
"""Places of the ready: first contacts, failing sites, slow ones, and from 3 on those that work, by their number in
flight."""


class BoardLimits(Struct, frozen=True, kw_only=True):
    """``connections``: deliveries at once to sites that work; ``site``: what one site may have."""

    connections: int
    site: SiteLimits


class Claims(Protocol):
    """What other boards, in this process and others, leave of a site's limits."""

    def claim(self, site: str) -> float:
        """Take one delivery, which `release` gives back: 0; or the seconds after which to ask again."""

    def release(self, site: str, *, used: bool) -> None:
        """It is over; ``used``: a message was sent, or an attempt made."""

    def enough(self, site: str) -> None:
        """Nothing more waits for the site: others need not leave any room."""

    def close(self) -> None:
        """Nothing more is asked for."""


class Alone:
    """There are no others."""

    def claim(self, site: str) -> float:
        """See `Claims.claim`."""
        return 0.0

    def release(self, site: str, *, used: bool) -> None:
        """See `Claims.release`."""

    def enough(self, site: str) -> None:
        """See `Claims.enough`."""

    def close(self) -> None:
        """See `Claims.close`."""


class SiteBoard:
    """See above. ``schedule`` gives the pauses of failing sites."""

    def __init__(
        self, limits: BoardLimits, schedule: RetrySchedule, rng: Random, claims: Claims | None = None
    ) -> None:
        self._limits = limits
        self._claims = claims or Alone()
        self._schedule = schedule
        self._rng = rng
        self._sites: dict[str, Site] = {}
        self._idle: OrderedDict[Site, None] = OrderedDict()
        self._ready: list[OrderedDict[Site, None]] = [
            OrderedDict() for _ in range(_WORKING + limits.site.connections)
        ]
        self._newest = True
        self._levels = 0
        """A bit for each place that is not empty."""
        self._timers: list[tuple[float, int, Site]] = []
        self._numbers = count()
        share = max(1, limits.connections // 4)
        self._rooms: dict[Health, Room] = {
            "new": Room(share, spare=share, slow=0),
            "failing": Room(share, spare=0, slow=0),
            "working": Room(limits.connections, spare=limits.connections, slow=share),
        }

    def __len__(self) -> int:
        return len(self._sites)

    @property
    def in_flight(self) -> int:
        """Deliveries begun and not ended."""
        return sum(map(len, self._rooms.values()))

    def offer(self, name: str, mails: int, now: float, *, suspect: bool = False) -> None:
        """So many more mails wait for the site. ``suspect``: they have waited since before a restart, because the
        site failed."""
        site = self._sites.get(name)
        if site is None:
            site = self._sites[name] = Site(name, self._limits.site, now)
        elif (
            site.place < 0 and not site.in_flight and site.health == "working" and now - site.used_at > RESTED
        ):
            site.rested()
        if suspect:
            site.suspect()
        site.waiting += mails
        self._place(site, now)

    def withdraw(self, name: str, mails: int, now: float) -> None:
        """So many of the waiting mails are gone: removed, held, bounced, given a due time of their own."""
        site = self._sites.get(name)
        if site is not None:
            site.waiting = max(0, site.waiting - mails)
            self._place(site, now)

    def take(self, now: float) -> Slot | None:
        """Begin one delivery to the site whose turn it is; None when nothing may be begun now. Whoever takes one
        says how it ended by `ended`, whatever happens."""
        self._fire(now)
        while True:
            place = self._next_place(now)
            if place is None:
                return None
            ready = self._ready[place]
            if place == _NEW:
                self._newest = not self._newest
            site = next(reversed(ready) if place == _NEW and self._newest else iter(ready))
            self._unready(site)
            after = self._claims.claim(site.name)
            if not after:
                break
            site.full_until = now + after
            self._place(site, now)
        slot = Slot(site, now)
        self._rooms[slot.kind].enter(slot)
        site.begin(now)
        self._place(site, now)
        return slot

    def ended(self, slot: Slot, outcome: Outcome, now: float, words: str = "") -> None:
        """A delivery is over; ``words`` are the remote's, or why there are none. Where `Outcome.keeps_mail`, the mail
        waits with the site again. ValueError when it was over before."""
        if not slot.open:
            raise ValueError(f"a delivery to {slot.name} has ended twice")
        slot.open = False
        self._rooms[slot.kind].leave(slot)
        site = slot.site
        self._claims.release(site.name, used=outcome is not Outcome.NOTHING)
        site.full_until = now  # there is room for one again
        if outcome is not Outcome.NOTHING:
            site.took(now - slot.began_at)
        if now - slot.began_at >= PATIENCE:
            site.slow = True
        elif outcome is Outcome.DONE or outcome is Outcome.PUT_OFF:
            site.slow = False
        site.end(outcome, slot.era, now, words, self._schedule, self._rng)
        if outcome.keeps_mail:
            site.waiting += 1
        self._place(site, now)

    def retry(self, name: str, now: float) -> None:
        """End the pause of a site: somebody asks for an attempt now."""
        site = self._sites.get(name)
        if site is not None:
            site.resume(now)
            self._place(site, now)

    def wake_at(self) -> float | None:
        """After `take` has given None: when to ask it again though nothing was offered and nothing ended; None for
        never."""
        while self._timers and self._timers[0][2].timer != self._timers[0][0]:
            heappop(self._timers)
        times = [self._timers[0][0]] if self._timers else []
        rooms = self._rooms
        for room, ready in (
            (rooms["new"], self._levels & 1 << _NEW),
            (rooms["working"], self._levels >> _WORKING),
        ):
            if ready and (frees_at := room.frees_at()) is not None:
                times.append(frees_at)
        return min(times, default=None)

    def state(self, name: str, now: float) -> SiteState | None:
        """How one site is shown; None when nothing is known of it."""
        site = self._sites.get(name)
        return None if site is None else site.state(now)

    def states(self, now: float) -> Iterator[SiteState]:
        """All sites that are known, those longest known first."""
        for site in list(self._sites.values()):
            yield site.state(now)

    def leading(self, most: int, now: float) -> Iterator[SiteState]:
        """The sites that most waits for and the slowest, so many of each at most; cheap when there are many."""
        sites = list(self._sites.values())
        found = dict.fromkeys(nlargest(most, sites, key=attrgetter("waiting")))
        found.update(dict.fromkeys(nlargest(most, sites, key=attrgetter("seconds"))))
        for site in found:
            yield site.state(now)

    def _next_place(self, now: float) -> int | None:
        """The place of the ready whose turn it is. What has a small room of its own comes first: it cannot starve
        those that work, who might starve it."""
        if self._levels & 1 << _NEW and self._free("new", now):
            return _NEW
        if self._levels & 1 << _FAILING and self._free("failing", now):
            return _FAILING
        room = self._rooms["working"]
        if self._levels & 1 << _SLOW and room.free_for_slow:
            return _SLOW
        if self._levels >> _WORKING and self._free("working", now):
            working = self._levels >> _WORKING  # those that are found slow are no longer among them
            if working:
                return _WORKING + (working & -working).bit_length() - 1
        return _SLOW if self._levels & 1 << _SLOW and room.half_empty else None

    def _free(self, kind: Health, now: float) -> bool:
        """Whether one more of this kind may begin, if need be after others have made way."""
        room = self._rooms[kind]
        if not room.free:
            for slot in room.make_way(now):
                self._place(slot.site, now)
        return room.free

    def _place(self, site: Site, now: float) -> None:
        """Put it where it belongs: among the ready, into the heap of those that wait for a time, among the idle, or
        nowhere, as what it has in flight will bring it back."""
        place = -1
        if site.in_flight < site.window:
            at = site.opens_at(now)
            if at > now:
                self._set_timer(site, at)
            elif site.waiting:
                place = self._place_of(site)
        if place != site.place:
            self._unready(site)
            if place >= 0:
                site.place = place
                self._ready[place][site] = None
                self._levels |= 1 << place
        if not site.waiting:
            self._claims.enough(site.name)
        if site.waiting or site.in_flight:
            self._idle.pop(site, None)
        else:
            self._rest(site, now)

    @staticmethod
    def _place_of(site: Site) -> int:
        if site.health == "working":
            return _SLOW if site.slow else _WORKING + site.in_flight
        return _NEW if site.health == "new" else _FAILING

    def _unready(self, site: Site) -> None:
        if site.place >= 0:
            ready = self._ready[site.place]
            del ready[site]
            if not ready:
                self._levels &= ~(1 << site.place)
            site.place = -1

    def _rest(self, site: Site, now: float) -> None:
        """It has no mail: forget it, or the one that was idle longest. A paused one is kept until its pause ends."""
        if site.health == "working":
            self._idle[site] = None
            self._idle.move_to_end(site)
            if len(self._idle) > IDLE_SITES:
                self._forget(self._idle.popitem(last=False)[0])
        elif site.until <= now:
            self._forget(site)

    def _forget(self, site: Site) -> None:
        del self._sites[site.name]
        site.timer = 0.0

    def _set_timer(self, site: Site, at: float) -> None:
        if site.timer != at:
            site.timer = at
            heappush(self._timers, (at, next(self._numbers), site))
            if len(self._timers) > 64 + 2 * len(self._sites):  # most are no longer meant
                self._timers = [entry for entry in self._timers if entry[2].timer == entry[0]]
                heapify(self._timers)

    def _fire(self, now: float) -> None:
        """Bring back the sites whose time has come."""
        timers = self._timers
        while timers and timers[0][0] <= now:
            at, _, site = heappop(timers)
            if site.timer == at:
                site.timer = 0.0
                self._place(site, now)
