"""What a delivery and a question have in common: each wants a session with a place, over a connection that is kept
or a new one, and another session where that one is lost."""

from abc import ABC, abstractmethod
from typing import Any, Final, Protocol

from fastsmtp.smtp.outgoing_values import Event
from fastsmtp.transport.smtp import opening
from fastsmtp.transport.smtp.connection import Connection
from fastsmtp.transport.smtp.opening import Failure, Opening
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.pool import Pool

DONE: Final = int(Event.DONE)
BEFORE_MAIL = ("idle", "rset", "mail")
"""Stages in which a connection that was kept may end: a server may end a session that was idle, and that says nothing
about the message or the site."""


class Lender(opening.Context, Protocol):
    """What an errand needs of the transport."""

    pool: Pool[Connection]

    def keep(self, place: Place, connection: Connection) -> None:
        """A connection has nothing to do for now."""

    def finished(self, one: Any) -> None:
        """The errand is over."""


class Errand(ABC):
    """`start` leads to `_use` with a connection, or to `_unreachable`. ``_failures`` are those of sessions that were
    lost."""

    __slots__ = ("_connection", "_failures", "_opening", "_place", "_reused", "_transport")

    def __init__(self, transport: Lender, place: Place) -> None:
        self._transport = transport
        self._place = place
        self._connection: Connection | None = None
        self._opening: Opening | None = None
        self._failures: list[Failure] = []
        self._reused = False

    def start(self) -> None:
        """Over a connection that is kept, or a new one."""
        connection = self._transport.pool.take(self._place.key, self._transport.lines.now)
        if connection is None:
            self._open()
        else:
            self._reused = True
            self._use(connection)

    def _open(self) -> None:
        """A session of our own: the first, or the next after one that was lost."""
        if self._opening is None:
            self._opening = Opening(self._transport, self._place, self._opened)
        self._reused = False
        self._opening.next()

    def _opened(self, connection: Connection | None) -> None:
        if connection is not None:
            self._use(connection)
        else:
            found = self._opening.failures if self._opening is not None else ()
            self._unreachable([*self._failures, *found])

    def _abandon(self, reason: str) -> tuple[str, str]:
        """Leave the connection, or what opens one, by ``reason``: the host and the stage it had come to."""
        opening, connection = self._opening, self._connection
        self._opening = self._connection = None
        if opening is not None:
            opening.cancel()
        if connection is None:
            return "", "connect"
        remote, stage = connection.remote, connection.protocol.stage
        connection.owner = None
        connection.drop(reason)
        return remote, stage

    @abstractmethod
    def _use(self, connection: Connection) -> None:
        """The connection is there."""

    @abstractmethod
    def _unreachable(self, failures: list[Failure]) -> None:
        """There is none, for these reasons."""
