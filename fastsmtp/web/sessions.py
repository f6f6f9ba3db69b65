"""The sessions of SMTP, by HTTP: who is here, and what was said where something was refused."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.session.talks import SessionRow, SessionShown
from fastsmtp.web.hub import HubApi
from fastsmtp.web.operation import Asked, Operation
from fastsmtp.web.problem import Problem

_LONGEST = 40


class SessionList(Struct, frozen=True, kw_only=True):
    """Sessions that are open, and those that are kept and have ended, by worker."""

    sessions: list[SessionRow]


class SaidLine(Struct, frozen=True, kw_only=True):
    """One line of a dialogue."""

    at: Annotated[float, Meta(description="seconds since 1970 UTC")]
    who: Annotated[str, Meta(description="C: the client; S: the server")]
    text: str


class SessionTold(Struct, frozen=True, kw_only=True):
    """One session that is kept, with what was said."""

    session: SessionRow
    lines: list[SaidLine]


class SessionApi(HubApi):
    """Asks all workers: each knows its own."""

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="GET",
                path="/v1/sessions",
                name="listSessions",
                group="sessions",
                summary="List sessions of SMTP, open ones and those in which something was refused",
                handler=self._list,
                answer=SessionList,
            ),
            Operation(
                method="GET",
                path="/v1/sessions/{name}",
                name="showSession",
                group="sessions",
                summary="Show what was said in a session that is kept",
                handler=self._show,
                answer=SessionTold,
                errors=(404,),
            ),
        ]

    async def _list(self, asked: Asked) -> SessionList:
        found: list[list[SessionRow]] = await self._hub.every("session.ls", None, list[SessionRow])
        return SessionList(sessions=[row for rows in found for row in rows])

    async def _show(self, asked: Asked) -> SessionTold:
        name = asked.path["name"]
        if len(name) <= _LONGEST:
            found: list[SessionShown | None] = await self._hub.every(
                "session.show", name, SessionShown | None
            )
            for shown in found:
                if shown is not None:
                    lines = [SaidLine(at=one.at, who=one.who, text=one.text) for one in shown.lines]
                    return SessionTold(session=shown.row, lines=lines)
        raise Problem(404, "no session of this name is kept")
