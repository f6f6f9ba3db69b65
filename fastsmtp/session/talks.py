"""The sessions of a worker for people who ask: who is there now, and what was said where something was refused."""

from msgspec import Struct

from fastsmtp.session.service import SessionService
from fastsmtp.telemetry.dialogue import Facts, Heard, Said, Talk


class SessionRow(Struct, frozen=True, kw_only=True):
    """One session: ``name`` is empty where nothing of it is kept; ``state`` is ``open`` or ``ended``; ``began`` when
    it was first kept, in seconds since 1970 UTC, 0 where it is not; ``refusals`` replies since then that refused."""

    name: str
    state: str
    client: str
    began: float = 0.0
    ended: float = 0.0
    refusals: int = 0
    facts: Facts


class SessionShown(Struct, frozen=True, kw_only=True):
    """One session that is kept, with what was said."""

    row: SessionRow
    lines: list[Said]


class Watched(Struct, frozen=True, kw_only=True):
    """What was said since the last question, and the ``position`` for the next."""

    position: int
    lines: list[Heard]


def rows(service: SessionService) -> list[SessionRow]:
    """All sessions that are open, then those that are kept and have ended, the latest first."""
    found = [
        _row(talk)
        if (talk := connection.talk) is not None and talk.refusals
        else SessionRow(name="", state="open", client=connection.client, facts=connection.facts)
        for connection in list(service.connections)
    ]
    return found + [_row(talk) for talk in reversed(service.dialogues.kept) if talk.ended]


def shown(service: SessionService, name: str) -> SessionShown | None:
    """The session of this name; None where it is not kept."""
    for talk in service.dialogues.kept:
        if talk.name == name:
            return SessionShown(row=_row(talk), lines=talk.lines())
    return None


def watched(service: SessionService, position: int) -> Watched:
    """See `Dialogues.watch`."""
    end, lines = service.dialogues.watch(position)
    return Watched(position=end, lines=list(lines))


def _row(talk: Talk) -> SessionRow:
    return SessionRow(
        name=talk.name,
        state="ended" if talk.ended else "open",
        client=talk.client,
        began=talk.began,
        ended=talk.ended,
        refusals=talk.refusals,
        facts=talk.facts,
    )
