"""A `RelayBox` in memory; what is settled is committed on a later turn of the loop."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastsmtp.mail.envelope import Envelope
from fastsmtp.queue.letters import domain_of
from fastsmtp.queue.plan.window import Entry
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.relay import Defer, Finish, Mail, Page
from fastsmtp.spool.waiting import Waiting


class FakeRelayBox:
    """``mails`` and ``rows`` are the records and what is known of them; ``settled`` has each change in its order."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self.on_fresh: Callable[[Envelope, int], None] | None = None
        self.on_changed: Callable[[Sequence[str]], None] | None = None
        self.mails: dict[str, tuple[Envelope, bytes | Path]] = {}
        self.rows: dict[str, Waiting] = {}
        self.settled: list[Defer | Finish] = []
        self.loads = 0
        self._soon = soon
        self._settling: list[str] = []

    def commit(self, envelope: Envelope, content: bytes | Path = b"Subject: x\r\n\r\nx\r\n") -> None:
        """A message comes in."""
        self.mails[envelope.id] = (envelope, content)
        if self.on_fresh is not None:
            self.on_fresh(envelope, 100)

    def settle(self, changes: Sequence[Defer | Finish], done: Callable[[SpoolError | None], None]) -> None:
        ids = [change.id for change in changes]
        self._settling += ids

        def commit() -> None:
            for change in changes:
                self._settling.remove(change.id)
                self.settled.append(change)
                if isinstance(change, Finish):
                    self.mails.pop(change.id, None)
                    self.rows.pop(change.id, None)
                elif change.id in self.mails:
                    old = self.rows.get(change.id)
                    row = change.waiting
                    said = row if old is None else old
                    self.rows[change.id] = Waiting(
                        row.queued_at, row.noticed, said.held, row.rcpts, said.hops
                    )
            done(None)

        self._soon(commit)

    @contextmanager
    def reading(self, queue_id: str) -> Iterator[Mail | None]:
        found = self.mails.get(queue_id)
        if found is None:
            yield None
        elif isinstance(found[1], Path):
            yield Mail(found[0], None, found[1], 3, found[1].stat().st_size - 3)
        else:
            yield Mail(found[0], memoryview(found[1]), None, 0, len(found[1]))

    def load(self, queue_id: str) -> tuple[Envelope, Waiting | None] | None:
        self.loads += 1
        found = self.mails.get(queue_id)
        return None if found is None else (found[0], self.rows.get(queue_id))

    def is_held(self, queue_id: str) -> bool:
        row = self.rows.get(queue_id)
        return row is not None and row.held

    def fresh(self, position: bytes, limit: int) -> Page:
        return self._page([one for one in sorted(self.mails) if one not in self.rows], position, limit)

    def due_from(self, entry: Entry) -> Iterator[Entry]:
        entries = sorted((row.due(), queue_id) for queue_id, row in self.rows.items() if row.due())
        return iter([one for one in entries if one >= entry and not self.rows[one[1]].held])

    def domains(self, position: bytes, limit: int) -> Page:
        return self._page(sorted({domain for domain, _ in self._waiting()}), position, limit)

    def of_domain(self, domain: str, position: bytes, limit: int) -> Page:
        ids = [
            queue_id
            for of, queue_id in sorted(self._waiting())
            if of == domain and not self.rows[queue_id].held
        ]
        return self._page(ids, position, limit)

    def _waiting(self) -> set[tuple[str, str]]:
        return {
            (domain_of(self.mails[queue_id][0].recipients[state.number].address), queue_id)
            for queue_id, row in self.rows.items()
            for state in row.rcpts
            if not state.due
        }

    def _page(self, found: list[str], position: bytes, limit: int) -> Page:
        rest = [one for one in found if one >= position.decode()]
        after = rest[limit].encode() if len(rest) > limit else None
        return Page([one for one in rest[:limit] if one not in self._settling], after)
