"""What came of recipients, for the log, their senders and the spool."""

from collections.abc import Callable, Sequence
from random import Random

from fastsmtp.clock import Clock
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.hand import Hand
from fastsmtp.queue.letters import RemoteMail, judge
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.telemetry.maillog import MailLog

_TAKEN = ("delivered", "relayed")


class Judge:
    """``now`` is queue time."""

    def __init__(
        self,
        hand: Hand,
        log: MailLog,
        clock: Clock,
        schedule: RetrySchedule,
        rng: Random,
        now: Callable[[], float],
    ) -> None:
        self._hand = hand
        self._log = log
        self._clock = clock
        self._schedule = schedule
        self._rng = rng
        self._now = now

    def judge(self, mail: RemoteMail, results: Sequence[DeliveryResult], *, stays: bool = False) -> None:
        """Log ``results``, let senders be told, and have the change stored. For ``stays`` see
        `letters.judge`."""
        envelope = mail.envelope
        wall = self._clock.now()
        outcomes, changed = judge(
            mail,
            results,
            stays=stays,
            at=self._now(),
            wall=wall,
            schedule=self._schedule,
            rng=self._rng,
        )
        for result in results:
            put_off = result.status == "deferred" and result.recipient in mail.left
            self._log.attempted(
                envelope.id,
                "deferred" if put_off else "sent" if result.status in _TAKEN else "bounced",
                to=envelope.recipients[result.recipient].address,
                relay=result.remote,
                reply=f"{result.code} {result.text}" if result.code else result.text,
                delay=wall - envelope.received_at,
            )
        if outcomes:
            self._hand.tell(mail, outcomes)
        if changed:
            self._hand.touch(mail)
        self._hand.release(mail)
