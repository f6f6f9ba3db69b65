"""One delivery to a site: its beginning, when the board gives the site its turn, and its end."""

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.backlog import Backlog
from fastsmtp.queue.hand import Hand
from fastsmtp.queue.judging import Judge
from fastsmtp.queue.letters import without_wishes
from fastsmtp.queue.placing import Placer, all_of
from fastsmtp.queue.plan.board import SiteBoard
from fastsmtp.queue.plan.outcome import Outcome, outcome_of
from fastsmtp.queue.plan.room import Slot
from fastsmtp.queue.sites import Part, SiteQueue, Sites
from fastsmtp.queue.suspects import Suspects
from fastsmtp.queue.ways import Ways
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.connection import FileContent
from fastsmtp.transport.smtp.deliver import Done, Job
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.verdict import SiteOutcome


class Cancellable(Protocol):
    """A delivery under way."""

    def cancel(self, reason: str) -> None:
        """See `Delivery.cancel`."""


class Transport(Protocol):
    """`SmtpTransport`, or a test's."""

    def deliver(self, job: Job, done: Done) -> Cancellable:
        """See `SmtpTransport.deliver`."""


class Attempts:
    """``freed`` is called when another may begin, at once or ``soon``, on a later turn of the loop; ``now`` is queue
    time."""

    def __init__(
        self,
        hand: Hand,
        board: SiteBoard,
        sites: Sites,
        ways: Ways,
        transport: Transport,
        *,
        judge: Judge,
        placer: Placer,
        backlog: Backlog,
        suspects: Suspects,
        log: MailLog,
        now: Callable[[], float],
        freed: Callable[[], None],
        soon: Callable[[], None],
    ) -> None:
        self.under_way: set[Cancellable] = set()
        self._hand = hand
        self._board = board
        self._sites = sites
        self._ways = ways
        self._transport = transport
        self._judge = judge
        self._placer = placer
        self._backlog = backlog
        self._suspects = suspects
        self._log = log
        self._now = now
        self._freed = freed
        self._soon = soon
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more; what is cut off from now on stays as it was."""
        self._stopping = True

    def begin(self, slot: Slot) -> None:
        """Use a turn of a site. It ends whatever happens."""
        try:
            self._begin(slot)
        except Exception as error:  # of ours, or of the storage: the site goes on with other mail
            self._log.event(f"internal error at a delivery to {slot.name}: {error!r}")
            if slot.open:
                self._nothing(slot, self._sites.get(slot.name))

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
            part = site.queue.pop(0) if site.queue else self._backlog.load(site)
            if part is None:
                return None
            mail = part.mail
            if mail.held:
                mail.busy.difference_update(part.numbers)
            elif self._placer.still_for(part):
                return part
            else:
                self._placer.place_again(part)
            self._hand.release(mail)

    def _nothing(self, slot: Slot, site: SiteQueue) -> None:
        now = self._now()
        self._board.ended(slot, Outcome.NOTHING, now)
        self._sites.tell(site, now)
        self._soon()

    def _found(self, slot: Slot, site: SiteQueue, part: Part, found: Place | Unroutable) -> None:
        """The hosts for a part whose turn it is were looked up."""
        if isinstance(found, Place):
            self._deliver(slot, site, part, found)
            return
        outcome = Outcome.UNREACHABLE if found.enhanced.startswith("4") else Outcome.DONE
        self._came_to(slot, site, part, all_of(part, found), outcome, str(found))

    def _deliver(self, slot: Slot, site: SiteQueue, part: Part, place: Place) -> None:
        mail = part.mail
        content = None
        if place.site == site.name and not self._stopping:
            self._suspects.begin(mail.envelope.id)
            try:
                content = self._hand.content(mail.envelope.id)
            except Exception as error:
                self._suspects.end(mail.envelope.id)
                self._log.event(f"{mail.envelope.id} cannot be read: {error!r}")
                unread = Unroutable("4.3.0", "the message cannot be read for now")
                self._came_to(slot, site, part, all_of(part, unread), Outcome.NOTHING, "")
                return
        if content is None:
            self._suspects.end(mail.envelope.id)
            site.under_way -= 1
            mail.busy.difference_update(part.numbers)
            if place.site != site.name:
                self._placer.move(site, place.site, part)
            elif not self._stopping:
                self._hand.forget(mail)
            self._nothing(slot, site)
            return

        over = False
        began = self._now()
        delivery: Cancellable | None = None

        def done(results: Sequence[DeliveryResult], word: SiteOutcome) -> None:
            nonlocal over
            over = True
            if delivery is not None:
                self.under_way.discard(delivery)
            self._suspects.end(mail.envelope.id)
            if isinstance(content, FileContent):
                os.close(content.fd)
            outcome = outcome_of(word.stage, word.code, word.enhanced)
            self._came_to(slot, site, part, results, outcome, word.reason, self._now() - began)

        envelope = without_wishes(mail.envelope) if part.listed else mail.envelope
        delivery = self._transport.deliver(Job(envelope, content, part.numbers, place), done)
        if not over:
            self.under_way.add(delivery)

    def _came_to(
        self,
        slot: Slot,
        site: SiteQueue,
        part: Part,
        results: Sequence[DeliveryResult],
        outcome: Outcome,
        words: str,
        took: float = 0.0,
    ) -> None:
        """A delivery is over, or did not come about."""
        now = self._now()
        mail = part.mail
        site.under_way -= 1
        mail.busy.difference_update(part.numbers)
        if self._stopping:  # what was cut off stays as it was
            results = [one for one in results if one.status != "deferred"]
        if outcome is not Outcome.NOTHING:
            self._log.meter.attempt(outcome.name.lower(), now - slot.began_at)
        self._board.ended(slot, outcome, now, words)
        site.health = slot.site.health
        stays = outcome.keeps_mail
        self._judge.judge(mail, results, stays=stays, took=took)
        if stays:
            site.offered += 1
            self._stay(site, part, results)
        if site.health == "failing":
            while site.queue:
                self._placer.park(site, site.queue.pop(0))
            self._backlog.look_at_ages(site, now)
        self._sites.tell(site, now)
        self._freed()

    def _stay(self, site: SiteQueue, part: Part, results: Sequence[DeliveryResult]) -> None:
        """The site keeps those who were put off."""
        mail = part.mail
        for result in results:
            if result.status == "deferred":
                site.last = result
        left = [number for number in part.numbers if number in mail.left]
        if left and site.health == "failing":
            if not mail.hops:
                self._backlog.kept(site, part)
        elif left:
            mail.busy.update(left)
            site.queue.insert(0, Part(mail, left, part.way, part.listed))
            self._hand.mails[mail.envelope.id] = mail
