"""How the routes are named to people who ask for the queue, by the router that the server itself uses."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from fastsmtp.mail.reply import Reply
from fastsmtp.routing.destinations import hop_text, parse_hops
from fastsmtp.routing.route import LocalRoute
from fastsmtp.routing.router import Router


class RouteNames:
    """The `Routes` of a router, which ``made`` gives when it is first wanted."""

    def __init__(self, made: Callable[[], Router]) -> None:
        self._made = made

    def words(self, address: str, hops: Sequence[str]) -> Iterable[str]:
        """See `Routes.words`; ``local`` and ``reject`` for what has no hops any more."""
        if hops:
            return hops
        route = self._router.next_hop(address)
        if isinstance(route, LocalRoute):
            return ("local",)
        if isinstance(route, Reply):
            return ("reject",)
        return (route.name, *map(hop_text, route.hops))

    def told(self, address: str, hops: Sequence[str]) -> str:
        """See `Routes.told`."""
        if hops:
            return f"{', then '.join(hops)}, as was said by hand"
        route = self._router.next_hop(address)
        if isinstance(route, LocalRoute):
            return f"mailbox {route.mailbox}"
        if isinstance(route, Reply):
            return f"none: {route.code} {' '.join(route.text)}"
        hops_there = ", then ".join(map(hop_text, route.hops))
        return f'{hops_there}, by match = "{route.name}"'

    def check(self, hops: Sequence[str]) -> None:
        """See `Routes.check`."""
        parse_hops(hops)

    @cached_property
    def _router(self) -> Router:
        return self._made()
