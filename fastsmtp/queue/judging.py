"""What came of recipients, for the log, their senders and the spool."""

from collections.abc import Callable, Sequence
from random import Random

from fastsmtp.clock import Clock
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.hand import Hand
from fastsmtp.queue.letters import WITH_SITE, RemoteMail, judge
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.telemetry.maillog import MailLog, Result

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

    def judge(
        self, mail: RemoteMail, results: Sequence[DeliveryResult], *, stays: bool = False, took: float = 0.0
    ) -> None:
        """Log ``results``, let senders be told, and have the change stored. For ``stays`` see
        `letters.judge`; ``took`` is how many seconds the attempt lasted, if it was one."""
        envelope = mail.envelope
        wall, now = self._clock.now(), self._now()
        outcomes, changed = judge(
            mail,
            results,
            stays=stays,
            at=now,
            wall=wall,
            schedule=self._schedule,
            rng=self._rng,
        )
        for result in results:
            what, due = _word(mail, result)
            self._log.attempted(
                envelope.id,
                what,
                to=envelope.recipients[result.recipient].address,
                relay=result.remote,
                code=result.code,
                enhanced=result.enhanced,
                reply=result.text,
                delay=wall - envelope.received_at,
                duration=took,
                tls=result.tls,
                next_at=0.0 if due == WITH_SITE else wall + due - now,
            )
        if outcomes:
            self._hand.tell(mail, outcomes)
        if changed:
            self._hand.touch(mail)
        self._hand.release(mail)


def _word(mail: RemoteMail, result: DeliveryResult) -> tuple[Result, float]:
    """What a result comes to in the log, and when who is put off is tried again, in queue time."""
    if result.status in _TAKEN:
        return "sent", WITH_SITE
    if result.status != "deferred":
        return "bounced", WITH_SITE
    if result.recipient not in mail.left:
        return "expired", WITH_SITE
    state = mail.left[result.recipient]
    return "deferred", WITH_SITE if state is None else state.due
