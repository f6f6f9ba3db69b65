"""Where recipients go: each into the queue of his site, or back to the spool, to wait with it."""

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from fastsmtp.bounce.decide import member_of_list
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.fresh import MOST
from fastsmtp.queue.hand import Hand
from fastsmtp.queue.home import Home
from fastsmtp.queue.judging import Judge
from fastsmtp.queue.letters import RemoteMail, refused, requiretls
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.sites import Part, SiteQueue, Sites
from fastsmtp.queue.ways import Way, Ways, nowhere
from fastsmtp.routing.route import LocalRoute
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place

MOST_OF_ONE = MOST // 2
"""Parts in memory of one site that works ..."""
MOST_UNTRIED = 500
"""... and of one that was not tried yet."""

_MOST = {"new": MOST_UNTRIED, "working": MOST_OF_ONE, "failing": 0}
_MOST_GIVEN = {**_MOST, "failing": MOST_UNTRIED}
"""The same for mail that an operator gave hops: it has nowhere else to wait for its site."""


class Placer:
    """``kept`` is told of what waits with its site in the spool; ``opened``, that something waits now; ``now`` is
    queue time. ``log`` hears where a recipient goes, the first time and whenever that changes."""

    def __init__(
        self,
        hand: Hand,
        sites: Sites,
        ways: Ways,
        judge: Judge,
        home: Home,
        schedule: RetrySchedule,
        log: MailLog,
        *,
        kept: Callable[[SiteQueue, Part], None],
        now: Callable[[], float],
        opened: Callable[[], None],
    ) -> None:
        self._hand = hand
        self._sites = sites
        self._ways = ways
        self._judge = judge
        self._home = home
        self._schedule = schedule
        self._log = log
        self._kept = kept
        self._now = now
        self._opened = opened
        self._unplaced: dict[Way, list[Part]] = {}

    def place(
        self,
        mail: RemoteMail,
        numbers: Sequence[int],
        loading: SiteQueue | None = None,
        *,
        anew: bool = False,
    ) -> None:
        """Each of these recipients into the queue of his site; ``loading``: the site it was read for; ``anew``: he
        may go elsewhere than he was said to."""
        envelope = mail.envelope
        known = envelope.recipients
        encrypted = requiretls(envelope)
        here: dict[int, LocalRoute] = {}
        groups: dict[tuple[Way, bool], list[int]] = {}
        for number in numbers:
            recipient = known[number]
            way = self._ways.way(recipient.address, encrypted, mail.hops)
            if isinstance(way, tuple):
                groups.setdefault((way, member_of_list(recipient)), []).append(number)
            elif isinstance(way, LocalRoute):
                here[number] = way
            else:
                self._judge.judge(mail, [refused(number, way)])
        if here:
            self._home.bring(mail, here)
        for (way, listed), those in groups.items():
            mail.busy.update(those)
            part = Part(mail, those, way, listed)
            site = self._ways.site(way)
            if anew or not mail.stored:
                addresses = [known[number].address for number in those]
                route, hops = self._ways.told(addresses[0], mail.hops)
                self._log.routed(envelope.id, to=addresses, route=route, hops=hops, site=site or "")
            if site is not None:
                self._queue(self._sites.get(site), part, loading)
                continue
            waiting = self._unplaced.get(way)
            if waiting is not None:
                waiting.append(part)
                continue
            self._unplaced[way] = [part]
            self._look_up(way)

    def still_for(self, part: Part) -> bool:
        """Whether its recipients go the same way as when it was queued: the tables may have been read again, or an
        operator may have given it other hops."""
        mail = part.mail
        known = mail.envelope.recipients
        return all(
            self._ways.way(known[number].address, part.way[1], mail.hops) == part.way
            for number in part.numbers
        )

    def place_again(self, part: Part) -> None:
        """Find the way of a part anew."""
        part.mail.busy.difference_update(part.numbers)
        self.place(part.mail, part.numbers, anew=True)

    def withdraw(self, mails: Collection[RemoteMail]) -> list[Part]:
        """Their parts, out of the queues of their sites; what is under way is not among them."""
        withdrawn: list[Part] = []
        for site in self._sites.known():
            parts = [part for part in site.queue if part.mail in mails]
            if parts:
                site.queue = [part for part in site.queue if part.mail not in mails]
                for part in parts:
                    part.mail.busy.difference_update(part.numbers)
                self._sites.tell(site, self._now())
                withdrawn += parts
        return withdrawn

    def recall(self, mails: Collection[RemoteMail]) -> None:
        """These go elsewhere now: out of the queues of their sites."""
        for part in self.withdraw(mails):
            self.place(part.mail, part.numbers, anew=True)

    def move(self, site: SiteQueue, name: str, part: Part) -> None:
        """The hosts of its domain are others by now: it goes to their site, with what waits in the spool."""
        there = self._sites.get(name)
        for domain in part.domains():
            if site.domains.pop(domain, None) is not None:
                there.keep(domain)
                there.judge_at = min(there.judge_at, site.judge_at)
        self.place(part.mail, part.numbers)
        self._sites.tell(there, self._now())
        self._hand.release(part.mail)

    def park(self, site: SiteQueue, part: Part) -> None:
        """Back to the spool, to wait with its site."""
        mail = part.mail
        mail.busy.difference_update(part.numbers)
        if mail.hops:
            self._wait_alone(site, part)
            return
        if mail.park(part.numbers):
            self._hand.touch(mail)
        self._kept(site, part)
        self._hand.release(mail)

    def _wait_alone(self, site: SiteQueue, part: Part) -> None:
        """Back to the spool with a due time of its own, when its site is tried next: where an operator gave it hops,
        it is not found by its domain. Its age is judged by the attempts of its site all the same."""
        mail, now = part.mail, self._now()
        old = self._schedule.fate(mail.queued_at, now, noticed=mail.noticed) != "wait"
        if old and site.health == "failing" and site.last is not None:
            self._judge.judge(mail, [replace(site.last, recipient=number) for number in part.numbers])
            return
        mail.put_off(part.numbers, max(self._sites.next_at(site, now), now + self._schedule.pauses[0]))
        self._hand.touch(mail)

    def _look_up(self, way: Way) -> None:
        self._ways.look_up(way, lambda found: self._placed(way, found))

    def _placed(self, way: Way, found: Place | Unroutable) -> None:
        """The hosts of a way are known, or that there are none."""
        parts = self._unplaced.pop(way, [])
        if isinstance(found, Place):
            for part in parts:
                if self.still_for(part):
                    self._queue(self._sites.get(found.site), part)
                else:
                    self.place_again(part)
        elif found.enhanced.startswith("5"):
            for part in parts:
                self._judge.judge(part.mail, all_of(part, found))
        else:
            site = self._sites.get(nowhere(way))
            for part in parts:
                self._queue(site, part, suspect=True)
        self._opened()

    def _queue(
        self, site: SiteQueue, part: Part, loading: SiteQueue | None = None, *, suspect: bool = False
    ) -> None:
        if loading is site:
            site.stored = max(0, site.stored - 1)
        elif len(site.queue) >= (_MOST_GIVEN if part.mail.hops else _MOST)[site.health]:
            self.park(site, part)
            self._sites.tell(site, self._now())
            return
        site.queue.append(part)
        self._sites.tell(site, self._now(), suspect=suspect)
        self._opened()


def all_of(part: Part, failure: Unroutable) -> list[DeliveryResult]:
    """The same result for all of a part."""
    return [
        DeliveryResult(
            number,
            "deferred" if failure.enhanced.startswith("4") else "failed",
            0,
            failure.enhanced,
            str(failure),
            "",
            "x-fastsmtp",
        )
        for number in part.numbers
    ]
