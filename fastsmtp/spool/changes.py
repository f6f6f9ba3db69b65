"""A change of the spool that somebody wants, and what it may do in the commit it becomes part of."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.journal import Frame
from fastsmtp.spool.tables import BODY, NUMBER, Tables

KEY_BYTES = 8
"""Of a pack's key, and an intent's; a single's is longer."""
ONE, BOTH = b"\x01", b"\x02"
"""Values of ``body``: how many records speak of the file."""


class Changes:
    """What a commit is to change, by table and key; and what it finds there now."""

    __slots__ = ("_frame", "_made", "_tables")

    def __init__(self, frame: Frame, tables: Tables) -> None:
        self._frame = frame
        self._tables = tables
        self._made: dict[tuple[bytes, bytes], bytes | None] = {}

    def put(self, table: bytes, key: bytes, value: bytes, *, new: bool = False) -> None:
        """The value of ``key``; ``new`` when it has none for certain."""
        self._frame.put(NUMBER[table], key, value, new=new)
        self._made[table, key] = value

    def delete(self, table: bytes, key: bytes) -> None:
        """No value."""
        self._frame.delete(NUMBER[table], key)
        self._made[table, key] = None

    def reading(self, table: bytes, key: bytes) -> AbstractContextManager[Any]:
        """See `Tables.reading`: as it was before this commit."""
        return self._tables.reading(table, key)

    def many(self, table: bytes, keys: Sequence[bytes]) -> AbstractContextManager[list[Any]]:
        """See `Tables.many`: as they were before this commit."""
        return self._tables.many(table, keys)

    def current(self, table: bytes, key: bytes) -> bytes | None:
        """The value as it is after the changes made so far, copied."""
        made = (table, key)
        if made in self._made:
            return self._made[made]
        with self._tables.reading(table, key) as value:
            return None if value is None else bytes(value)

    def several(self, table: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """As `current` for many keys."""
        made = self._made
        values = self._tables.several(table, keys)
        return [made.get((table, key), value) for key, value in zip(keys, values, strict=True)]

    def which(self, table: bytes, keys: Sequence[bytes]) -> list[bool]:
        """As `holds` for many keys."""
        made = self._made
        there = self._tables.which(table, keys)
        return [
            made[table, key] is not None if (table, key) in made else one
            for key, one in zip(keys, there, strict=True)
        ]

    def holds(self, table: bytes, key: bytes) -> bool:
        """Whether there is a value after the changes made so far."""
        made = (table, key)
        return self._made[made] is not None if made in self._made else self._tables.has(table, key)

    def release(self, queue_id: str) -> bool:
        """A record with this body file goes; whether it was the last one, so that the file may be removed once
        this is committed."""
        key = queue_id.encode()
        if self.current(BODY, key) == BOTH:
            self.put(BODY, key, ONE)
            return False
        self.delete(BODY, key)
        return True


class Job:
    """A change somebody wants: ``apply`` says what (perhaps more than once), then ``done`` is called on the
    writer's thread. ``size`` is about the bytes it puts."""

    __slots__ = ("apply", "done", "finished", "size", "urgent")

    def __init__(
        self,
        apply: Callable[[Changes], None],
        done: Callable[[SpoolError | None], None],
        *,
        urgent: bool,
        size: int = 0,
    ) -> None:
        self.apply = apply
        self.done = done
        self.finished = False
        self.urgent = urgent
        self.size = size

    def finish(self, error: SpoolError | None) -> None:
        """Tell that it is committed, or never will be."""
        self.finished = True
        self.done(error)
