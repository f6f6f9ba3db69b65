"""What a change of relay mail puts and deletes: its record, what is known of it, and its index rows, in one frame.

Called on the writer's thread, for a commit that is being made.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool.changes import Changes
from fastsmtp.spool.record import Damaged, read_envelope
from fastsmtp.spool.tables import HELD, RELAY, WAIT
from fastsmtp.spool.waiting import (
    RcptState,
    Row,
    Waiting,
    decode_waiting,
    domain_rows,
    encode_waiting,
    flag_rows,
    held_rows,
    index_rows,
)

AT_ONCE = 1.0
"""A due time that has come, however the queue's own time and the clock's lie apart."""


class _Found(NamedTuple):
    """A message that is there. ``envelope``: None when it, or what is known of it, cannot be read; ``row``: None as
    long as it is fresh; ``filed``: its content is a file."""

    id: str
    envelope: Envelope | None
    row: Waiting | None
    filed: bool


def wait(changes: Changes, queue_id: str, waiting: Waiting) -> None:
    """The message waits; nothing happens when it is gone. What an operator has said of it stands."""
    key = queue_id.encode()
    envelope = _envelope(changes, key)
    if envelope is None:
        return
    old = _row(changes, key)
    if old is not None:
        waiting = Waiting(waiting.queued_at, waiting.noticed, old.held, waiting.rcpts, old.hops)
    _change(changes, envelope, old, waiting)


def remove(changes: Changes, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """These messages go, with all that is known of them: those that were there, and those of them whose body file may
    go too."""
    gone: list[str] = []
    files: list[str] = []
    for found in _found(changes, ids):
        key = found.id.encode()
        if found.envelope is not None:
            _change(changes, found.envelope, found.row, None)
        else:  # its index rows stay, and lead to nobody
            changes.delete(WAIT, key)
        changes.delete(RELAY, key)
        gone.append(found.id)
        if found.filed and changes.release(found.id):
            files.append(found.id)
    return gone, files


def hold(changes: Changes, ids: Sequence[str], *, held: bool) -> list[str]:
    """Those of these that wait are held, or no longer: the ids of those that were not so before. Nothing that is
    fresh is among them, see `start_waiting`."""
    keys = [queue_id.encode() for queue_id in ids]
    changed = []
    rows = zip(ids, keys, changes.which(HELD, keys), changes.several(WAIT, keys), strict=True)
    for queue_id, key, was, value in rows:
        if value is None or was == held:
            continue
        try:
            row, other = held_rows(key, decode_waiting(value, held=held))
        except Damaged:
            continue  # whoever reads it sets it aside
        if held:
            changes.put(*row, b"", new=True)
            if other is not None:
                changes.delete(*other)
        else:
            changes.delete(*row)
            if other is not None:
                changes.put(*other, b"", new=True)
        changed.append(queue_id)
    return changed


def try_now(changes: Changes, ids: Sequence[str], hops: tuple[str, ...] | None) -> list[str]:
    """Those of these that wait are due; ``hops`` other than None: by these, held or not. The ids of those that this
    changes."""
    changed = []
    for found in _found(changes, ids):
        envelope, old = found.envelope, found.row
        if envelope is None or old is None or (old.held if hops is None else not (hops or old.hops)):
            continue
        rcpts = [rcpt.moved(AT_ONCE) for rcpt in old.rcpts]
        row = Waiting(old.queued_at, old.noticed, False, rcpts, old.hops if hops is None else hops)
        domains = domain_rows(envelope, row)
        _change_rows(changes, flag_rows(envelope, old, domains), flag_rows(envelope, row, domains))
        changes.put(WAIT, found.id.encode(), encode_waiting(row))
        changed.append(found.id)
    return changed


def start_waiting(
    changes: Changes, queue_id: str, *, held: bool, due: float = 0.0, hops: tuple[str, ...] = ()
) -> bool:
    """A message that is fresh waits, by an operator's wish; false when it is fresh no longer."""
    key = queue_id.encode()
    if changes.holds(WAIT, key):
        return False
    envelope = _envelope(changes, key)
    if envelope is None:
        return False
    rcpts = [RcptState(number, due) for number in range(len(envelope.recipients))]
    _change(changes, envelope, None, Waiting(envelope.received_at, False, held, rcpts, hops))
    return True


def _change(changes: Changes, envelope: Envelope, old: Waiting | None, row: Waiting | None) -> None:
    """Replace what is known of a message, and the index rows with it."""
    key = envelope.id.encode()
    _change_rows(changes, index_rows(envelope, old), index_rows(envelope, row))
    if row is not None:
        changes.put(WAIT, key, encode_waiting(row), new=old is None)
    elif old is not None:
        changes.delete(WAIT, key)


def _change_rows(changes: Changes, before: dict[Row, bytes], after: dict[Row, bytes]) -> None:
    for at in before.keys() - after.keys():
        changes.delete(*at)
    for at, value in after.items():
        if before.get(at) != value:
            changes.put(*at, value, new=at not in before)


def _found(changes: Changes, ids: Sequence[str]) -> list[_Found]:
    """Those of these that are there: what is known of each, read table by table, which is half the work."""
    ids = list(dict.fromkeys(ids))
    keys = [queue_id.encode() for queue_id in ids]
    found = []
    rows = zip(
        ids, changes.which(RELAY, keys), changes.which(HELD, keys), changes.several(WAIT, keys), strict=True
    )
    with changes.many(RELAY, keys) as values:
        for (queue_id, there, held, value), record in zip(rows, values, strict=True):
            if not there:
                continue
            envelope: Envelope | None = None
            row, filed = None, False
            try:
                envelope, _, filed = read_envelope(record)
                row = None if value is None else decode_waiting(value, held=held)
            except Damaged:  # whoever reads it sets it aside
                envelope = None
            found.append(_Found(queue_id, envelope, row, filed))
    return found


def _envelope(changes: Changes, key: bytes) -> Envelope | None:
    if not changes.holds(RELAY, key):
        return None
    with changes.reading(RELAY, key) as value:
        try:
            return read_envelope(value)[0]
        except Damaged:
            return None  # whoever reads it sets it aside


def _row(changes: Changes, key: bytes) -> Waiting | None:
    value: Any = changes.current(WAIT, key)
    return None if value is None else decode_waiting(value, held=changes.holds(HELD, key))
