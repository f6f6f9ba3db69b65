"""What stands in a spool, as rows for people and programs."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from fastsmtp.clock import Clock
from fastsmtp.control.queue import (
    MOST_HEAD,
    QueueRow,
    RecipientRow,
    Shown,
    SiteRow,
    TlsFailure,
    TlsRow,
    TryRow,
)
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.future_release import date_time, request
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.search import Found
from fastsmtp.spool.waiting import RcptState, Waiting, state_of

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


class Times(Protocol):
    """What whoever delivers knows of times and sites; times are queue time."""

    def wall_time(self, at: float) -> float:
        """A moment of queue time as the clock shows it."""

    def site_of(self, envelope: Envelope, number: int, hops: Sequence[str]) -> SiteState | None:
        """The site that a recipient would be delivered to now; None when that is not known."""


class TlsKind(Protocol):
    """A way to fail; see `TlsFailure`."""

    @property
    def result(self) -> str: ...
    @property
    def host(self) -> str: ...


class TlsTally(Protocol):
    """How TLS went with a domain, as whoever delivers counts it; see `TlsRow`."""

    @property
    def domain(self) -> str: ...
    @property
    def policy(self) -> str: ...
    @property
    def successes(self) -> int: ...
    @property
    def failures(self) -> Sequence[tuple[TlsKind, int]]: ...


def tls_row(tally: TlsTally) -> TlsRow:
    """For people; what failed most comes first."""
    failures = [
        TlsFailure(result=kind.result, host=kind.host, sessions=sessions)
        for kind, sessions in sorted(tally.failures, key=lambda one: -one[1])
    ]
    return TlsRow(domain=tally.domain, policy=tally.policy, successes=tally.successes, failures=failures)


class Rows:
    """Called on the loop's thread. Without ``times`` nobody delivers, and times are shown as they stand."""

    def __init__(self, spool: LmdbSpool, clock: Clock, routes: Routes, times: Times | None) -> None:
        self._spool = spool
        self._clock = clock
        self._routes = routes
        self._times = times

    def row(self, found: Found) -> QueueRow:
        """A message in a list."""
        envelope, waiting, length = found
        states = _states(envelope, waiting)
        return QueueRow(
            id=envelope.id,
            state=state_of(waiting),
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
            state=state_of(waiting),
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
        hops = () if waiting is None else waiting.hops
        site = (
            self._times.site_of(envelope, state.number, hops) if whole and self._times is not None else None
        )
        next_at, why = self._next(envelope, waiting, state, site)
        last = state.last
        return RecipientRow(
            address=known.address,
            original=known.original,
            params=known.params or {},
            status="deferred" if state.tries else "waiting",
            attempts=state.attempts,
            last_at=self._wall(last.at) if last.at else None,
            next_at=next_at,
            code=last.code,
            enhanced=last.enhanced,
            reply=last.text,
            remote=last.remote,
            tries=self._tries(state) if whole else [],
            left_out=state.left_out,
            why=why,
            site="" if site is None else _told(site),
            route=self._routes.told(known.address, hops) if whole else "",
        )

    def _next(
        self, envelope: Envelope, waiting: Waiting | None, state: RcptState, site: SiteState | None
    ) -> tuple[float | None, str]:
        """When it is tried next, None where that is not known, and why then."""
        if waiting is None:
            return None, "on its first attempt, or before it"
        if waiting.held:
            return None, "held, until it is released"
        opens = None if site is None or site.next_at is None else self._wall(site.next_at)
        if not state.due:
            return opens, "when its site takes mail again"
        now = self._clock.now()
        due = max(self._wall(state.due), now)
        if due > now and not state.tries and request(envelope.params):
            return due, f"held by its sender until {date_time(due)}"
        return (opens, "when its site takes mail again") if opens is not None and opens > due else (due, "")

    def _wall(self, at: float) -> float:
        return at if self._times is None else self._times.wall_time(at)

    def _tries(self, state: RcptState) -> list[TryRow]:
        return [
            TryRow(
                at=self._wall(one.at), code=one.code, enhanced=one.enhanced, reply=one.text, remote=one.remote
            )
            for one in state.tries
        ]

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


def _told(site: SiteState) -> str:
    return f"{site.name}, {site.health}{f': {site.reason}' if site.reason else ''}"


def _states(envelope: Envelope, waiting: Waiting | None) -> list[RcptState]:
    if waiting is not None:
        return waiting.rcpts
    return [RcptState(number) for number in range(len(envelope.recipients))]
