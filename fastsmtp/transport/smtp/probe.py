"""Asking the hosts of a place whether they take mail for a recipient, without sending any: the same connections,
protection and credentials as a delivery, MAIL from the null sender, RCPT, and no more. One outcome, always and once.
"""

from collections.abc import Callable

from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.transport.smtp.connection import Connection
from fastsmtp.transport.smtp.errand import BEFORE_MAIL, DONE, Errand, Lender
from fastsmtp.transport.smtp.opening import Failure, ours
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.verdict import verdict

Answered = Callable[[str, Outcome], None]
"""Called once, on the loop's thread, with the host that was asked, as in `DeliveryResult`, and what it came to; also
from within `Probe.start` when nothing has to be sent."""


class Probe(Errand):
    """One question under way. `Owner` of the connection that it uses."""

    __slots__ = ("_address", "_answered")

    def __init__(self, transport: Lender, place: Place, address: str, answered: Answered) -> None:
        super().__init__(transport, place)
        self._address = address
        self._answered: Answered | None = answered

    def cancel(self, reason: str) -> None:
        """Give up by ``reason``; nothing when there is an outcome."""
        if self._answered is None:
            return
        remote, stage = self._abandon(reason)
        self._finish(remote, ours("4.4.2", reason, stage))

    def _unreachable(self, failures: list[Failure]) -> None:
        self._finish(*verdict(failures))

    def _use(self, connection: Connection) -> None:
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
        if event == DONE and outcomes[0] is not None:
            self._transport.keep(self._place, connection)
            self._finish(connection.remote, outcomes[0])
            return
        trouble = connection.protocol.trouble or ours("4.4.2", "the connection was lost", "idle")
        told = outcomes[0] if outcomes else None
        if told is not None and told.code and told != trouble:
            self._finish(connection.remote, told)
            return
        if not (self._reused and trouble.stage in BEFORE_MAIL):
            self._failures.append(Failure(connection.remote, trouble))
        self._open()

    def _finish(self, remote: str, outcome: Outcome) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            self._transport.finished(self)
            answered(remote, outcome)
