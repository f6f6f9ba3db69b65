"""A queue in a list: what the real desks are compared with, and what the commands are tried on."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from fastsmtp.control.queue import (
    Change,
    Changed,
    Counted,
    NotPossible,
    QueueFilter,
    QueuePage,
    QueueRow,
    RecipientRow,
    Shown,
    SitePage,
    SiteRow,
    TlsPage,
    TlsRow,
    TryRow,
    Work,
)

NOW = 1_700_000_000.0
TRIES = [
    TryRow(at=NOW - 90, code=0, enhanced="4.4.1", reply="connect to mx.far.test: refused"),
    TryRow(at=NOW - 30, code=450, enhanced="4.2.0", reply="mailbox busy", remote="mx.far.test[192.0.2.1]:25"),
]


def row(number: int, *, shard: int = 0, address: str = "bob@far.test", **given: object) -> QueueRow:
    """A message whose id has ``number`` and ``shard`` in it, and which came ``number`` minutes before `NOW`."""
    fields: dict[str, object] = {
        "id": f"Q{number:09d}{shard:03d}",
        "state": "deferred",
        "queued_at": NOW - 60 * number,
        "size": 4096,
        "sender": "alice@example.org",
        "waiting": 1,
        "recipients": [
            RecipientRow(
                address=address,
                status="deferred",
                attempts=2,
                last_at=NOW - 30,
                next_at=NOW + 90,
                code=450,
                enhanced="4.2.0",
                reply="mailbox busy",
                remote="mx.far.test[192.0.2.1]:25",
            )
        ],
    }
    return QueueRow(**{**fields, **given})  # type: ignore[arg-type]


def matches(filter: QueueFilter, one: QueueRow, now: float = NOW) -> bool:
    """Whether a message satisfies the filter, in the plainest way."""
    age = now - one.queued_at
    return (
        (filter.ids is None or one.id in filter.ids)
        and (filter.sender is None or fnmatchcase(one.sender.lower(), filter.sender.lower()))
        and (filter.older is None or age > filter.older)
        and (filter.younger is None or age < filter.younger)
        and (filter.state is None or one.state == filter.state)
        and any(_recipient(filter, each) for each in one.recipients)
    )


def _recipient(filter: QueueFilter, one: RecipientRow) -> bool:
    address = one.address.lower()
    domain = address.rpartition("@")[2]
    wanted = filter.domain
    return (
        (filter.recipient is None or fnmatchcase(address, filter.recipient.lower()))
        and (wanted is None or (domain.endswith(wanted[1:]) if wanted.startswith("*.") else domain == wanted))
        and (filter.code is None or f"{one.code:03d}".startswith(filter.code))
        and (filter.text is None or filter.text.lower() in one.reply.lower())
        and (filter.remote is None or fnmatchcase(one.remote, filter.remote))
        and (filter.route is None or fnmatchcase(domain, filter.route))
    )


class FakeRoutes:
    """The route of a domain has its name, and leads to port 25 of the host that is called like it."""

    def words(self, address: str, hops: Sequence[str]) -> Sequence[str]:
        """See `Routes.words`."""
        domain = address.rpartition("@")[2]
        return hops or (domain, f"{domain}:25")

    def told(self, address: str, hops: Sequence[str]) -> str:
        """See `Routes.told`."""
        return ", then ".join(hops or self.words(address, ())[1:])

    def check(self, hops: Sequence[str]) -> None:
        """See `Routes.check`."""
        if "nowhere" in hops:
            raise ValueError("to: nowhere is no host")


class FakeDesk:
    """``piece`` messages are looked at by one call. ``asked`` lists the calls."""

    def __init__(
        self,
        rows: list[QueueRow],
        *,
        sites: list[SiteRow] | None = None,
        tls: list[TlsRow] | None = None,
        piece: int = 10,
    ) -> None:
        self.rows = {one.id: one for one in rows}
        self.asked: list[str] = []
        self.changes: list[Change] = []
        self.impossible = ""
        self._sites = sites or []
        self._tls = {f"{one.domain} {one.policy}": one for one in tls or []}
        self._piece = piece

    async def find(self, filter: QueueFilter, position: bytes, limit: int) -> QueuePage:
        """See `QueueDesk.find`."""
        self.asked.append("find")
        found, following, work = self._look(filter, position, limit)
        return QueuePage(rows=found, position=following, work=work)

    async def count(self, filter: QueueFilter, position: bytes) -> Counted:
        """See `QueueDesk.count`."""
        self.asked.append("count")
        found, following, work = self._look(filter, position, self._piece)
        return Counted(messages=len(found), position=following, work=work)

    async def show(self, queue_id: str) -> Shown | None:
        """See `QueueDesk.show`."""
        one = self.rows.get(queue_id)
        if one is None:
            return None
        return Shown(
            id=one.id,
            state=one.state,
            queued_at=one.queued_at,
            size=one.size,
            sender=one.sender,
            params={"RET": "HDRS"},
            client_ip="192.0.2.7",
            helo="client.test",
            protocol="ESMTP",
            recipients=[replace(each, tries=TRIES, route="far.test:25") for each in one.recipients],
            waiting=one.waiting,
            hops=one.hops,
            head=b"Subject: h\xc3\xa9\r\n\tfolded\r\nX-Bad: \x1b[2J\r\n",
        )

    async def change(self, change: Change, position: bytes) -> Changed:
        """See `QueueDesk.change`."""
        if self.impossible:
            raise NotPossible(self.impossible)
        self.asked.append("change")
        self.changes.append(change)
        found, following, work = self._look(change.filter, position, self._piece)
        done = 0
        for one in found:
            if change.action == "hold" and one.state != "held":
                self.rows[one.id] = replace(one, state="held")
            elif change.action == "release" and one.state == "held":
                self.rows[one.id] = replace(one, state="deferred")
            elif change.action == "reroute" and (change.hops or one.hops):
                self.rows[one.id] = replace(one, hops=list(change.hops))
            elif change.action in ("remove", "bounce"):
                del self.rows[one.id]
            elif change.action != "retry":
                continue
            done += 1
        return Changed(messages=done, skipped=len(found) - done, position=following, work=work)

    async def sites(self, position: str, limit: int) -> SitePage:
        """See `QueueDesk.sites`."""
        later = [one for one in sorted(self._sites, key=lambda one: one.name) if one.name > position]
        more = len(later) > limit
        return SitePage(rows=later[:limit], position=later[limit - 1].name if more else None)

    async def tls(self, position: str, limit: int) -> TlsPage:
        """See `QueueDesk.tls`."""
        later = sorted(key for key in self._tls if key > position)
        more = len(later) > limit
        return TlsPage(
            rows=[self._tls[key] for key in later[:limit]], position=later[limit - 1] if more else None
        )

    def _look(
        self, filter: QueueFilter, position: bytes, limit: int
    ) -> tuple[list[QueueRow], bytes | None, Work]:
        ids = sorted(one for one in self.rows if one.encode() >= position)
        looked = ids[: self._piece]
        found = [self.rows[one] for one in looked if matches(filter, self.rows[one])]
        following = ids[self._piece].encode() if len(ids) > self._piece else None
        if len(found) > limit:
            following = found[limit].id.encode()
            found = found[:limit]
        return (
            found,
            following,
            Work(
                scan=filter.text is not None or filter.route is not None,
                total=len(self.rows),
                looked=len(looked),
            ),
        )
