"""What one attempt says about its site, as far as its plan goes.

A site that fails before any mail was named fails for all that waits: the mail stays with the site, and none of it
is written. From MAIL on it may be the mail that is at fault: it gets a due time of its own, so that one mail which
a host chokes on is not what the site is tried with again and again.
"""

from enum import Enum
from typing import Literal

Stage = Literal["connect", "greeting", "mail", "recipient", "data"]
"""How far an attempt had come when it got its answer or lost the connection: ``connect`` also for DNS, ``greeting``
until EHLO, TLS and AUTH are done, ``data`` from DATA or the first BDAT to the last reply."""

_BEFORE_MAIL: frozenset[Stage] = frozenset({"connect", "greeting"})
_OF_THE_SYSTEM = frozenset({"4.3.1", "4.3.2", "4.4.5"})
"""Mail system full, not accepting messages, congested (RFC 3463 §3.4, §3.5): said of the host, at whatever stage."""


class Outcome(Enum):
    """One attempt, as its site sees it."""

    DONE = "done"
    """The mail was taken, or refused for good: the site works."""
    PUT_OFF = "put off"
    """This mail only is to come later: the site works, and is neither slowed nor hurried."""
    SLOWER = "slower"
    """The site asks for less, or broke off in mid-mail: half the window. The mail gets its own due time."""
    BUSY = "busy"
    """The site takes no more for now: half the window, a pause when there is nothing left to halve."""
    UNREACHABLE = "unreachable"
    """Nobody is there: a pause, and one attempt after it."""
    NOTHING = "nothing"
    """No attempt was made: no mail was found."""

    @property
    def keeps_mail(self) -> bool:
        """Whether the mail stays with the site, without a due time of its own."""
        return self is Outcome.BUSY or self is Outcome.UNREACHABLE


def outcome_of(stage: Stage, code: int, enhanced: str = "") -> Outcome:
    """What the worst answer of one attempt means. ``code``: the reply's, 0 when the connection failed, broke or timed
    out; unlisted codes count by their first digit (RFC 5321 §4.2). ``enhanced``: such as ``4.3.2``, or empty."""
    if not 400 <= code <= 499:
        if code:
            return Outcome.DONE
        return Outcome.UNREACHABLE if stage in _BEFORE_MAIL else Outcome.SLOWER
    if stage in _BEFORE_MAIL:
        return Outcome.BUSY
    if code == 421 or enhanced in _OF_THE_SYSTEM:  # RFC 5321 §3.8: 421 ends the connection
        return Outcome.SLOWER
    return Outcome.PUT_OFF if stage == "recipient" else Outcome.SLOWER
