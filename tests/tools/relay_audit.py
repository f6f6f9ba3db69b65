"""A spool's relay tables, checked against each other: nothing that nobody will find, nothing that names nobody."""

import os
from collections import Counter

from fastsmtp.spool.changes import BOTH, ONE
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.record import Letter, read_envelope, read_pack, read_single
from fastsmtp.spool.tables import BODY, HELD, INDEXES, MAIL, PACK, RELAY, WAIT, Tables
from fastsmtp.spool.waiting import decode_waiting, index_rows


def values(tables: Tables, table: bytes) -> dict[bytes, bytes]:
    """All of a table."""
    found: dict[bytes, bytes] = {}
    position: bytes | None = b""
    while position is not None:
        with tables.page(table, position, limit=500) as (page, position):
            found.update((key, bytes(value)) for key, value in page)
    return found


def faults(spool: LmdbSpool) -> list[str]:
    """What is wrong. Nothing may be going on."""
    tables = spool._tables
    wrong: list[str] = []
    relay, wait, held = values(tables, RELAY), values(tables, WAIT), values(tables, HELD)
    wrong += [f"{key.decode()} waits, and is gone" for key in wait.keys() - relay.keys()]
    should: dict[bytes, dict[bytes, bytes]] = {table: {} for table in INDEXES}
    speak: Counter[bytes] = Counter()
    for key, value in relay.items():
        envelope, _, filed = read_envelope(value)
        speak[key] += filed
        if envelope.id.encode() != key:
            wrong.append(f"{key.decode()} is {envelope.id}")
        if key in wait:
            waiting = decode_waiting(wait[key], held=key in held)
            for (table, row), flags in index_rows(envelope, waiting).items():
                should[table][row] = flags
    for table, rows in should.items():
        there = values(tables, table)
        wrong += [f"{table.decode()} lacks {row!r}" for row in rows.keys() - there.keys()]
        wrong += [f"{table.decode()} has {row!r} still" for row in there.keys() - rows.keys()]
        wrong += [
            f"{table.decode()}: the flags of {row!r} are {there[row]!r}, not {flags!r}"
            for row, flags in rows.items()
            if there.get(row, flags) != flags
        ]
    for value in values(tables, PACK).values():
        speak.update(
            one.envelope.id.encode() for one in read_pack(value) if isinstance(one, Letter) and one.filed
        )
    for key, value in values(tables, MAIL).items():
        speak[key] += read_single(value)[0].filed
    speak = +speak
    counts = values(tables, BODY)
    for key in counts.keys() | speak.keys():
        if counts.get(key) != {1: ONE, 2: BOTH}.get(speak[key]):
            wrong.append(f"{speak[key]} records speak of body {key.decode()}, counted as {counts.get(key)!r}")
    files = set(os.listdir(spool.outbox.bodies))
    wrong += [f"no body file {key.decode()}" for key in counts if key.decode() not in files]
    wrong += [f"body file {name} is nobody's" for name in files if name.encode() not in counts]
    return wrong
