"""Who is owed a delivery status notification (RFC 3461 §5.2), and who is not told of a failure, and why."""

import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from fastsmtp.mail.dsn_params import DEFAULT, Notify, notify
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
"""RFC 3464 §2.3.3."""

Kind = Literal["failed", "delayed", "succeeded"]

_KINDS: dict[Action, tuple[Kind, Notify]] = {
    "failed": ("failed", Notify.FAILURE),
    "delayed": ("delayed", Notify.DELAY),
    "delivered": ("succeeded", Notify.SUCCESS),
    "relayed": ("succeeded", Notify.SUCCESS),
    "expanded": ("succeeded", Notify.SUCCESS),
}

_SRS = re.compile(r"SRS[01][-+=]", re.IGNORECASE)
"""What rewritten senders begin with: a sender that is carried on, not one that takes over."""


class Outcome(Struct, frozen=True):
    """What became of one recipient, as far as a sender may care.

    ``failed`` is for good, or given up; ``delayed`` when a notice of it is due, which is for the queue to say, once
    a recipient; ``delivered`` into a mailbox or to a list; ``relayed`` to a host that does not speak DSN;
    ``expanded`` an alias with several addresses, whose ``recipient`` is the alias with the parameters it came with.
    What went to a host that does speak DSN is none of these: that host will tell.

    ``at`` is the time of the last attempt and ``retry_until`` that of giving up (of ``delayed`` only), in seconds
    since 1970 UTC.
    """

    recipient: Recipient
    action: Action
    result: DeliveryResult
    at: float
    retry_until: float = 0.0


class Notice(Struct, frozen=True):
    """One notification that is owed: to ``to``, never empty, about recipients of one message that share their return
    address and what happened. ``from_list``: they are members of a list, whose owner is told (RFC 3461 §5.2.7.1).
    ``double``: a notice to the postmaster that a message without a sender failed."""

    to: str
    kind: Kind
    outcomes: tuple[Outcome, ...]
    from_list: bool = False
    double: bool = False


class Untold(Struct, frozen=True):
    """A failure that nobody is told of, and why, for the log."""

    outcome: Outcome
    reason: str


class Decision(Struct, frozen=True):
    """What is to be sent, and what is not."""

    notices: tuple[Notice, ...]
    untold: tuple[Untold, ...]


def member_of_list(recipient: Recipient) -> bool:
    """Whether a list's owner took over the responsibility for ``recipient`` (RFC 5321 §3.9.2)."""
    return recipient.sender is not None and _SRS.match(recipient.sender) is None


def decide(envelope: Envelope, outcomes: Iterable[Outcome], postmaster: str = "") -> Decision:
    """Group ``outcomes`` of one message into the notifications that are owed, in their order.

    ``postmaster`` is the address that hears of failed messages without a sender, empty for nobody.
    """
    groups: dict[tuple[str, Kind, bool, bool], list[Outcome]] = {}
    untold = []
    for outcome in outcomes:
        recipient = outcome.recipient
        kind, flag = _KINDS[outcome.action]
        from_list = member_of_list(recipient)
        # RFC 3461 §5.2.7.1 b: what the list's members are told with is not what came with the message.
        wanted = DEFAULT if from_list else notify(recipient.params)
        to = return_path(envelope, recipient)
        reason = ""
        if not to:
            if kind == "failed" and postmaster and not _is(recipient, postmaster):
                groups.setdefault((postmaster, kind, False, True), []).append(outcome)
            else:
                reason = "the postmaster's own address failed" if postmaster else "it has no sender"
        elif flag in wanted:
            groups.setdefault((to, kind, from_list, False), []).append(outcome)
        else:
            reason = "the sender asked not to be told"
        if reason and kind == "failed":
            untold.append(Untold(outcome, reason))
    notices = [
        Notice(to, kind, tuple(of), listed, double) for (to, kind, listed, double), of in groups.items()
    ]
    return Decision(tuple(notices), tuple(untold))


def return_path(envelope: Envelope, recipient: Recipient) -> str:
    """Whom a notification about ``recipient`` goes to; empty for nobody.

    Nobody for a message that came without a sender, whatever a list has made of it since: no notification is
    answered by a notification (RFC 5321 §4.5.5, RFC 3461 §5.2), and a list that is its own owner ends there.
    """
    if not envelope.sender or recipient.sender is None:
        return envelope.sender
    return recipient.sender


def _is(recipient: Recipient, address: str) -> bool:
    # What fails at the postmaster's own address, or where an alias has sent it on to, must not go there again.
    return address.lower() in (recipient.address.lower(), (recipient.original or "").lower())
