"""Mail for other hosts: from the spool to its sites and back, on the loop's thread.

A message is taken as it is committed, or when its due time has come, or when its site takes mail again. For each of
its recipients the router says where he lives now; those with one place are one delivery (placing.py). The board says
which site may have one (attempts.py); what comes of it is judged, told to senders and stored (judging.py, letters.py,
hand.py).

What a site that does not work cannot take goes back to the spool, and is read in pages when the site has room
(backlog.py); of fresh mail no more is in memory than fresh.py allows.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Protocol

from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.future_release import release_at
from fastsmtp.queue.asked import LAST_WORDS, Asked, until
from fastsmtp.queue.attempts import Attempts, Transport
from fastsmtp.queue.backlog import Backlog
from fastsmtp.queue.fresh import MOST, FreshMail
from fastsmtp.queue.hand import Box, Hand, Teller
from fastsmtp.queue.home import Door, Home
from fastsmtp.queue.judging import Judge
from fastsmtp.queue.letters import RemoteMail, requiretls
from fastsmtp.queue.placing import Placer
from fastsmtp.queue.plan.board import BoardLimits, Claims, SiteBoard
from fastsmtp.queue.plan.clock import QueueClock
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.plan.site import SiteState
from fastsmtp.queue.plan.window import DueWindow
from fastsmtp.queue.releases import Releases
from fastsmtp.queue.sites import Sites
from fastsmtp.queue.steps import Steps
from fastsmtp.queue.suspects import AFTER, Suspects
from fastsmtp.queue.ways import Ways
from fastsmtp.routing.room import Quotas
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.tls_report import Tally


class Loop(Protocol):
    """What is used of an event loop."""

    def call_soon(self, call: Callable[[], None]) -> Any:
        """On its next turn."""

    def call_later(self, delay: float, call: Callable[[], None]) -> Any:
        """In ``delay`` seconds; what is returned can be cancelled."""


class RemoteRunner:
    """Delivers what ``box`` has, within ``limits`` and what others leave of a site's by ``claims``. ``tallies`` gives
    how TLS went with each domain."""

    def __init__(
        self,
        box: Box,
        *,
        ways: Ways,
        transport: Transport,
        teller: Teller,
        log: MailLog,
        clock: Clock,
        time: QueueClock,
        settings: PlanSettings,
        limits: BoardLimits,
        claims: Claims,
        suspects: Suspects,
        door: Door,
        loop: Loop,
        rng: Random,
        tallies: Callable[[], list[Tally]] = list,
        quotas: Quotas | None = None,
    ) -> None:
        self._tallies = tallies
        self._box = box
        self._ways = ways
        self._claims = claims
        self._suspects = suspects
        self._suspect = ""
        self._suspects_at = float("inf")
        self._clock = clock
        self._time = time
        self._loop = loop
        self._board = SiteBoard(limits, settings.schedule, rng, claims)
        self._sites = Sites(self._board)
        self._window = DueWindow()
        self._steps = Steps(loop.call_soon, loop.call_later, log.event)
        self._hand = Hand(
            box, teller, soon=loop.call_soon, event=log.event, settled=self._settled, aside=suspects.aside
        )
        judge = Judge(self._hand, log, clock, settings.schedule, rng, self._now)
        self._home = Home(self._hand, door, judge, quotas)
        self._placer = Placer(
            self._hand,
            self._sites,
            ways,
            judge,
            self._home,
            settings.schedule,
            log,
            kept=lambda site, part: self._backlog.kept(site, part),
            now=self._now,
            opened=self._pump_soon,
        )
        self._backlog = Backlog(
            box,
            self._hand,
            self._sites,
            ways,
            settings.schedule,
            self._steps,
            place=self._placer.place,
            judge=lambda mail, results: judge.judge(mail, results, stays=True),
            now=self._now,
            opened=self._pump_soon,
        )
        self._attempts = Attempts(
            self._hand,
            self._board,
            self._sites,
            ways,
            transport,
            judge=judge,
            placer=self._placer,
            backlog=self._backlog,
            suspects=suspects,
            log=log,
            now=self._now,
            freed=self._pump,
            soon=self._pump_soon,
        )
        self._asked = Asked(
            box,
            self._hand,
            ways,
            clock,
            judge=judge,
            placer=self._placer,
            suspects=suspects,
            queued_at=self._queued_at,
            retry=self.retry_site,
            settled=self._settled,
            opened=self._pump_soon,
        )
        self._releases = Releases(box, self._hand, wall=clock.now, now=self._now)
        self._fresh = FreshMail(box, self._hand, self._steps, self._take_fresh, log.event)
        self._pumping = self._called = False
        self._alarm: Any = None
        self._alarm_at = 0.0
        self._stopping = self._ended = False

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, with what is in the spool already."""
        if self._stopping:
            return
        self._box.on_fresh = self._fresh.committed
        self._box.on_changed = self.changed
        self._suspects_at = self._clock.monotonic() + AFTER
        self._suspects.start()
        self._backlog.start()
        if self._time.lost > 0:
            self._steps.run(self._releases.bring_forward)
        self._pump_soon()

    def tick(self) -> None:
        """Once a second."""
        self._hand.tick()
        if self._suspect not in self._hand.mails and self._clock.monotonic() >= self._suspects_at:
            self._try_suspect()
        self._pump_soon()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping = True
        self._attempts.stop()
        self._home.stop()
        self._steps.end()
        self._box.on_fresh = self._box.on_changed = None
        if self._alarm is not None:
            self._alarm.cancel()

    async def end(self, grace: float) -> None:
        """Begin nothing more, let what is under way finish for ``grace`` seconds, and store what came of it. What is
        cut off stays in the spool as it was."""
        if self._ended:
            return
        self._ended = True
        self.stop()
        await until(self._clock, lambda: not self._attempts.under_way, grace)
        for delivery in list(self._attempts.under_way):
            delivery.cancel("the server is stopping")
        self._claims.close()
        await until(self._clock, lambda: not self._hand.settling, LAST_WORDS)

    # --- for people ---------------------------------------------------------------------------

    def sites(self) -> Iterator[SiteState]:
        """All sites that are known."""
        return self._board.states(self._now())

    def leading(self, most: int) -> Iterator[SiteState]:
        """See `SiteBoard.leading`."""
        return self._board.leading(most, self._now())

    def tls(self) -> list[Tally]:
        """How TLS went with each domain, where this runner is the one that tells it."""
        return self._tallies()

    def site_of(self, envelope: Envelope, number: int, hops: Sequence[str]) -> SiteState | None:
        """The site that a recipient who waits would be delivered to now; ``hops`` are those of his `Waiting`. None
        when that is not known: it is none, or nothing was looked up or tried since the start."""
        way = self._ways.way(envelope.recipients[number].address, requiretls(envelope), tuple(hops))
        name = self._ways.site(way) if isinstance(way, tuple) else None
        return None if name is None else self._board.state(name, self._now())

    def retry_site(self, name: str) -> None:
        """End the pause of a site."""
        self._board.retry(name, self._now())
        self._pump_soon()

    def wall_time(self, at: float) -> float:
        """A moment of queue time as the clock shows it."""
        return self._time.wall_time(at, self._clock.now(), self._clock.monotonic())

    async def hurry(self, queue_ids: Sequence[str]) -> None:
        """See `Asked.hurry`."""
        await self._asked.hurry(queue_ids)

    async def give_up(self, queue_ids: Sequence[str]) -> list[str]:
        """See `Asked.give_up`."""
        return await self._asked.give_up(queue_ids)

    def changed(self, ids: Sequence[str]) -> None:
        """See `Asked.changed`."""
        self._asked.changed(ids)

    # --- whose turn it is ---------------------------------------------------------------------

    def _now(self) -> float:
        return self._time.now(self._clock.monotonic())

    def _queued_at(self, received_at: float) -> float:
        return self._time.queued_at(received_at, self._clock.now(), self._clock.monotonic())

    def _pump_soon(self) -> None:
        if not self._called and not self._pumping and not self._stopping:
            self._called = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Begin whatever may begin."""
        self._called = False
        if self._pumping or self._stopping:
            return
        self._pumping = True
        try:
            now = self._now()
            self._take_due(now)
            self._fresh.go_on()
            while (slot := self._board.take(now)) is not None:
                self._attempts.begin(slot)
            self._set_alarm(now)
        finally:
            self._pumping = False

    def _set_alarm(self, now: float) -> None:
        times = [at for at in (self._board.wake_at(), self._window.next_at()) if at is not None]
        at = max(min(times, default=now + 1.0), now + 0.01)
        if at >= now + 1.0:
            return  # the tick is soon enough
        if self._alarm is not None:
            if now < self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_later(at - now, self._pump_soon)

    def _take_fresh(self, envelope: Envelope) -> None:
        came = envelope.received_at
        release = release_at(envelope.params, came) or came
        mail = RemoteMail(envelope, self._queued_at(max(came, release)), None)
        self._hand.mails[envelope.id] = mail
        if mail.hold_back(self._clock.now(), self._now()):
            self._hand.touch(mail)
        else:
            self._placer.place(mail, list(mail.left))

    def _try_suspect(self) -> None:
        """Take up the next message that was set aside; it must not be in memory with another."""
        self._suspect = self._suspects.next() or ""
        found = self._box.load(self._suspect) if self._suspect else None
        if found is not None and found[1] is None:
            self._take_fresh(found[0])
        elif found is not None:
            self._asked.changed([self._suspect])

    def _take_due(self, now: float) -> None:
        while (entry := self._window.wants()) is not None:
            self._window.refill(self._box.due_from(entry))
        while len(self._hand.mails) < 2 * MOST and (queue_id := self._window.due(now)) is not None:
            mail = self._hand.take(queue_id)
            if mail is None:
                continue
            if not mail.held:
                self._placer.place(mail, mail.due(now))
            self._hand.release(mail)

    def _settled(self, mail: RemoteMail) -> None:
        """It is stored; its due time is in the index."""
        if mail.held:
            return
        due = min((state.due for state in mail.left.values() if state is not None and state.due), default=0.0)
        if due:
            self._window.add(due, mail.envelope.id)
        self._backlog.stored(mail)
