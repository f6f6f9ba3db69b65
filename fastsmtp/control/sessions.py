"""The requests of a control socket that are about sessions.

Verbs: ``session.ls``, ``session.show`` (the name of one that is kept), ``session.watch`` (a position; -1: from now
on). Each worker knows its own.
"""

from typing import Annotated

from msgspec import Meta

from fastsmtp.control.server import ControlServer
from fastsmtp.session.service import SessionService
from fastsmtp.session.talks import SessionRow, SessionShown, Watched, rows, shown, watched

Name = Annotated[str, Meta(min_length=1, max_length=40)]


class SessionRequests:
    """Answers for ``service``."""

    def __init__(self, service: SessionService) -> None:
        self._service = service

    def register(self, server: ControlServer) -> None:
        """Let ``server`` answer these verbs."""
        server.register("session.ls", type(None), self.ls)
        server.register("session.show", Name, self.show)
        server.register("session.watch", int, self.watch)

    async def ls(self, argument: None) -> list[SessionRow]:
        """See `talks.rows`."""
        return rows(self._service)

    async def show(self, name: str) -> SessionShown | None:
        """See `talks.shown`."""
        return shown(self._service, name)

    async def watch(self, position: int) -> Watched:
        """See `talks.watched`."""
        return watched(self._service, position)
