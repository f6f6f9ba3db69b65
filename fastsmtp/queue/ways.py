"""From a recipient to the place his mail goes to: the router says which hops, the guide finds their hosts.

What was found is kept for a minute, so that mail of a busy place costs no look-up; look-ups for one destination that
meet are one.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from fastsmtp.clock import Clock
from fastsmtp.mail.reply import Reply
from fastsmtp.routing.destinations import given_hops, hop_text
from fastsmtp.routing.route import Hop, LocalRoute, RemoteRoute
from fastsmtp.routing.router import Router
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place

KEPT = 60.0
"""Seconds after which hosts and policies are looked up anew; the resolver keeps what it may by itself."""
MOST_KEPT = 50_000
MOST_AT_ONCE = 200
"""Look-ups under way."""

Way = tuple[tuple[Hop, ...], bool]
"""What has one place: hops in order of preference, and whether REQUIRETLS is asked for (RFC 8689)."""


class Finder(Protocol):
    """`Guide`, or a test's."""

    def place(self, hops: Any, credentials: Any, *, requiretls: bool = False) -> Coroutine[Any, Any, Place]:
        """See `Guide.place`."""


Found = Callable[[Place | Unroutable], None]


class Ways:
    """Used on the loop's thread. ``spawn`` runs a coroutine."""

    def __init__(
        self,
        router: Router,
        guide: Finder,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        event: Callable[[str], None],
    ) -> None:
        self._router = router
        self._guide = guide
        self._clock = clock
        self._spawn = spawn
        self._event = event
        self._credentials = router.credentials
        self._places: OrderedDict[Way, tuple[float, Place]] = OrderedDict()
        self._asked: dict[Way, list[Found]] = {}
        self._waiting: deque[Way] = deque()
        self._under_way = 0

    def way(self, address: str, requiretls: bool, given: tuple[str, ...] = ()) -> Way | LocalRoute | Reply:
        """Where mail for ``address`` goes: to the hops that an operator has ``given`` it, or by the tables as they
        are now."""
        if given:
            hops = given_hops(given, address)
            return (hops, requiretls) if isinstance(hops, tuple) else hops
        route = self._router.next_hop(address)
        return (route.hops, requiretls) if isinstance(route, RemoteRoute) else route

    def told(self, address: str, given: tuple[str, ...] = ()) -> tuple[str, Sequence[str]]:
        """The name of the route that ``address`` has now, and its hops, for people; see `way`."""
        if given:
            return "hand", given
        route = self._router.next_hop(address)
        return (route.name, list(map(hop_text, route.hops))) if isinstance(route, RemoteRoute) else ("", ())

    def site(self, way: Way) -> str | None:
        """The name of its site as it was last found, however long ago; `nowhere` when it could not be found."""
        known = self._places.get(way)
        return None if known is None else known[1].site

    def place(self, way: Way) -> Place | None:
        """Its place, when that was found within the last minute and by the tables as they are now."""
        if self._router.credentials is not self._credentials:  # the tables were read again, passwords and all
            self._credentials = self._router.credentials
            self._places.clear()
        known = self._places.get(way)
        return None if known is None or known[0] < self._clock.monotonic() else known[1]

    def look_up(self, way: Way, found: Found) -> None:
        """Find its place, and tell ``found``, on a later turn of the loop."""
        waiting = self._asked.get(way)
        if waiting is not None:
            waiting.append(found)
            return
        self._asked[way] = [found]
        self._waiting.append(way)
        self._next()

    def _next(self) -> None:
        while self._waiting and self._under_way < MOST_AT_ONCE:
            self._under_way += 1
            self._spawn(self._look_up(self._waiting.popleft()))

    async def _look_up(self, way: Way) -> None:
        answer: Place | Unroutable
        try:
            answer = await self._guide.place(way[0], self._router.credentials, requiretls=way[1])
        except Unroutable as failure:
            answer = failure
        except Exception as error:  # a fault of ours: the mail waits
            self._event(f"internal error in a look-up for {way[0][0]}: {error!r}")
            answer = Unroutable("4.3.0", "internal error in a look-up")
        if isinstance(answer, Place):
            self._keep(way, self._clock.monotonic() + KEPT, answer)
        elif answer.enhanced.startswith("4") and way not in self._places:
            self._keep(way, float("-inf"), Place(nowhere(way), ()))
        self._under_way -= 1
        for found in self._asked.pop(way):
            found(answer)
        self._next()

    def _keep(self, way: Way, until: float, place: Place) -> None:
        self._places[way] = (until, place)
        self._places.move_to_end(way)
        if len(self._places) > MOST_KEPT:
            self._places.popitem(last=False)


def nowhere(way: Way) -> str:
    """The site of what cannot be looked up for now: until its hosts are known, looking them up is what is tried."""
    return f"{way[0][0]}, not found"
