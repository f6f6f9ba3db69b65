"""What can be asked of the queue of mail for other hosts, and done to it.

A `QueueDesk` is one shard's queue. There are three kinds: the one in a worker, the one of a shard that no server has
open, and the one behind a worker's socket. Whoever asks cannot tell them apart.

All times are wall clock, in seconds since 1970 UTC. Long work is done in pieces: each call looks at a bounded number
of messages and gives the position where the next call goes on, None after the last one. A position is the desk's own
and means nothing elsewhere.
"""

from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

MOST_IDS = 1000
"""Queue ids in one filter."""

State = Literal["fresh", "deferred", "held"]
"""See `fastsmtp.spool.waiting.State`, which a command need not load."""

Action = Literal["retry", "hold", "release", "reroute", "remove", "bounce"]
"""``retry``: try at once, by the route as it is now; ``hold``: no attempts until ``release``; ``reroute``: to hops of
its own instead of where the routes say, or by the routes again, and at once; ``remove``: gone, and nobody is told;
``bounce``: goes back to its sender now."""

MOST_HOPS = 20
"""Hops that one message may be given."""

MOST_WORDS = 1000
"""Characters of one condition."""

Text = Annotated[str, Meta(max_length=MOST_WORDS)]


class QueueFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which messages are meant: those that satisfy everything that is given, each recipient condition (``recipient``,
    ``domain``, ``code``, ``text``, ``remote``, ``route``) by one and the same of its unfinished recipients.

    ``recipient`` and ``sender`` are globs (``*``, ``?``) without regard to case, the null sender is ``""``;
    ``domain`` is a name, or ``*.name`` for all below it; ``older`` and ``younger`` are ages in seconds; ``code`` is
    the last reply's, or its first one or two digits, ``000`` for no reply; ``text`` stands somewhere in its words;
    ``remote`` is a glob of the host spoken to last, ``route`` one of where it would go now: of the ``match`` of its
    route, or of one of its hops."""

    ids: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MOST_IDS)] | None = None
    recipient: Text | None = None
    domain: Text | None = None
    sender: Text | None = None
    older: float | None = None
    younger: float | None = None
    state: State | None = None
    code: Annotated[str, Meta(pattern="^[0-9]{1,3}$")] | None = None
    text: Text | None = None
    remote: Text | None = None
    route: Text | None = None


class TryRow(Struct, frozen=True, kw_only=True):
    """An attempt that put a recipient off: when it ended, and what was said, as in `RecipientRow`."""

    at: float
    code: int = 0
    enhanced: str = ""
    reply: str = ""
    remote: str = ""


class RecipientRow(Struct, frozen=True, kw_only=True):
    """One recipient that is not final. ``status`` is ``waiting`` before the first result; ``code``, ``enhanced``,
    ``reply`` and ``remote`` are the last attempt's, 0 or empty before one. ``tries`` are all attempts that are kept,
    oldest first, ``left_out`` more there were after the first; in a list there are none of them. ``next_at`` is when
    it is tried next, None where that is not known, ``why`` what it waits for, in words, ``site`` the site where it
    waits, empty where that is not known. ``route`` says where it would go now; in a list it is empty."""

    address: str
    original: str | None = None
    params: dict[str, str] = {}
    status: str = "waiting"
    attempts: int = 0
    last_at: float | None = None
    next_at: float | None = None
    code: int = 0
    enhanced: str = ""
    reply: str = ""
    remote: str = ""
    tries: list[TryRow] = []
    left_out: int = 0
    why: str = ""
    site: str = ""
    route: str = ""


class QueueRow(Struct, frozen=True, kw_only=True):
    """One message in a list. ``queued_at`` is when it came; ``size`` in octets; ``recipients`` are the first
    few of ``waiting``; ``hops`` are those it was given by hand, none: the routes say where it goes."""

    id: str
    state: State
    queued_at: float
    size: int
    sender: str
    recipients: list[RecipientRow]
    waiting: int
    hops: list[str] = []


class Work(Struct, frozen=True, kw_only=True):
    """What answers a filter: ``scan`` when no index does, so that all messages are looked at, ``total`` of them;
    ``looked``: messages looked at by this call."""

    scan: bool = False
    total: int = 0
    looked: int = 0


class QueuePage(Struct, frozen=True, kw_only=True):
    """Some messages, each one once over all pages; there may be none and yet a position to go on from."""

    rows: list[QueueRow]
    position: bytes | None
    work: Work = Work()


class Counted(Struct, frozen=True, kw_only=True):
    """Messages counted by this call."""

    messages: int
    position: bytes | None
    work: Work = Work()


class Change(Struct, frozen=True, kw_only=True):
    """What is to be done to the messages of ``filter``. ``hops`` are those of ``reroute``, in order of preference and
    each as in ``to`` of ``[[routes]]``; none: by the routes again."""

    filter: QueueFilter
    action: Action
    hops: Annotated[tuple[Annotated[str, Meta(max_length=300)], ...], Meta(max_length=MOST_HOPS)] = ()


class Changed(Struct, frozen=True, kw_only=True):
    """Messages changed durably by this call; ``skipped``: those that the action means nothing for, such as the
    release of what is not held, and those that are in delivery at this moment and end otherwise."""

    messages: int
    position: bytes | None
    skipped: int = 0
    work: Work = Work()


class Shown(QueueRow, frozen=True, kw_only=True):
    """All that is known of one message, with all of its ``recipients``. ``head``: its header fields as they are, at
    most `MOST_HEAD` octets."""

    params: dict[str, str]
    client_ip: str
    helo: str
    protocol: str
    head: bytes


MOST_HEAD = 64 << 10
"""Octets of a message's header that are shown."""


class SiteRow(Struct, frozen=True, kw_only=True):
    """One site and how it is doing; see `fastsmtp.queue.plan.site.SiteState`, whose times are queue time."""

    name: str
    health: str
    window: int
    in_flight: int
    waiting: int
    next_at: float | None
    reason: str
    since: float
    attempts: int


class SitePage(Struct, frozen=True, kw_only=True):
    """Some sites, in the order of their names."""

    rows: list[SiteRow]
    position: str | None


class TlsFailure(Struct, frozen=True, kw_only=True):
    """Sessions that failed in one way: ``result`` as RFC 8460 §4.3 names it, ``host`` the MX, empty when it came to
    none."""

    result: str
    host: str
    sessions: int


class TlsRow(Struct, frozen=True, kw_only=True):
    """How TLS went with one domain under one ``policy`` (RFC 8460 §4.4: ``tlsa``, ``sts``, ``no-policy-found``), in
    sessions since the start of the worker."""

    domain: str
    policy: str
    successes: int
    failures: list[TlsFailure]


class TlsPage(Struct, frozen=True, kw_only=True):
    """Some of these, in the order of their domains and policies."""

    rows: list[TlsRow]
    position: str | None


class NotPossible(Exception):
    """The desk cannot do what is asked, such as an attempt where no server runs; one line that says why."""


class QueueDesk(Protocol):
    """One shard's queue. Called on the loop; what takes long does it elsewhere. Each call may raise `NotPossible`."""

    async def find(self, filter: QueueFilter, position: bytes, limit: int) -> QueuePage:
        """Up to ``limit`` messages from ``position`` (``b""`` at first) on; in the order of their ids where the index
        that answers has no other."""

    async def count(self, filter: QueueFilter, position: bytes) -> Counted:
        """How many there are, from ``position`` on, as far as one call goes."""

    async def show(self, queue_id: str) -> Shown | None:
        """One message; None when there is none of that id."""

    async def change(self, change: Change, position: bytes) -> Changed:
        """Do it to some of the messages, from ``position`` on, durably."""

    async def sites(self, position: str, limit: int) -> SitePage:
        """Up to ``limit`` sites whose names come after ``position``."""

    async def tls(self, position: str, limit: int) -> TlsPage:
        """How TLS went, up to ``limit`` rows after ``position``; a worker says it for one of its shards."""
