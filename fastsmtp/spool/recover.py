"""What a crash leaves in the spool, one function a state (docs/spool.md has the table).

S1 leaves nothing (files without a name), S3 is found by the scan of the outbox, S4 is queue/redo.py's.
"""

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from fastsmtp.mail.ids import LENGTH
from fastsmtp.spool.corrupt import sync_directories
from fastsmtp.spool.journal import Journal
from fastsmtp.spool.tables import BODY, NUMBER, Tables

_ID = re.compile(f"[0-9A-Za-z]{{{LENGTH}}}")


def remove_orphans(tables: Tables, bodies: Path) -> int:
    """S2 and S6: remove body files no record speaks of; how many there were. Nobody else may be at work."""
    names = _names(bodies)
    orphans = [name for name in names if not tables.has(BODY, name.encode())]
    for name in orphans:
        os.unlink(bodies / name)
    return len(orphans)


def named_bodies(journal: Journal) -> tuple[set[str], int]:
    """The body files that a journal speaks of, without a database, and how many changes stand there. Raises
    `SpoolError` and OSError."""
    names: dict[bytes, bool] = {}
    count = 0
    for _, _, changes in journal.replay(0):
        count += len(changes)
        names.update((one.key, one.end >= 0) for one in changes if one.table == NUMBER[BODY])
    return {key.decode() for key, there in names.items() if there}, count


def keep_bodies(bodies: Path, corrupt: Path, known: Collection[str] = ()) -> int:
    """The database is new, so it cannot tell which body files were accepted: move those that are not ``known`` to
    where a person looks; how many there were. Raises OSError."""
    try:
        names = [name for name in _names(bodies) if name not in known]
    except FileNotFoundError:
        return 0
    if names:
        corrupt.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        os.rename(bodies / name, corrupt / f"{name}.eml")
        with contextlib.suppress(FileNotFoundError):  # one set aside before is the same file, and stays
            os.unlink(bodies / name)
    if names:  # durable before the database counts: a name come back would be an orphan to the next start
        sync_directories(corrupt, bodies, corrupt.parent)
    return len(names)


def _names(bodies: Path) -> list[str]:
    """The body files; what else stands there is not ours."""
    with os.scandir(bodies) as entries:
        return [one.name for one in entries if _ID.fullmatch(one.name) and one.is_file(follow_symlinks=False)]
