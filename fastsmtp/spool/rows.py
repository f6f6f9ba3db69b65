"""What a change of relay mail puts and deletes: its record, what is known of it, and its index rows, in one frame.

Called on the writer's thread, for a commit that is being made.
"""

from collections.abc import Sequence
from typing import Any

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


def remove(changes: Changes, queue_id: str) -> tuple[bool, bool]:
    """The message goes, with all that is known of it: whether it was there, and whether its body file may go too."""
    key = queue_id.encode()
    if not changes.holds(RELAY, key):
        return False, False
    row = _row(changes, key)
    filed = False
    with changes.reading(RELAY, key) as value:
        try:
            envelope, _, filed = read_envelope(value)
            _change(changes, envelope, row, None)
        except Damaged:  # its index rows stay, and lead to nobody
            changes.delete(WAIT, key)
    changes.delete(RELAY, key)
    return True, filed and changes.release(queue_id)


def hold(changes: Changes, ids: Sequence[str], *, held: bool) -> list[str]:
    """Those of these that wait are held, or no longer: the ids of those that were not so before. Nothing that is
    fresh is among them, see `start_waiting`."""
    keys = [queue_id.encode() for queue_id in ids]
    changed = []
    rows = zip(ids, keys, changes.which(HELD, keys), changes.several(WAIT, keys), strict=True)
    for queue_id, key, was, value in rows:
        if value is None or was == held:
            continue
        row, other = held_rows(key, decode_waiting(value, held=held))
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


def try_now(changes: Changes, queue_id: str, hops: tuple[str, ...] | None) -> bool:
    """A message that waits is due; ``hops`` other than None: by these, held or not. Whether that changes it."""
    key = queue_id.encode()
    old = _row(changes, key)
    if old is None or (old.held if hops is None else not (hops or old.hops)):
        return False
    envelope = _envelope(changes, key)
    if envelope is None:
        return False
    rcpts = [rcpt.moved(AT_ONCE) for rcpt in old.rcpts]
    row = Waiting(old.queued_at, old.noticed, False, rcpts, old.hops if hops is None else hops)
    domains = domain_rows(envelope, row)
    _change_rows(changes, flag_rows(envelope, old, domains), flag_rows(envelope, row, domains))
    changes.put(WAIT, key, encode_waiting(row))
    return True


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
