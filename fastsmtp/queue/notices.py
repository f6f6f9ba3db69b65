"""Notifications on their way to senders: decided and written by `fastsmtp.bounce`, they enter by the same door as
every message."""

from collections.abc import Callable, Iterable
from functools import partial

from fastsmtp.bounce.decide import Notice, Outcome, decide
from fastsmtp.bounce.dsn import Dsn, compose, wanted
from fastsmtp.bounce.original import Original
from fastsmtp.clock import Clock
from fastsmtp.intake.intake import Incoming, Intake
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.reply import Reply
from fastsmtp.queue.hand import Told
from fastsmtp.routing.addresses import split
from fastsmtp.routing.route import Expansion, LocalRoute
from fastsmtp.routing.router import Router
from fastsmtp.telemetry.maillog import MailLog

_PIECE = 65_536


class Notifier:
    """Sends what is owed. ``postmaster`` hears of what failed and has no sender; empty: nobody does."""

    def __init__(
        self,
        intake: Intake,
        router: Router,
        *,
        hostname: str,
        postmaster: str,
        log: MailLog,
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._router = router
        self._hostname = hostname
        self._postmaster = postmaster
        self._log = log
        self._clock = clock

    def tell(
        self,
        envelope: Envelope,
        outcomes: Iterable[Outcome],
        original: Callable[[int], Original],
        done: Told,
    ) -> None:
        """Tell the senders of a message what became of its recipients, as far as that is owed. ``original`` gives as
        many of its first octets as are asked for. ``done`` is called on the loop's thread, perhaps at once, with what
        is to be told again, as its notification could not be stored; all others are."""
        decision = decide(envelope, outcomes, self._postmaster)
        for untold in decision.untold:
            self._log.untold(envelope.id, to=untold.outcome.recipient.address, reason=untold.reason)
        left = len(decision.notices)
        if not left:
            done([])
            return
        again: list[Outcome] = []

        def one(notice: Notice, good: bool) -> None:
            nonlocal left
            left -= 1
            if not good:
                again.extend(notice.outcomes)
            if not left:
                done(again)

        for notice in decision.notices:
            self._send(notice, envelope, original, partial(one, notice))

    def _send(
        self,
        notice: Notice,
        envelope: Envelope,
        original: Callable[[int], Original],
        done: Callable[[bool], None],
    ) -> None:
        recipients = self._recipients(notice.to)
        if isinstance(recipients, Reply):
            # RFC 5321 §4.5.5: what cannot be delivered to a sender ends here.
            words = f"{recipients.code} {recipients.status} {' '.join(recipients.text)}"
            self._log.untold(envelope.id, to="", reason=f"<{notice.to}> is refused, {words}")
            done(True)
            return
        incoming = self._intake.begin(
            sender="",
            recipients=recipients,
            client_ip="",
            helo="",
            protocol="",
            parameters=None,
            resume=_go_on,
        )
        if isinstance(incoming, Reply):
            done(False)
            return
        size = original(0).size
        dsn = compose(
            notice,
            envelope,
            original(wanted(notice, envelope, size)),
            self._hostname,
            incoming.envelope.id,
            self._clock.now(),
        )
        self._submit(incoming, dsn, notice, envelope, done)

    def _submit(
        self, incoming: Incoming, dsn: Dsn, notice: Notice, envelope: Envelope, done: Callable[[bool], None]
    ) -> None:
        incoming.envelope.params = dsn.params
        for start in range(0, len(dsn.content), _PIECE):
            incoming.write(dsn.content[start : start + _PIECE])

        def stored(incoming: Incoming, refused: Reply | None) -> None:
            if refused is None:
                self._log.notified(
                    incoming.envelope.id,
                    about=envelope.id,
                    to=dsn.recipient,
                    kind=notice.kind,
                    recipients=len(notice.outcomes),
                )
            done(refused is None)

        if incoming.finish(stored) is not None:
            done(False)

    def _recipients(self, address: str) -> list[Recipient] | Reply:
        """Whom a notification to ``address`` goes to."""
        route = self._router.own(*split(address))
        if isinstance(route, Reply):
            return route
        if isinstance(route, Expansion):
            return self._router.recipients(route, address, "", None)
        return [Recipient(address, route.mailbox if isinstance(route, LocalRoute) else "")]


def _go_on() -> None:
    """A notification is written as a whole: it is no larger than a small file."""
