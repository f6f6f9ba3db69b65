"""What a crash leaves in the spool, one function a state (docs/spool.md has the table).

S1 leaves nothing (files without a name), S3 is found by the scan of the outbox, S4 is queue/redo.py's.
"""

import os
from pathlib import Path

from fastsmtp.spool.writer import BODY
from fastsmtp.store import Store


def remove_orphans(store: Store, bodies: Path) -> int:
    """S2 and S6: remove body files no record speaks of; how many there were. Nobody else may be at work."""
    names = os.listdir(bodies)
    with store.read() as txn:
        orphans = [name for name in names if txn.get(os.fsencode(name), db=store.db[BODY]) is None]
    for name in orphans:
        os.unlink(bodies / name)
    return len(orphans)
