"""What is known of relay mail that waits, and the rows of the index tables that follow from it.

`index_rows` is the one place that says which rows a message has: they are put, changed and deleted in the frame
that changes its row in ``wait``, by comparing what it had with what it shall have.

All keys end in a NUL and the queue id. Only the start of an address that is too long for a key stands in it, so a
row says where to look, never that a message fits.
"""

from typing import Any, Literal

import msgspec

from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.ids import LENGTH
from fastsmtp.spool.record import UNREADABLE, Damaged
from fastsmtp.spool.tables import BY_CODE, BY_DOMAIN, BY_DUE, BY_FROM, BY_RCPT, BY_SENDER, HELD

LONGEST_KEY = 500
"""Bytes; LMDB takes 511."""
ID_BYTES = LENGTH + 1
"""What ends a key: a NUL and the queue id."""

SEVERAL, OWN_DUE = 1, 2
"""A row's value is empty, or one byte with these flags. Its message waits for more than one recipient, so that it may
have more than one row in a range; and, in ``by-domain`` only: its recipient has a due time of its own."""
_SEVERAL = bytes((SEVERAL,))
_WAITING, _RCPT = 4096, 192
"""About the bytes of what waits in a frame: of a message with its sender and hops; of each recipient beside his
address."""


class Try(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An attempt that put a recipient off: when it ended (seconds since 1970 UTC), and what it came to, as a
    `DeliveryResult` says it (mail/result.py)."""

    at: float
    code: int = 0
    enhanced: str = ""
    text: str = ""
    remote: str = ""


_NO_TRY = Try(0.0)


def most_tries(recipients: int) -> int:
    """How many attempts are kept for each recipient of a message that has so many: a row must stay one that a
    commit takes easily. 41 are more than the default pauses make before mail expires."""
    return max(2, min(41, 2000 // max(1, recipients)))


class RcptState(msgspec.Struct, array_like=True, gc=False):
    """A recipient that is not final yet: ``number`` in the relay record's envelope.

    ``due``: when the next attempt may begin, 0: when its site takes mail again. ``tries``: the attempts that reached
    a site, the first and the last ones; ``left_out``: how many there were between these.
    """

    number: int
    due: float = 0.0
    tries: tuple[Try, ...] = ()
    left_out: int = 0

    @property
    def attempts(self) -> int:
        """How many there were."""
        return len(self.tries) + self.left_out

    @property
    def last(self) -> Try:
        """The last attempt; before the first one, one at 0 with nothing said."""
        return self.tries[-1] if self.tries else _NO_TRY

    @property
    def last_at(self) -> float:
        """When the last attempt ended, 0 before the first."""
        return self.last.at

    @property
    def code(self) -> int:
        """Of the last reply, 0 without one."""
        return self.tries[-1].code if self.tries else 0

    @property
    def enhanced(self) -> str:
        """The last attempt's enhanced status, "" before the first."""
        return self.last.enhanced

    @property
    def text(self) -> str:
        """What the last attempt came to, in words."""
        return self.last.text

    @property
    def remote(self) -> str:
        """Whom the last attempt spoke to."""
        return self.last.remote

    def tried(self, attempt: Try, due: float, most: int) -> "RcptState":
        """The same after one more attempt, of which ``most`` are kept: the first one, and the last ones."""
        tries, left_out = (*self.tries, attempt), self.left_out
        if len(tries) > most:
            left_out += len(tries) - most
            tries = (tries[0], *tries[1 - most :])
        return RcptState(self.number, due, tries, left_out)

    def brief(self) -> "RcptState":
        """The same with nothing of its attempts but the last one's code and status."""
        last = self.last
        tries = (Try(last.at, last.code, last.enhanced),) if self.tries else ()
        return RcptState(self.number, self.due, tries, self.attempts - len(tries))

    def moved(self, due: float) -> "RcptState":
        """The same with another due time."""
        return RcptState(self.number, due, self.tries, self.left_out)


class Waiting(msgspec.Struct, gc=False):
    """What is known of mail that waits: ``queued_at`` in seconds since 1970 UTC; ``noticed``, the sender was told of
    the delay; ``held``, an operator wants it left alone; ``rcpts``, those that are not final, at least one; ``hops``,
    where an operator wants it sent instead of where the routes say, each as in ``to`` of ``[[routes]]``, () without.

    ``held`` is a row of its own, all else is the value in ``wait``: so holding much mail writes little."""

    queued_at: float
    noticed: bool
    held: bool
    rcpts: list[RcptState]
    hops: tuple[str, ...] = ()

    def due(self) -> float:
        """The first due time of a recipient that has one of its own, 0 without."""
        return min((rcpt.due for rcpt in self.rcpts if rcpt.due), default=0.0)


State = Literal["fresh", "deferred", "held"]
"""``fresh``: on its first attempt, or before it; ``deferred``: waits for another; ``held``: waits for somebody."""


def state_of(waiting: Waiting | None) -> State:
    """Of a message of which that is known; nothing is known of one that is fresh."""
    return "fresh" if waiting is None else "held" if waiting.held else "deferred"


class _Stored(msgspec.Struct, array_like=True, gc=False):
    queued_at: float
    noticed: bool
    rcpts: list[RcptState]
    hops: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def encode_waiting(waiting: Waiting) -> bytes:
    """Its value in ``wait``."""
    return _encode(_Stored(waiting.queued_at, waiting.noticed, waiting.rcpts, waiting.hops))


def decode_waiting(value: Any, *, held: bool) -> Waiting:
    """From its value in ``wait``, and whether there is a row in ``held``. Raises `Damaged`."""
    try:
        row = _decode(value)
    except UNREADABLE as error:
        raise Damaged(
            0, len(value), f"what is known of a message that waits cannot be read: {error}"
        ) from None
    return Waiting(row.queued_at, row.noticed, held, row.rcpts, row.hops)


def brief_size(envelope: Envelope) -> int:
    """About the bytes, and no fewer, that a frame needs for a message that waits for all of ``envelope``, with its
    rows and with each recipient `RcptState.brief`."""
    size = _WAITING
    for recipient in envelope.recipients:
        size += _RCPT + 2 * len(address_key(recipient.address))
    return size


Row = tuple[bytes, bytes]
"""An index table, and a key."""


def address_key(address: str) -> bytes:
    """``address`` as it stands in ``by-rcpt`` and ``by-from``: lower case, cut where a key ends."""
    return address.lower().encode("utf-8", "surrogateescape")[: LONGEST_KEY - ID_BYTES]


def domain_start(domain: str) -> bytes:
    """``domain`` as it stands in ``by-domain`` and ``by-sender``: lower case, the last label first."""
    return ".".join(reversed(domain.lower().split("."))).encode("utf-8", "surrogateescape")


def domain_key(address: str) -> bytes:
    """``address`` as it stands in ``by-domain`` and ``by-sender``: its domain, a NUL, the local part."""
    local, _, domain = address.rpartition("@")
    local_bytes = local.lower().encode("utf-8", "surrogateescape")
    return (domain_start(domain) + b"\0" + local_bytes)[: LONGEST_KEY - ID_BYTES]


def domain_of(key: bytes) -> str:
    """The domain of a key of ``by-domain``."""
    labels = key[:-ID_BYTES].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return ".".join(reversed(labels.split(".")))


def due_key(due: float) -> bytes:
    """A time as it stands in ``by-due``."""
    return max(0, round(due * 1000)).to_bytes(8, "big")


def due_of(key: bytes) -> float:
    """The time of a key of ``by-due``."""
    return int.from_bytes(key[:8], "big") / 1000


def id_of(key: bytes) -> str:
    """The queue id of a key."""
    return key[-LENGTH:].decode("ascii")


def index_rows(envelope: Envelope, waiting: Waiting | None) -> dict[Row, bytes]:
    """The rows of a message, with their values; none without ``waiting``."""
    if waiting is None:
        return {}
    rows = flag_rows(envelope, waiting, domain_rows(envelope, waiting))
    end = b"\0" + envelope.id.encode()
    several = _SEVERAL if len(waiting.rcpts) > 1 else b""
    rows[BY_SENDER, domain_key(envelope.sender) + end] = several
    rows[BY_FROM, address_key(envelope.sender) + end] = several
    for rcpt in waiting.rcpts:
        rows[BY_RCPT, address_key(envelope.recipients[rcpt.number].address) + end] = several
        rows[BY_CODE, b"%03d" % rcpt.code + end] = several
    return rows


def domain_rows(envelope: Envelope, waiting: Waiting) -> list[Row]:
    """The rows of ``by-domain``, by recipient."""
    end = b"\0" + envelope.id.encode()
    recipients = envelope.recipients
    return [(BY_DOMAIN, domain_key(recipients[rcpt.number].address) + end) for rcpt in waiting.rcpts]


def flag_rows(envelope: Envelope, waiting: Waiting, domains: list[Row]) -> dict[Row, bytes]:
    """Those of `index_rows` that change with ``held`` and due times; ``domains`` are `domain_rows`. Of these,
    ``held`` changes no more than `held_rows` says."""
    rows: dict[Row, bytes] = {}
    flags = SEVERAL if len(waiting.rcpts) > 1 else 0
    value = bytes((flags,)) if flags else b""
    for rcpt, key in zip(waiting.rcpts, domains, strict=True):
        # Of two recipients whose rows are one, it must be found if one of them waits with its site.
        if not rcpt.due:
            rows[key] = value
        elif key not in rows:
            rows[key] = bytes((flags | OWN_DUE,))
    held, due = held_rows(envelope.id.encode(), waiting)
    if waiting.held:
        rows[held] = b""
    elif due is not None:
        rows[due] = b""
    return rows


def held_rows(key: bytes, waiting: Waiting) -> tuple[Row, Row | None]:
    """The row of the message ``key`` if it is held, and the one it has in its place if it is not."""
    due = waiting.due()
    return (HELD, key), (BY_DUE, due_key(due) + b"\0" + key) if due else None
