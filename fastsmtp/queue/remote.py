"""Mail for other hosts: from the spool to its sites and back, on the loop's thread.

A message is taken as it is committed, or when its due time has come, or when its site takes mail again. For each of
its recipients the router says where he lives now; those with one place are one delivery. The board says which site
may have one; what comes of it is judged, told to senders and stored (letters.py, hand.py).

What a site that does not work cannot take goes back to the spool, and is read in pages when the site has room
(backlog.py); of fresh mail no more is in memory than fresh.py allows.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Protocol

from fastsmtp.bounce.decide import member_of_list
from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.backlog import Backlog
from fastsmtp.queue.fresh import MOST, FreshMail
from fastsmtp.queue.hand import Box, Hand, Teller
from fastsmtp.queue.letters import RemoteMail, given_up, judge, no_longer, requiretls, without_wishes
from fastsmtp.queue.plan.board import BoardLimits, SiteBoard
from fastsmtp.queue.plan.clock import QueueClock
from fastsmtp.queue.plan.outcome import Outcome, outcome_of
from fastsmtp.queue.plan.room import Slot
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.plan.site import SiteLimits, SiteState
from fastsmtp.queue.plan.window import DueWindow
from fastsmtp.queue.sites import Part, SiteQueue, Sites
from fastsmtp.queue.steps import Steps
from fastsmtp.queue.ways import Way, Ways, nowhere
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.connection import Content, FileContent
from fastsmtp.transport.smtp.deliver import Done, Job
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.verdict import SiteOutcome

MOST_OF_ONE = MOST // 2
"""Parts in memory of one site that works ..."""
MOST_UNTRIED = 500
"""... and of one that was not tried yet."""

_LAST_WORDS = 5.0
"""Seconds for the spool to take the last results."""


class Cancellable(Protocol):
    """A delivery under way."""

    def cancel(self, reason: str) -> None:
        """See `Delivery.cancel`."""


class Transport(Protocol):
    """`SmtpTransport`, or a test's."""

    def deliver(self, job: Job, done: Done) -> Cancellable:
        """See `SmtpTransport.deliver`."""


class Loop(Protocol):
    """What is used of an event loop."""

    def call_soon(self, call: Callable[[], None]) -> Any:
        """On its next turn."""

    def call_later(self, delay: float, call: Callable[[], None]) -> Any:
        """In ``delay`` seconds; what is returned can be cancelled."""


class RemoteRunner:
    """Delivers what ``box`` has; one of ``workers``, which each keep to their share of the limits."""

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
        workers: int,
        loop: Loop,
        rng: Random,
    ) -> None:
        self._box = box
        self._ways = ways
        self._transport = transport
        self._log = log
        self._clock = clock
        self._time = time
        self._schedule = settings.schedule
        self._loop = loop
        self._rng = rng
        self._board = SiteBoard(shared(settings, workers), self._schedule, rng)
        self._sites = Sites(self._board)
        self._window = DueWindow()
        self._steps = Steps(loop.call_soon, loop.call_later, log.event)
        self._hand = Hand(box, teller, soon=loop.call_soon, event=log.event, settled=self._settled)
        self._backlog = Backlog(
            box,
            self._hand,
            self._sites,
            ways,
            self._schedule,
            self._steps,
            place=self._place,
            judge=lambda mail, results: self._judge(mail, results, stays=True, final=False),
            now=self._now,
            opened=self._pump_soon,
        )
        self._fresh = FreshMail(box, self._hand, self._steps, self._take_fresh, log.event)
        self._unplaced: dict[Way, list[Part]] = {}
        self._under_way: set[Cancellable] = set()
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
        self._backlog.start()
        self._pump_soon()

    def tick(self) -> None:
        """Once a second."""
        self._hand.tick()
        self._pump_soon()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping = True
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
        await self._until(lambda: not self._under_way, grace)
        for delivery in list(self._under_way):
            delivery.cancel("the server is stopping")
        await self._until(lambda: not self._hand.settling, _LAST_WORDS)

    async def _until(self, true: Callable[[], bool], limit: float) -> None:
        deadline = self._clock.monotonic() + limit
        while not true() and self._clock.monotonic() < deadline:
            await asyncio.sleep(0.02)

    # --- for people ---------------------------------------------------------------------------

    def sites(self) -> Iterator[SiteState]:
        """All sites that are known."""
        return self._board.states(self._now())

    def retry_site(self, name: str) -> None:
        """End the pause of a site."""
        self._board.retry(name, self._now())
        self._pump_soon()

    def wall_time(self, at: float) -> float:
        """A moment of queue time as the clock shows it."""
        return self._time.wall_time(at, self._clock.now(), self._clock.monotonic())

    async def hurry(self, queue_ids: Sequence[str]) -> None:
        """End the pauses of the sites that these wait for, once what they come to is stored: it is read from there
        when the site has room."""
        await self._stored(queue_ids)
        sites = set()
        for queue_id in queue_ids:
            envelope, waiting = self._box.load(queue_id) or (None, None)
            if envelope is not None and waiting is not None:
                encrypted = requiretls(envelope)
                ways = [
                    self._ways.way(envelope.recipients[each.number].address, encrypted)
                    for each in waiting.rcpts
                ]
                sites.update([self._ways.site(way) for way in ways if isinstance(way, tuple)])
        for site in sites:
            if site is not None:
                self.retry_site(site)

    async def give_up(self, queue_ids: Sequence[str]) -> list[str]:
        """Let these fail for all whose turn it is not at this moment: those it was done to, once their senders are
        told and it is stored, or storage has had its time. What is on its first attempt is left alone."""
        done: list[str] = []
        for queue_id in queue_ids:
            mail = self._hand.take(queue_id)
            if mail is None:
                continue
            results = [
                given_up(number, state) for number, state in mail.left.items() if number not in mail.busy
            ]
            if results:
                done.append(queue_id)
                self._judge(mail, results, stays=False, final=False)
            else:
                self._hand.release(mail)
        await self._stored(done)
        return done

    async def _stored(self, queue_ids: Sequence[str]) -> None:
        """Until what is known of these is on disk, or storage has had its time."""
        await asyncio.sleep(0)
        await self._until(
            lambda: not any(mail.unsettled for one in queue_ids if (mail := self._hand.mails.get(one))),
            _LAST_WORDS,
        )

    def changed(self, ids: Sequence[str]) -> None:
        """An operator has held, released, hurried or removed these."""
        for queue_id in ids:
            mail = self._hand.mails.get(queue_id)
            found = self._box.load(queue_id)
            waiting = None if found is None else found[1]
            if mail is None:
                mail = self._hand.take(queue_id)
            elif found is None:
                mail.held = True  # it is gone: nothing more is begun for it
            elif waiting is not None:
                mail.held, mail.stored = waiting.held, True
            if mail is not None and waiting is not None and not waiting.held:
                self._settled(mail)
                self._backlog.waits(mail)
            if mail is not None:
                self._hand.release(mail)
        self._pump_soon()

    # --- where it goes ------------------------------------------------------------------------

    def _take_fresh(self, envelope: Envelope) -> None:
        queued_at = self._time.queued_at(envelope.received_at, self._clock.now(), self._clock.monotonic())
        mail = self._hand.mails[envelope.id] = RemoteMail(envelope, queued_at, None)
        self._place(mail, list(mail.left))

    def _place(self, mail: RemoteMail, numbers: Sequence[int], loading: SiteQueue | None = None) -> None:
        """Each of these recipients into the queue of his site; ``loading``: the site it was read for."""
        envelope = mail.envelope
        known = envelope.recipients
        encrypted = requiretls(envelope)
        groups: dict[tuple[Way, bool], list[int]] = {}
        for number in numbers:
            recipient = known[number]
            way = self._ways.way(recipient.address, encrypted)
            if isinstance(way, tuple):
                groups.setdefault((way, member_of_list(recipient)), []).append(number)
            else:
                self._judge(mail, [no_longer(number, way)], stays=False, final=False)
        for (way, listed), those in groups.items():
            mail.busy.update(those)
            part = Part(mail, those, way, listed)
            site = self._ways.site(way)
            if site is not None:
                self._queue(self._sites.get(site), part, loading)
                continue
            waiting = self._unplaced.get(way)
            if waiting is not None:
                waiting.append(part)
                continue
            self._unplaced[way] = [part]
            self._look_up(way)

    def _look_up(self, way: Way) -> None:
        self._ways.look_up(way, lambda found: self._placed(way, found))

    def _placed(self, way: Way, found: Place | Unroutable) -> None:
        """The hosts of a way are known, or that there are none."""
        parts = self._unplaced.pop(way, [])
        if isinstance(found, Place):
            for part in parts:
                self._queue(self._sites.get(found.site), part)
        elif found.enhanced.startswith("5"):
            for part in parts:
                self._judge(part.mail, _all(part, found), stays=False, final=False)
        else:
            site = self._sites.get(nowhere(way))
            for part in parts:
                self._queue(site, part, suspect=True)
        self._pump_soon()

    def _queue(
        self, site: SiteQueue, part: Part, loading: SiteQueue | None = None, *, suspect: bool = False
    ) -> None:
        if loading is site:
            site.stored = max(0, site.stored - 1)
        elif len(site.queue) >= _MOST[site.health]:
            self._park(site, part)
            self._sites.tell(site, self._now())
            return
        site.queue.append(part)
        self._sites.tell(site, self._now(), suspect=suspect)
        self._pump_soon()

    def _park(self, site: SiteQueue, part: Part) -> None:
        """Back to the spool, to wait with its site."""
        mail = part.mail
        mail.busy.difference_update(part.numbers)
        if mail.park(part.numbers):
            self._hand.touch(mail)
        self._backlog.kept(site, part)
        self._hand.release(mail)

    # --- whose turn it is ---------------------------------------------------------------------

    def _now(self) -> float:
        return self._time.now(self._clock.monotonic())

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
                try:
                    self._begin(slot)
                except Exception as error:  # of ours, or of the storage: the site goes on with other mail
                    self._log.event(f"internal error at a delivery to {slot.name}: {error!r}")
                    if slot.open:
                        self._nothing(slot, self._sites.get(slot.name))
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

    def _take_due(self, now: float) -> None:
        while (entry := self._window.wants()) is not None:
            self._window.refill(self._box.due_from(entry))
        while len(self._hand.mails) < 2 * MOST and (queue_id := self._window.due(now)) is not None:
            mail = self._hand.take(queue_id)
            if mail is None:
                continue
            if not mail.held:
                self._place(mail, mail.due(now))
            self._hand.release(mail)

    def _settled(self, mail: RemoteMail) -> None:
        """It is stored; its due time is in the index."""
        due = min((state.due for state in mail.left.values() if state is not None and state.due), default=0.0)
        if due and not mail.held:
            self._window.add(due, mail.envelope.id)

    # --- one delivery -------------------------------------------------------------------------

    def _begin(self, slot: Slot) -> None:
        site = self._sites.get(slot.name)
        site.offered = max(0, site.offered - 1)
        part = self._next(site)
        if part is None:
            self._nothing(slot, site)
            return
        site.under_way += 1
        place = self._ways.place(part.way)
        if place is None:
            self._ways.look_up(part.way, lambda found: self._found(slot, site, part, found))
        else:
            self._deliver(slot, site, part, place)

    def _next(self, site: SiteQueue) -> Part | None:
        """The next part for the site that is still for it."""
        while True:
            part = site.queue.popleft() if site.queue else self._backlog.load(site)
            if part is None:
                return None
            mail = part.mail
            known = mail.envelope.recipients
            if mail.held:
                mail.busy.difference_update(part.numbers)
            elif all(
                self._ways.way(known[number].address, part.way[1]) == part.way for number in part.numbers
            ):
                return part
            else:  # the tables were read again since it was queued
                mail.busy.difference_update(part.numbers)
                self._place(mail, part.numbers)
            self._hand.release(mail)

    def _nothing(self, slot: Slot, site: SiteQueue) -> None:
        now = self._now()
        self._board.ended(slot, Outcome.NOTHING, now)
        self._sites.tell(site, now)
        self._pump_soon()

    def _found(self, slot: Slot, site: SiteQueue, part: Part, found: Place | Unroutable) -> None:
        """The hosts for a part whose turn it is were looked up."""
        if isinstance(found, Place):
            self._deliver(slot, site, part, found)
            return
        outcome = Outcome.UNREACHABLE if found.enhanced.startswith("4") else Outcome.DONE
        self._came_to(slot, site, part, _all(part, found), outcome, str(found), final=False)

    def _deliver(self, slot: Slot, site: SiteQueue, part: Part, place: Place) -> None:
        mail = part.mail
        content = None
        if place.site == site.name and not self._stopping:
            try:
                content = self._content(mail.envelope.id)
            except Exception as error:
                self._log.event(f"{mail.envelope.id} cannot be read: {error!r}")
                unread = Unroutable("4.3.0", "the message cannot be read for now")
                self._came_to(slot, site, part, _all(part, unread), Outcome.NOTHING, "", final=False)
                return
        if content is None:
            site.under_way -= 1
            mail.busy.difference_update(part.numbers)
            if place.site != site.name:
                self._move(site, place.site, part)
            elif not self._stopping:
                self._hand.forget(mail)
            self._nothing(slot, site)
            return

        over = False
        delivery: Cancellable | None = None

        def done(results: Sequence[DeliveryResult], word: SiteOutcome) -> None:
            nonlocal over
            over = True
            if delivery is not None:
                self._under_way.discard(delivery)
            if isinstance(content, FileContent):
                os.close(content.fd)
            outcome = outcome_of(word.stage, word.code, word.enhanced)
            final = all(hop.kind == "lmtp" for hop in part.way[0])
            self._came_to(slot, site, part, results, outcome, word.reason, final=final)

        envelope = without_wishes(mail.envelope) if part.listed else mail.envelope
        delivery = self._transport.deliver(Job(envelope, content, part.numbers, place), done)
        if not over:
            self._under_way.add(delivery)

    def _content(self, queue_id: str) -> Content | None:
        """The message; a copy of a small one, as the spool's memory is another's soon."""
        with self._box.reading(queue_id) as found:
            if found is None:
                return None
            if found.view is not None:
                return bytes(found.view)
            assert found.path is not None
            fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC)
            return FileContent(fd, found.offset, found.length)

    def _move(self, site: SiteQueue, name: str, part: Part) -> None:
        """The hosts of its domain are others by now: it goes to their site, with what waits in the spool."""
        there = self._sites.get(name)
        for domain in part.domains():
            if site.domains.pop(domain, None) is not None:
                there.keep(domain)
                there.judge_at = min(there.judge_at, site.judge_at)
        self._place(part.mail, part.numbers)
        self._sites.tell(there, self._now())
        self._hand.release(part.mail)

    def _came_to(
        self,
        slot: Slot,
        site: SiteQueue,
        part: Part,
        results: Sequence[DeliveryResult],
        outcome: Outcome,
        words: str,
        *,
        final: bool,
    ) -> None:
        """A delivery is over."""
        now = self._now()
        mail = part.mail
        site.under_way -= 1
        mail.busy.difference_update(part.numbers)
        if self._stopping:  # what was cut off stays as it was
            results = [one for one in results if one.status != "deferred"]
        self._board.ended(slot, outcome, now, words)
        site.health = slot.site.health
        stays = outcome.keeps_mail
        self._judge(mail, results, stays=stays, final=final)
        if stays:
            site.offered += 1
            self._stay(site, part, results)
        if site.health == "failing":
            while site.queue:
                self._park(site, site.queue.popleft())
            self._backlog.look_at_ages(site, now)
        self._sites.tell(site, now)
        self._pump()

    def _stay(self, site: SiteQueue, part: Part, results: Sequence[DeliveryResult]) -> None:
        """The site keeps those who were put off."""
        mail = part.mail
        for result in results:
            if result.status == "deferred":
                site.last = result
        left = [number for number in part.numbers if number in mail.left]
        if left and site.health == "failing":
            self._backlog.kept(site, part)
        elif left:
            mail.busy.update(left)
            site.queue.appendleft(Part(mail, left, part.way, part.listed))
            self._hand.mails[mail.envelope.id] = mail

    def _judge(
        self, mail: RemoteMail, results: Sequence[DeliveryResult], *, stays: bool, final: bool
    ) -> None:
        envelope = mail.envelope
        wall = self._clock.now()
        outcomes, changed = judge(
            mail,
            results,
            stays=stays,
            final=final,
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


def shared(settings: PlanSettings, workers: int) -> BoardLimits:
    """One worker's share of the limits, rounded up: each delivers what it has taken in, to whatever site."""
    limits = settings.board_limits(workers)
    site = limits.site
    return BoardLimits(
        connections=limits.connections,
        site=SiteLimits(
            connections=-(-site.connections // workers), per_minute=-(-site.per_minute // workers)
        ),
    )


_TAKEN = ("delivered", "relayed")
_MOST = {"new": MOST_UNTRIED, "working": MOST_OF_ONE, "failing": 0}


def _all(part: Part, failure: Unroutable) -> list[DeliveryResult]:
    """The same result for all of a part."""
    if failure.enhanced.startswith("4"):
        return [
            DeliveryResult(number, "deferred", 0, failure.enhanced, str(failure), "", "x-fastsmtp")
            for number in part.numbers
        ]
    return [
        DeliveryResult(number, "failed", 0, failure.enhanced, str(failure), "", "x-fastsmtp")
        for number in part.numbers
    ]
