"""Asking the hosts of a place whether they take mail for a recipient, without sending any: the same connections,
protection and credentials as a delivery, MAIL from the null sender, RCPT, and no more. One outcome, always and once.
"""

from collections.abc import Callable
from typing import Final, Protocol

from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp.outgoing_values import Event, Outcome
from fastsmtp.transport.smtp import opening
from fastsmtp.transport.smtp.connection import Connection
from fastsmtp.transport.smtp.opening import Failure, Opening, ours
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.pool import Pool
from fastsmtp.transport.smtp.verdict import verdict

_DONE: Final = int(Event.DONE)
_BEFORE_MAIL = ("idle", "rset", "mail")

Answered = Callable[[str, Outcome], None]
"""Called once, on the loop's thread, with the host that was asked, as in `DeliveryResult`, and what it came to; also
from within `Probe.start` when nothing has to be sent."""


class Lender(opening.Context, Protocol):
    """What a probe needs of the transport."""

    pool: Pool[Connection]

    def keep(self, place: Place, connection: Connection) -> None:
        """A connection has nothing to do for now."""

    def finished(self, one: "Probe") -> None:
        """It has its outcome."""


class Probe:
    """One question under way. `Owner` of the connection that it uses."""

    __slots__ = (
        "_address",
        "_answered",
        "_connection",
        "_failures",
        "_opening",
        "_place",
        "_reused",
        "_transport",
    )

    def __init__(self, transport: Lender, place: Place, address: str, answered: Answered) -> None:
        self._transport = transport
        self._place = place
        self._address = address
        self._answered: Answered | None = answered
        self._connection: Connection | None = None
        self._opening: Opening | None = None
        self._failures: list[Failure] = []  # of sessions that were lost
        self._reused = False

    def start(self) -> None:
        """Over a connection that is kept, or a new one."""
        connection = self._transport.pool.take(self._place.key, self._transport.lines.now)
        if connection is None:
            self._open()
        else:
            self._reused = True
            self._ask(connection)

    def cancel(self, reason: str) -> None:
        """Give up by ``reason``; nothing when there is an outcome."""
        if self._answered is None:
            return
        opening, connection = self._opening, self._connection
        self._opening = self._connection = None
        if opening is not None:
            opening.cancel()
        remote, stage = "", "connect"
        if connection is not None:
            remote, stage = connection.remote, connection.protocol.stage
            connection.owner = None
            connection.drop(reason)
        self._finish(remote, ours("4.4.2", reason, stage))

    def _open(self) -> None:
        if self._opening is None:
            self._opening = Opening(self._transport, self._place, self._opened)
        self._reused = False
        self._opening.next()

    def _opened(self, connection: Connection | None) -> None:
        if connection is None:
            found = self._opening.failures if self._opening is not None else ()
            self._finish(*verdict([*self._failures, *found]))
        else:
            self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        if connection.protocol.offer.name.lower().encode() == self._transport.hello.lower():
            # Whoever bears our name is ourselves, and would ask in turn.
            connection.retire()
            why = "the next hop calls itself by our own name"
            self._finish(connection.remote, ours("4.4.6", why, "helo"))
            return
        connection.owner = self
        self._connection = connection
        connection.probe((Recipient(self._address, ""),))

    def happened(self, connection: Connection, event: int) -> None:
        """See `Owner`: there is an answer, or the connection is gone."""
        self._connection = None
        outcomes = connection.protocol.outcomes
        if event == _DONE and outcomes[0] is not None:
            self._transport.keep(self._place, connection)
            self._finish(connection.remote, outcomes[0])
            return
        trouble = connection.protocol.trouble or ours("4.4.2", "the connection was lost", "idle")
        told = outcomes[0] if outcomes else None
        if told is not None and told.code and told != trouble:
            self._finish(connection.remote, told)
            return
        if not (self._reused and trouble.stage in _BEFORE_MAIL):
            # a server may end a session that was idle; anything else counts
            self._failures.append(Failure(connection.remote, trouble))
        self._open()

    def _finish(self, remote: str, outcome: Outcome) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            self._transport.finished(self)
            answered(remote, outcome)
