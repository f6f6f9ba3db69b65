"""One message for other hosts while it is worked on, and what results mean for it. Pure: no I/O, no clock.

Who has no result for good waits in one of two ways (docs/queue.md): with a due time of his own, or, where his site
failed before any mail was named, with the site, which is told by a due time of 0.
"""

from collections.abc import Iterable
from random import Random
from typing import Literal

from fastsmtp.bounce.decide import Action, Outcome, member_of_list
from fastsmtp.mail.dsn_params import Notify, notify
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.future_release import release_at
from fastsmtp.mail.reply import Reply
from fastsmtp.mail.result import DeliveryResult, printable
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.spool.rows import AT_ONCE
from fastsmtp.spool.waiting import RcptState, Try, Waiting, most_tries

WITH_SITE = 0.0
"""The due time of who waits with his site."""


class RemoteMail:
    """``left`` has those who are not done, by number, with what is known of each (None: never tried); ``busy`` those
    of them who are in a part that is queued or under way; ``stored``: whether `Waiting` is in the spool for it.

    ``telling``: notices on their way that have to be durable before anything of this is committed; ``commits``:
    commits under way; ``dirty``: it differs from what was given to the last of these."""

    __slots__ = (
        "busy",
        "commits",
        "dirty",
        "envelope",
        "held",
        "hops",
        "left",
        "noticed",
        "queued_at",
        "stored",
        "telling",
    )

    def __init__(self, envelope: Envelope, queued_at: float, waiting: Waiting | None) -> None:
        self.envelope = envelope
        self.busy: set[int] = set()
        self.telling = self.commits = 0
        self.dirty = False
        self.stored = waiting is not None
        self.left: dict[int, RcptState | None]
        if waiting is None:
            self.queued_at = queued_at
            self.noticed = self.held = False
            self.hops: tuple[str, ...] = ()
            self.left = dict.fromkeys(range(len(envelope.recipients)))
        else:
            self.queued_at = waiting.queued_at
            self.noticed = waiting.noticed
            self.held = waiting.held
            self.hops = waiting.hops
            self.left = {state.number: state for state in waiting.rcpts}

    @property
    def in_use(self) -> bool:
        """Whether it must stay in memory."""
        return bool(self.busy or self.telling or self.commits or self.dirty)

    @property
    def unsettled(self) -> bool:
        """Whether something of it is on its way to its senders, or to the spool."""
        return bool(self.telling or self.commits or self.dirty)

    def waiting(self) -> Waiting:
        """What is to be stored of it now."""
        return Waiting(
            self.queued_at,
            self.noticed,
            self.held,
            [state or RcptState(number) for number, state in self.left.items()],
            self.hops,
        )

    def due(self, now: float) -> list[int]:
        """Who has a due time of his own that has come."""
        return [
            number
            for number, state in self.left.items()
            if state is not None and WITH_SITE < state.due <= now and number not in self.busy
        ]

    def with_site(self, domain: str) -> list[int]:
        """Who waits with his site at ``domain``, as `domain_of` gives it."""
        return [number for number, other in self.all_with_site() if other == domain]

    def all_with_site(self) -> list[tuple[int, str]]:
        """Who waits with his site, and his domain; nobody where an operator gave it hops, for its site is not the
        domain's."""
        known = self.envelope.recipients
        return [
            (number, domain_of(known[number].address))
            for number, state in self.left.items()
            if (state is None or state.due == WITH_SITE) and number not in self.busy and not self.hops
        ]

    def sync(self, row: Waiting) -> bool:
        """Take over what an operator has said of it, as ``row`` has it now; whether that must be stored again, as
        what is on its way to the spool says otherwise."""
        self.held, self.hops, self.stored = row.held, row.hops, True
        for state in row.rcpts:
            number = state.number
            if state.due == AT_ONCE and number in self.left and number not in self.busy:
                self.left[number] = (self.left[number] or state).moved(state.due)
        return self.unsettled

    def put_off(self, numbers: Iterable[int], due: float) -> None:
        """These have a due time of their own now, without an attempt."""
        for number in numbers:
            self.left[number] = (self.left[number] or RcptState(number)).moved(due)

    def hold_back(self, wall: float, now: float) -> bool:
        """Whether its sender wants it held still (RFC 4865), when the clock says ``wall`` and queue time is ``now``:
        then for all of it until that time, from which its age counts."""
        release = release_at(self.envelope.params, self.envelope.received_at)
        if release is None or release <= wall:
            return False
        self.queued_at = now + release - wall
        self.put_off(list(self.left), self.queued_at)
        return True

    def park(self, numbers: Iterable[int]) -> bool:
        """From now on these wait with their site; whether that changes what is stored."""
        changed = not self.stored
        for number in numbers:
            state = self.left[number]
            if state is None:
                self.left[number] = RcptState(number)
            elif state.due != WITH_SITE:
                self.left[number] = state.moved(WITH_SITE)
                changed = True
        return changed


def requiretls(envelope: Envelope) -> bool:
    """Whether it came with REQUIRETLS (RFC 8689 §3)."""
    return envelope.params is not None and "REQUIRETLS" in envelope.params


def without_wishes(envelope: Envelope) -> Envelope:
    """For the members of a list: what its sender wished to be told goes no further (RFC 3461 §5.2.7.1 b)."""
    if envelope.params is None:
        return envelope
    params = {key: value for key, value in envelope.params.items() if key not in ("RET", "ENVID")}
    return Envelope(
        envelope.id,
        envelope.sender,
        envelope.recipients,
        envelope.client_ip,
        envelope.helo,
        envelope.protocol,
        envelope.received_at,
        params or None,
    )


def domain_of(address: str) -> str:
    """The domain by which mail is found that waits; lower case."""
    return address.rpartition("@")[2].lower()


def judge(
    mail: RemoteMail,
    results: Iterable[DeliveryResult],
    *,
    stays: bool,
    at: float,
    wall: float,
    schedule: RetrySchedule,
    rng: Random,
) -> tuple[list[Outcome], bool]:
    """What an attempt of ``at`` (queue time; ``wall`` by the clock) means for ``mail``, which is changed: what its
    senders may have to be told, and whether that changes what is stored.

    ``stays``: who was put off waits with the site, unless an operator gave the mail hops of its own.
    """
    outcomes: list[Outcome] = []
    changed = False
    left, known = mail.left, mail.envelope.recipients
    put_off: list[DeliveryResult] = []
    for result in results:
        number = result.recipient
        if result.status == "deferred":
            put_off.append(result)
            continue
        del left[number]
        changed = True
        action = _action(mail.envelope, number, result)
        if action is not None:
            outcomes.append(Outcome(known[number], action, result, wall))
    if not put_off:
        return outcomes, changed
    fate = schedule.fate(mail.queued_at, at, noticed=mail.noticed)
    with_site = stays and not mail.hops
    for result in put_off:
        number = result.recipient
        before = left[number]
        if fate == "expired":
            del left[number]
            changed = True
            outcomes.append(Outcome(known[number], "failed", result, wall))
            continue
        attempts = 1 if before is None else before.attempts + 1
        due = WITH_SITE if with_site else schedule.next_at(attempts, at, mail.queued_at, rng) or at
        if before is None or not mail.stored or due != WITH_SITE or before.due != WITH_SITE:
            changed = True
        tried = Try(at, result.code, result.enhanced, result.text, result.remote)
        left[number] = (before or RcptState(number)).tried(tried, due, most_tries(len(known)))
    if fate == "notice":
        mail.noticed = changed = True
        until = wall + schedule.expires_at(mail.queued_at) - at
        for number, state in left.items():
            outcomes.append(Outcome(known[number], "delayed", last_result(number, state), wall, until))
    return outcomes, changed


def last_result(number: int, state: RcptState | None) -> DeliveryResult:
    """What is known of a recipient who waits, as a result."""
    if state is None or not state.enhanced:
        return DeliveryResult(number, "deferred", 0, "4.0.0", "it was not tried yet", "", "x-fastsmtp")
    return DeliveryResult(
        number,
        "deferred",
        state.code,
        state.enhanced,
        state.text,
        state.remote,
        "smtp" if state.code else "x-fastsmtp",
    )


def given_up(number: int, state: RcptState | None) -> DeliveryResult:
    """An operator does not want it to be tried any more."""
    last = last_result(number, state)
    said = f"{last.code} {last.text}" if last.code else last.text
    text = printable(f"given up by the postmaster; the last answer was: {said}")
    return DeliveryResult(number, "failed", 0, "5.0.0", text, last.remote, "x-fastsmtp")


def refused(number: int, reply: Reply, *, later: bool = False) -> DeliveryResult:
    """We refuse what was accepted: the tables have changed since; or, ``later``, the spool takes nothing."""
    status: Literal["deferred", "failed"] = "deferred" if later or reply.code // 100 == 4 else "failed"
    return DeliveryResult(number, status, reply.code, reply.status, " ".join(reply.text), "", "x-fastsmtp")


def _action(envelope: Envelope, number: int, result: DeliveryResult) -> Action | None:
    """What there may be to tell of a recipient who is done. A host that has it "delivered", and not as the final one,
    speaks DSN and tells itself (RFC 3461 §5.2.1)."""
    if result.status == "failed":
        return "failed"
    recipient = envelope.recipients[number]
    # A list's owner has taken over: the sender's wishes end there (RFC 3461 §5.2.7.1).
    if (
        recipient.params is None
        or member_of_list(recipient)
        or Notify.SUCCESS not in notify(recipient.params)
    ):
        return None
    if result.status == "relayed":
        return "relayed"
    return "delivered" if result.final else None
