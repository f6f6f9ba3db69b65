"""Makes the index tables of a shard again, from its records and what is known of mail that waits."""

import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.record import FORMAT, Damaged, read_envelope
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.tables import DATABASES, HELD, INDEXES, RELAY, WAIT
from fastsmtp.spool.waiting import decode_waiting, index_rows
from fastsmtp.store import StorageError, Store, StoreError

MADE = tuple(name for name in INDEXES if name != HELD)
"""Those that follow from other tables; that a message is held is known by its row alone."""
_EACH = 1000


class Reindexed(Struct):
    """``rows`` were made for ``messages``; of ``damaged`` ones none could be."""

    messages: int = 0
    rows: int = 0
    damaged: int = 0


def reindex(
    path: Path, settings: SpoolSettings, seen: Callable[[int, int], object] = lambda done, total: None
) -> Reindexed:
    """Make the indexes of the shard ``path``, which a spool has closed in order, in one transaction. ``seen`` is told
    how many of how many messages are done. Raises `SpoolError`."""
    store = Store(path, DATABASES, format_number=FORMAT, map_size=settings.map_size)
    done = Reindexed()
    try:
        store.open()
        with store.write() as txn:
            for name in MADE:
                txn.drop(store.db[name], delete=False)
            total = txn.stat(store.db[WAIT])["entries"]
            for key, value in txn.cursor(db=store.db[WAIT]):
                record = txn.get(key, db=store.db[RELAY])
                held = txn.get(key, db=store.db[HELD]) is not None
                try:
                    if record is None:
                        raise Damaged(0, 0, "no record")
                    rows = index_rows(read_envelope(record)[0], decode_waiting(value, held=held))
                except (Damaged, IndexError):
                    done.damaged += 1
                    continue
                for (table, row), content in rows.items():
                    if table != HELD:
                        txn.put(row, content, db=store.db[table])
                        done.rows += 1
                done.messages += 1
                if done.messages % _EACH == 0:
                    seen(done.messages, total)
    except StoreError as error:
        raise SpoolError(str(error)) from None
    except StorageError as error:
        text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise SpoolError(f"{path}: {text}; nothing was changed") from None
    finally:
        store.close()
    return done
