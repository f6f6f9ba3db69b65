"""A spool in memory that stores when the test says so, and fails as the test wants."""

from collections.abc import Callable

from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool.base import BodyFile, Done, SpoolError


class MemoryBody:
    """A large body; `write` gives False while more than ``spool.room`` bytes came since the last `drain`."""

    def __init__(self, spool: "MemorySpool", queue_id: str, prefix: bytes) -> None:
        self.on_drain: Callable[[], None] | None = None
        self.queue_id = queue_id
        self.data = bytearray(prefix)
        self.aborted = False
        self._spool = spool
        self._waiting = 0

    def write(self, piece: bytes) -> bool:
        assert not self.aborted
        self.data += piece
        self._waiting += len(piece)
        return self._waiting <= self._spool.room

    def drain(self) -> None:
        """What waited is written."""
        self._waiting = 0
        if self.on_drain is not None:
            self.on_drain()

    def abort(self) -> None:
        assert not self.aborted
        self.aborted = True


class MemorySpool:
    """What `submit` takes waits in ``waiting`` until `commit`; with ``instant`` it is committed at once, by
    way of ``post`` (as a loop's ``call_soon``), since ``done`` is never called from within `submit`."""

    def __init__(self, post: Callable[[Callable[[], None]], object] | None = None) -> None:
        self.inline_limit = 4096
        self.room = 1 << 20
        self.trouble: SpoolError | None = None
        self.stored: list[tuple[Envelope, bytes]] = []
        self.waiting: list[tuple[Envelope, bytes, Done]] = []
        self.files: list[MemoryBody] = []
        self._ids = 0
        self._post = post

    def new_id(self) -> str:
        self._ids += 1
        return f"ID{self._ids:08}"

    def unhealthy(self) -> SpoolError | None:
        return self.trouble

    def open_body(self, queue_id: str, prefix: bytes) -> MemoryBody:
        self.files.append(MemoryBody(self, queue_id, prefix))
        return self.files[-1]

    def submit(
        self, envelope: Envelope, prefix: bytes, body: bytes | bytearray | BodyFile, done: Done
    ) -> None:
        if isinstance(body, MemoryBody):
            assert not body.aborted
            assert body.queue_id == envelope.id
            whole = bytes(body.data)
        else:
            assert isinstance(body, (bytes, bytearray))
            whole = prefix + bytes(body)
        self.waiting.append((envelope, whole, done))
        if self._post is not None:
            self._post(self.commit)

    def commit(self, error: SpoolError | None = None) -> None:
        """Everything that waits is on stable storage, or nothing is, for the reason ``error``."""
        waiting, self.waiting = self.waiting, []
        for envelope, whole, done in waiting:
            if error is None:
                self.stored.append((envelope, whole))
            done(error)
