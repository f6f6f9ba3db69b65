"""What stands in a spool, as rows for people and programs."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from fastsmtp.clock import Clock
from fastsmtp.control.queue import MOST_HEAD, QueueRow, RecipientRow, Shown, SiteRow, State, TryRow
from fastsmtp.mail.envelope import Envelope
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.search import Found
from fastsmtp.spool.waiting import RcptState, Waiting

MOST_RECIPIENTS = 5
"""Recipients of a message in a list."""


class Routes(Protocol):
    """Where mail goes, as whoever delivers would decide it now; ``hops`` are those a message was given by hand, if
    any."""

    def words(self, address: str, hops: Sequence[str]) -> Iterable[str]:
        """The names by which its route is known: the ``match`` of the rule, and each hop as in ``to``."""

    def told(self, address: str, hops: Sequence[str]) -> str:
        """Its route, for people."""

    def check(self, hops: Sequence[str]) -> None:
        """Raises ValueError, one line, when mail cannot be sent to these."""


class Rows:
    """Called on the loop's thread. ``wall`` gives a moment of queue time as the clock shows it."""

    def __init__(
        self, spool: LmdbSpool, clock: Clock, routes: Routes, wall: Callable[[float], float]
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._routes = routes
        self._wall = wall

    def row(self, found: Found) -> QueueRow:
        """A message in a list."""
        envelope, waiting, length = found
        states = _states(envelope, waiting)
        return QueueRow(
            id=envelope.id,
            state=_state(waiting),
            queued_at=envelope.received_at,
            size=length,
            sender=envelope.sender,
            recipients=[self._recipient(envelope, waiting, one) for one in states[:MOST_RECIPIENTS]],
            waiting=len(states),
            hops=[] if waiting is None else list(waiting.hops),
        )

    def shown(self, found: Found) -> Shown:
        """All of a message."""
        envelope, waiting, length = found
        states = _states(envelope, waiting)
        return Shown(
            id=envelope.id,
            state=_state(waiting),
            queued_at=envelope.received_at,
            size=length,
            sender=envelope.sender,
            params=envelope.params or {},
            client_ip=envelope.client_ip,
            helo=envelope.helo,
            protocol=envelope.protocol,
            recipients=[self._recipient(envelope, waiting, one, whole=True) for one in states],
            waiting=len(states),
            head=self._head(envelope.id),
            hops=[] if waiting is None else list(waiting.hops),
        )

    def site(self, state: SiteState) -> SiteRow:
        """A site."""
        return SiteRow(
            name=state.name,
            health=state.health,
            window=state.window,
            in_flight=state.in_flight,
            waiting=state.waiting,
            next_at=None if state.next_at is None else self._wall(state.next_at),
            reason=state.reason,
            since=self._wall(state.since),
            attempts=state.attempts,
        )

    def _recipient(
        self, envelope: Envelope, waiting: Waiting | None, state: RcptState, *, whole: bool = False
    ) -> RecipientRow:
        known = envelope.recipients[state.number]
        if waiting is None:
            why = "on its first attempt, or before it"
        elif waiting.held:
            why = "held, until it is released"
        elif state.due:
            why = ""
        else:
            why = "when its site takes mail again"
        last = state.last
        return RecipientRow(
            address=known.address,
            original=known.original,
            params=known.params or {},
            status="deferred" if state.tries else "waiting",
            attempts=state.attempts,
            last_at=self._wall(last.at) if last.at else None,
            next_at=self._next(state.due) if state.due and waiting is not None and not waiting.held else None,
            code=last.code,
            enhanced=last.enhanced,
            reply=last.text,
            remote=last.remote,
            tries=self._tries(state) if whole else [],
            left_out=state.left_out,
            why=why,
            route=self._routes.told(known.address, () if waiting is None else waiting.hops) if whole else "",
        )

    def _tries(self, state: RcptState) -> list[TryRow]:
        return [
            TryRow(
                at=self._wall(one.at), code=one.code, enhanced=one.enhanced, reply=one.text, remote=one.remote
            )
            for one in state.tries
        ]

    def _next(self, due: float) -> float:
        """When it is tried next: now, where that time has come."""
        return max(self._wall(due), self._clock.now())

    def _head(self, queue_id: str) -> bytes:
        """The header of a message, as far as it is shown."""
        with self._spool.relay.reading(queue_id) as mail:
            if mail is None:
                return b""
            if mail.view is not None:
                start = bytes(mail.view[:MOST_HEAD])
            else:
                assert mail.path is not None
                try:
                    with mail.path.open("rb") as file:
                        file.seek(mail.offset)
                        start = file.read(MOST_HEAD)
                except OSError:
                    return b""
        head, end, _ = start.partition(b"\r\n\r\n")
        return head + end[:2]


def _states(envelope: Envelope, waiting: Waiting | None) -> list[RcptState]:
    if waiting is not None:
        return waiting.rcpts
    return [RcptState(number) for number in range(len(envelope.recipients))]


def _state(waiting: Waiting | None) -> State:
    return "fresh" if waiting is None else "held" if waiting.held else "deferred"
