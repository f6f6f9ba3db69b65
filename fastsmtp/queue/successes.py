"""What went well and somebody asked to hear of: deliveries into mailboxes, and addresses that stand for others
(RFC 3461 §5.2.3, §5.2.7).

It is told as soon as it is so. It is in memory until it is stored: a crash in these moments may leave a sender
without the notice of a success, never without that of a failure.
"""

from collections import deque
from collections.abc import Callable, Sequence

from fastsmtp.bounce.decide import Action, Outcome
from fastsmtp.bounce.original import HEADERS_LIMIT, Original
from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.hand import Teller
from fastsmtp.routing.route import Expansion

START = HEADERS_LIMIT
"""Octets of a message that a notice of success is made of."""
_MOST = 1000
"""Messages whose notices wait for the spool; more are left out."""


class Successes:
    """Tells by ``teller``, on the loop's thread; ``post`` calls there from any thread."""

    def __init__(
        self,
        teller: Teller,
        clock: Clock,
        *,
        post: Callable[[Callable[[], None]], object],
        event: Callable[[str], None],
    ) -> None:
        self._teller = teller
        self._clock = clock
        self._post = post
        self._event = event
        self._again: deque[tuple[Envelope, list[Outcome], Original]] = deque()

    def delivered(self, envelope: Envelope, numbers: Sequence[int], original: Original) -> None:
        """These recipients have the message in their mailboxes. From any thread."""
        outcomes = [
            self._outcome(envelope.recipients[number], "delivered", "it is in the mailbox")
            for number in numbers
        ]
        self._post(lambda: self._tell(envelope, outcomes, original))

    def expanded(
        self, envelope: Envelope, aliases: Sequence[tuple[Recipient, Expansion]], original: Original
    ) -> None:
        """The message was accepted for these addresses, and goes on to those they stand for. A list has taken it
        over: for its sender that is a delivery (RFC 3461 §5.2.7.1)."""
        outcomes = []
        for alias, expansion in aliases:
            listed = any(target.owner is not None for target in expansion.targets)
            text = f"it goes on to {len(expansion.targets)} address(es)"
            outcomes.append(self._outcome(alias, "delivered" if listed else "expanded", text))
        self._tell(envelope, outcomes, original)

    def tick(self) -> None:
        """Once a second: try again what could not be stored."""
        for _ in range(len(self._again)):
            self._tell(*self._again.popleft())

    def _outcome(self, recipient: Recipient, action: Action, text: str) -> Outcome:
        result = DeliveryResult(0, "delivered", 0, "2.0.0", text, "", "x-fastsmtp")
        return Outcome(recipient, action, result, self._clock.now())

    def _tell(self, envelope: Envelope, outcomes: list[Outcome], original: Original) -> None:
        def done(again: list[Outcome]) -> None:
            if not again:
                return
            if len(self._again) < _MOST:
                self._again.append((envelope, again, original))
            else:
                self._event(f"nobody is told that {envelope.id} was delivered: the spool takes nothing")

        self._teller.tell(
            envelope, outcomes, lambda most: Original(original.content[:most], original.size), done
        )
