"""What waits for each site: parts of messages in memory, and domains whose mail is in the spool.

The board (plan/board.py) decides whose turn it is and is told how much waits; this keeps what waits, and tells it.
"""

from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.letters import RemoteMail, domain_of
from fastsmtp.queue.plan.board import SiteBoard
from fastsmtp.queue.plan.site import Health
from fastsmtp.queue.ways import Way

_MOST = 20_000
"""Sites above which those without mail are forgotten."""


class Part:
    """A message for those of its recipients who have one way: ``numbers`` in the envelope. ``listed``: a list's
    owner has taken over for them."""

    __slots__ = ("listed", "mail", "numbers", "way")

    def __init__(self, mail: RemoteMail, numbers: list[int], way: Way, listed: bool) -> None:
        self.mail = mail
        self.numbers = numbers
        self.way = way
        self.listed = listed

    def domains(self) -> set[str]:
        """Those of the recipients."""
        known = self.mail.envelope.recipients
        return {domain_of(known[number].address) for number in self.numbers}


class SiteQueue:
    """One site. ``queue`` is in memory; ``domains`` are those for which mail waits in the spool with this site, each
    with the position up to which it was read; ``stored``: about how many these are. ``health`` is what the last
    attempt has shown, and ``last`` what came of it when it failed. ``judge_at``: before this queue time no waiting
    mail is old enough to be told of."""

    __slots__ = (
        "domains",
        "health",
        "judge_at",
        "judging",
        "last",
        "name",
        "offered",
        "queue",
        "stored",
        "under_way",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: list[Part] = []  # short, and ten thousand are empty: a deque takes 0.6 KB
        self.domains: dict[str, bytes] = {}
        self.stored = 0
        self.offered = 0
        self.under_way = 0
        self.health: Health = "new"
        self.last: DeliveryResult | None = None
        self.judge_at = float("inf")
        self.judging = False

    @property
    def in_use(self) -> bool:
        """Whether it has mail."""
        return bool(self.queue or self.domains or self.under_way or self.judging)

    def keep(self, domain: str, mails: int = 1) -> None:
        """So many more wait in the spool."""
        self.domains[domain] = b""
        self.stored += mails


class Sites:
    """All sites that something waits for, or goes to."""

    def __init__(self, board: SiteBoard) -> None:
        self._board = board
        self._sites: dict[str, SiteQueue] = {}

    def get(self, name: str) -> SiteQueue:
        """The site with this name."""
        site = self._sites.get(name)
        if site is None:
            if len(self._sites) >= _MOST:
                self._sites = {name: one for name, one in self._sites.items() if one.in_use}
            site = self._sites[name] = SiteQueue(name)
        return site

    def next_at(self, site: SiteQueue, now: float) -> float:
        """When something may be begun for it: ``now`` or later."""
        state = self._board.state(site.name, now)
        return now if state is None or state.next_at is None else state.next_at

    def known(self) -> list[SiteQueue]:
        """All of them."""
        return list(self._sites.values())

    def tell(self, site: SiteQueue, now: float, *, suspect: bool = False) -> None:
        """Let the board know how much waits for ``site`` now; forget it when that is nothing."""
        waits = len(site.queue)
        if site.domains:
            waits += max(1, site.stored)
        else:
            site.stored = 0
        more = waits - site.offered
        site.offered = waits
        if more > 0:
            self._board.offer(site.name, more, now, suspect=suspect)
        elif more < 0:
            self._board.withdraw(site.name, -more, now)
        if not site.in_use and site.health != "working":
            self._sites.pop(site.name, None)
