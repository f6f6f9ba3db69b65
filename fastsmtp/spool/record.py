"""The form of a message on disk, and of what is known about its delivery.

A record is a fixed header with checksums, the envelope in msgpack, the prefix (Return-Path and Received) and the
body; prefix and body stand together, so that a mailbox file is one range of bytes. A pack is records in a row.
A single is a record behind a short head that says which recipients are still to be served. `FORMAT` changes
with any of this, with mail.envelope.Envelope and with `Intent`.
"""

import struct
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import msgspec

from fastsmtp.mail.envelope import Envelope
from fastsmtp.store import Migration

FORMAT = 3
MIGRATIONS: dict[int, Migration] = {}
"""By the format it starts from: what leads to the next one. Whoever changes `FORMAT` adds it (docs/formats.md)."""

_MAGIC = b"\xf5fsmtp\x01\n"
_START = struct.Struct("<8sI")  # magic, crc32 of the rest of the header
_REST = struct.Struct("<IIIIQ")  # crc32 of what follows the header, flags, lengths: envelope, prefix, body
# Of a filed record the length of the prefix is that of what other hosts do not get: the start of the file.
_HEADER = _START.size + _REST.size
_HEAD = struct.Struct("<I")
_FILED, _SHARED = 1, 2
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What msgspec raises for bytes that are not what they should be."""


class Damaged(Exception):
    """A record that cannot be read: ``start`` and ``end`` of the bytes, and why."""

    def __init__(self, start: int, end: int, why: str) -> None:
        super().__init__(why)
        self.start = start
        self.end = end


class Letter(msgspec.Struct, gc=False):
    """One message as delivery sees it: its content is ``length`` bytes at ``offset`` of the value, or, when
    ``filed``, a file of that length. ``pending`` are the numbers of the recipients to be served, None for all.
    ``deaths`` is how many workers died while delivering it. ``shared``: another record speaks of the file too.
    ``skip``: the bytes at the start of the file that other hosts do not get."""

    envelope: Envelope
    offset: int
    length: int
    filed: bool = False
    pending: list[int] | None = None
    deaths: int = 0
    shared: bool = False
    skip: int = 0


class Head(msgspec.Struct, array_like=True, gc=False):
    """What stands before a single's record."""

    pending: list[int]
    deaths: int = 0


class IntentUnit(msgspec.Struct, array_like=True, gc=False):
    """One pack or single of an intent; ``missing`` the (letter, recipient) pairs no file was written for."""

    key: bytes
    missing: list[tuple[int, int]]


class Intent(msgspec.Struct, array_like=True, gc=False):
    """What delivery is about to move into mailboxes: every file of it stands synced in some ``tmp/``.

    ``host``, ``path`` and ``lf`` are what the files' names and places were made of, so that a changed setting
    does not send recovery to the wrong place; ``at`` is seconds since 1970 UTC. ``places`` are the ``tmp/`` the
    files stand in, as (mailbox, device, inode): only from these does "gone" mean "was moved"."""

    at: float
    host: str
    path: str
    lf: bool
    units: list[IntentUnit]
    places: list[tuple[str, int, int]] = []


def record_parts(envelope: Envelope, prefix: bytes, body: bytes | bytearray) -> tuple[bytes, bytes]:
    """The header and the envelope of a record; prefix and body follow them as they are."""
    packed = _encode(envelope)
    rest = _REST.pack(crc32(body, crc32(prefix, crc32(packed))), 0, len(packed), len(prefix), len(body))
    return _START.pack(_MAGIC, crc32(rest)) + rest, packed


def filed_record(envelope: Envelope, size: int, *, skip: int = 0, shared: bool = False) -> bytes:
    """The record of a message whose content is a file of ``size`` bytes; see `Letter` for the others."""
    packed = _encode(envelope)
    flags = _FILED | (_SHARED if shared else 0)
    rest = _REST.pack(crc32(packed), flags, len(packed), skip, size - skip)
    return _START.pack(_MAGIC, crc32(rest)) + rest + packed


def read_record(value: Any, start: int = 0) -> tuple[Letter, int]:
    """The letter of the record at ``start`` and the offset behind it. Raises `Damaged`."""
    view = memoryview(value)
    total = len(view)
    if total - start < _HEADER:
        raise Damaged(start, total, "a record is cut short")
    magic, check = _START.unpack_from(view, start)
    if magic != _MAGIC or crc32(view[start + _START.size : start + _HEADER]) != check:
        # Nothing in it can be trusted, so the next record is where one begins.
        raise Damaged(start, _next_record(view, start + 1), "a record's header is damaged")
    crc, flags, packed, prefix, body = _REST.unpack_from(view, start + _START.size)
    offset = start + _HEADER + packed
    end = offset + (0 if flags & _FILED else prefix + body)
    if end > total:
        raise Damaged(start, total, "a record is cut short")
    if crc32(view[start + _HEADER : end]) != crc:
        raise Damaged(start, end, "a record's checksum is wrong")
    try:
        envelope = _decode(view[start + _HEADER : offset])
    except UNREADABLE as error:
        raise Damaged(start, end, f"an envelope cannot be read: {error}") from None
    letter = Letter(envelope, offset, prefix + body)
    if flags & _FILED:
        letter.filed = True
        letter.shared = bool(flags & _SHARED)
        letter.skip = prefix
    return letter, end


def read_envelope(value: Any) -> tuple[Envelope, int, bool]:
    """The envelope of a record, the length of the content other hosts get, and whether that is a file; without
    looking at the content. Raises `Damaged`."""
    view = memoryview(value)
    if len(view) >= _HEADER:
        magic, check = _START.unpack_from(view)
        if magic == _MAGIC and crc32(view[_START.size : _HEADER]) == check:
            _, flags, packed, prefix, body = _REST.unpack_from(view, _START.size)
            filed = bool(flags & _FILED)
            try:
                envelope = _decode(view[_HEADER : _HEADER + packed])
            except UNREADABLE as error:
                raise Damaged(0, len(view), f"an envelope cannot be read: {error}") from None
            return envelope, body if filed else prefix + body, filed
    raise Damaged(0, len(view), "a record's header is damaged")


def read_pack(value: Any) -> Iterator[Letter | Damaged]:
    """The letters of a pack, and what is damaged between them."""
    start, total = 0, len(value)
    while start < total:
        try:
            letter, start = read_record(value, start)
            yield letter
        except Damaged as damage:
            start = damage.end
            yield damage


def single(record: bytes, pending: list[int], deaths: int) -> bytes:
    """A single from the bytes of one record."""
    head = _encode(Head(pending, deaths))
    return b"".join((_HEAD.pack(len(head)), head, record))


def read_single(value: Any) -> tuple[Letter, int]:
    """The letter of a single, and where its record begins. Raises `Damaged`."""
    view = memoryview(value)
    try:
        start = _HEAD.size + _HEAD.unpack_from(view)[0]
        head = msgspec.msgpack.decode(view[_HEAD.size : start], type=Head)
    except (struct.error, *UNREADABLE):
        raise Damaged(0, len(view), "the head of a single cannot be read") from None
    letter, _ = read_record(view, start)
    letter.pending = head.pending
    letter.deaths = head.deaths
    return letter, start


def record_of(value: Any, letter: Letter) -> bytes:
    """The bytes of ``letter``'s record, cut out of the value that holds it."""
    packed = len(_encode(letter.envelope))
    start = letter.offset - packed - _HEADER
    return bytes(memoryview(value)[start : letter.offset + (0 if letter.filed else letter.length)])


def _next_record(view: memoryview, start: int) -> int:
    found = bytes(view[start:]).find(_MAGIC)
    return len(view) if found < 0 else start + found
