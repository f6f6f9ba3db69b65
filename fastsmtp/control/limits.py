"""The requests of a control socket that are about limits. Any worker answers for all, as they share the counters.

Verbs: ``limits.refused``, ``limits.explain``, ``limits.reset``.
"""

from typing import Annotated

from msgspec import Meta

from fastsmtp.control.server import ControlServer
from fastsmtp.limits.standing import LimitDesk, Standing

Key = Annotated[str, Meta(min_length=1, max_length=400)]


class LimitService:
    """Answers by ``desk``."""

    def __init__(self, desk: LimitDesk) -> None:
        self._desk = desk

    def register(self, server: ControlServer) -> None:
        """Let ``server`` answer these verbs."""
        server.register("limits.refused", type(None), self.refused)
        server.register("limits.explain", Key, self.explain)
        server.register("limits.reset", Key, self.reset)

    async def refused(self, argument: None) -> list[Standing]:
        """See `LimitDesk.refused`."""
        return self._desk.refused()

    async def explain(self, key: str) -> list[Standing]:
        """See `LimitDesk.explain`."""
        return self._desk.explain(key)

    async def reset(self, key: str) -> list[Standing]:
        """See `LimitDesk.reset`."""
        return self._desk.reset(key)
