"""Mail that waits in the spool with its site: which sites it waits for, its next pages, and who has waited too long.

It is found by the domains of its recipients. The domain belongs to the site its mail was kept for last; mail in it
that goes elsewhere, as by a route of its own, is led there when it is read.
"""

from collections.abc import Callable, Iterator, Sequence

from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.hand import Box, Hand
from fastsmtp.queue.letters import RemoteMail, domain_of, requiretls
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.sites import Part, SiteQueue, Sites
from fastsmtp.queue.steps import Steps
from fastsmtp.queue.ways import Way, Ways, nowhere
from fastsmtp.transport.smtp.mx import Unroutable
from fastsmtp.transport.smtp.place import Place

PAGE = 50
"""Messages that are read from the spool at once."""
_DOMAINS = 50
_MOST_PAGES = 40
"""Pages that are looked through at once for mail to deliver."""

Placing = Callable[[RemoteMail, Sequence[int], SiteQueue | None], None]
Judging = Callable[[RemoteMail, Sequence[DeliveryResult]], None]


class Backlog:
    """``place`` finds the site of recipients; ``judge`` is told what the failure of their site means for them;
    ``now`` is queue time; ``opened``, that something waits now."""

    def __init__(
        self,
        box: Box,
        hand: Hand,
        sites: Sites,
        ways: Ways,
        schedule: RetrySchedule,
        steps: Steps,
        *,
        place: Placing,
        judge: Judging,
        now: Callable[[], float],
        opened: Callable[[], None],
    ) -> None:
        self._box = box
        self._hand = hand
        self._sites = sites
        self._ways = ways
        self._schedule = schedule
        self._steps = steps
        self._place = place
        self._judge = judge
        self._now = now
        self._opened = opened

    # --- which sites mail waits for -----------------------------------------------------------

    def start(self) -> None:
        """Find the sites of all that waits."""
        self._steps.run(self._all_domains)

    def kept(self, site: SiteQueue, part: Part) -> None:
        """Those of a part who are left wait with the site, in the spool."""
        mail = part.mail
        known = mail.envelope.recipients
        domains = {domain_of(known[number].address) for number in part.numbers if number in mail.left}
        for domain in domains:
            site.keep(domain)
        self._look_at(site, mail)

    def stored(self, mail: RemoteMail) -> None:
        """It is in the spool now, or an operator wants it to be tried: let its sites know of it. What was read while
        it was on its way did not show it."""
        for number, domain in mail.all_with_site():
            way = self._ways.way(mail.envelope.recipients[number].address, requiretls(mail.envelope))
            name = self._ways.site(way) if isinstance(way, tuple) else None
            if name is None:
                self._find_site(mail, number, domain, 1)
                continue
            site = self._sites.get(name)
            if site.domains.get(domain) == b"":
                continue
            if domain in site.domains:
                site.domains[domain] = b""
            else:
                site.keep(domain)
                self._look_at(site, mail)
                self._sites.tell(site, self._now())
                self._opened()

    def _all_domains(self) -> Iterator[None]:
        position: bytes | None = b""
        while position is not None:
            domains, position = self._box.domains(position, _DOMAINS)
            for domain in domains:
                yield from self._domain(domain)
            yield

    def _domain(self, domain: str) -> Iterator[None]:
        """Find the site of the first mail that waits with one; where it is, the others are. What has none by now is
        led where it belongs."""
        for found in self._with_site(domain):
            if found is None:
                yield
                continue
            mail, numbers, page = found
            has_one = self._find_site(mail, numbers[0], domain, page, suspect=True)
            self._hand.release(mail)
            if has_one:
                return

    def _with_site(self, domain: str) -> Iterator[tuple[RemoteMail, list[int], int] | None]:
        """What waits for the domain with its site: the mail, taken in hand and to be released, who of it, and how
        much stands on its page; None after each page."""
        position: bytes | None = b""
        while position is not None:
            ids, position = self._box.of_domain(domain, position, PAGE)
            for queue_id in ids:
                mail = self._hand.take(queue_id)
                if mail is None:
                    continue
                numbers = [] if mail.held else mail.with_site(domain)
                if numbers:
                    yield mail, numbers, len(ids)
                else:
                    self._hand.release(mail)
            yield None

    def _find_site(
        self, mail: RemoteMail, number: int, domain: str, mails: int, *, suspect: bool = False
    ) -> bool:
        """Whether it has one, of which the board is told when it is looked up."""
        way = self._ways.way(mail.envelope.recipients[number].address, requiretls(mail.envelope))
        if not isinstance(way, tuple):
            self._place(mail, mail.with_site(domain), None)
            return False

        def found(place: Place | Unroutable) -> None:
            site = self._sites.get(_site_of(way, place))
            site.keep(domain, mails)
            if suspect:
                site.judge_at = 0.0
            self._sites.tell(site, self._now(), suspect=suspect)
            self._opened()

        self._ways.look_up(way, found)
        return True

    # --- its next pages -----------------------------------------------------------------------

    def load(self, site: SiteQueue) -> Part | None:
        """Mail that waits with ``site``: the next part of it, with others behind it in the site's queue."""
        for _ in range(_MOST_PAGES):
            if not site.domains:
                break
            domain, position = next(iter(site.domains.items()))
            ids, after = self._box.of_domain(domain, position, PAGE)
            if after is None:
                del site.domains[domain]
            else:
                site.domains[domain] = after
            for queue_id in ids:
                mail = self._hand.take(queue_id)
                if mail is None:
                    continue
                numbers = [] if mail.held else mail.with_site(domain)
                if numbers:
                    self._place(mail, numbers, site)
                self._hand.release(mail)
                if site.queue and site.health != "working":
                    site.domains[domain] = b""  # one is enough to see whether it works again
                    break
            if site.queue:
                return site.queue.pop(0)
        return None

    # --- who has waited too long ----------------------------------------------------------------

    def look_at_ages(self, site: SiteQueue, at: float) -> None:
        """``site`` has failed at ``at``: what waits with it and is old is told of, or given up. It costs nothing
        before something can be old enough."""
        if at >= site.judge_at and not site.judging and site.last is not None:
            site.judging = True
            last = site.last
            self._steps.run(lambda: self._ages(site, last, at))

    def _ages(self, site: SiteQueue, last: DeliveryResult, at: float) -> Iterator[None]:
        site.judge_at = float("inf")
        for domain in list(site.domains):
            for found in self._with_site(domain):
                if found is None:
                    yield
                    continue
                mail, numbers, _ = found
                self._age(site, mail, numbers, last, at)
                self._hand.release(mail)
        site.judging = False

    def _age(
        self, site: SiteQueue, mail: RemoteMail, numbers: Sequence[int], last: DeliveryResult, at: float
    ) -> None:
        if self._schedule.fate(mail.queued_at, at, noticed=mail.noticed) != "wait":
            results = [
                DeliveryResult(
                    number, "deferred", last.code, last.enhanced, last.text, last.remote, last.diagnostic
                )
                for number in numbers
            ]
            self._judge(mail, results)
        if mail.left:
            self._look_at(site, mail)

    def _look_at(self, site: SiteQueue, mail: RemoteMail) -> None:
        """When its age is to be looked at next."""
        told_at = None if mail.noticed else self._schedule.delay_notice_at(mail.queued_at)
        at = self._schedule.expires_at(mail.queued_at) if told_at is None else told_at
        site.judge_at = min(site.judge_at, at)


def _site_of(way: Way, place: Place | Unroutable) -> str:
    return place.site if isinstance(place, Place) else nowhere(way)
