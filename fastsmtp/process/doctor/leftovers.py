"""What lies about: set aside for a person, left by a restore, in nobody's hands; and how old the last backup is."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from fastsmtp.control.place import shards, wanted_shards
from fastsmtp.maildrop.directory import DAMAGED
from fastsmtp.process.backup.take import REPLACED, RESTORING, last_backup
from fastsmtp.process.doctor.finding import Finding
from fastsmtp.process.settings import Settings
from fastsmtp.spool.record import FORMAT
from fastsmtp.store import StorageError, format_of

AREA = "leftovers"
_OLD = 7 * 86_400.0
"""Seconds after which a backup is old."""


def look(settings: Settings, now: float, held: set[int] | None) -> Iterator[Finding]:
    """``held``: the shards that workers have open, None without a server; ``now`` in seconds since 1970 UTC."""
    data_dir = settings.data_dir
    wanted = wanted_shards(data_dir)
    for number in shards(data_dir):
        place = data_dir / "spool" / str(number)
        if held is not None and number in wanted and number not in held:
            yield Finding(
                "error",
                AREA,
                f"no worker has {place} open: its mail waits",
                "restart the server; the log says why the shard was not taken",
            )
        if held is None or number not in held:
            yield from _format(place)
        yield from _corrupt(place / "corrupt")
        for journal in place.glob("journal.new"):
            yield Finding("note", AREA, f"{journal} was begun by a start that failed", _remove(journal))
    if settings.maildrop.path is not None:
        yield from _damaged(Path(settings.maildrop.path))
    for place in sorted(data_dir.glob(f"{REPLACED}*")):
        yield Finding(
            "note", AREA, f"{place} is what a restore has replaced", f"rm -r {shlex.quote(str(place))}"
        )
    if (data_dir / RESTORING).exists():
        yield Finding(
            "error",
            AREA,
            f"{data_dir / RESTORING}: a restore did not come to its end",
            "fastsmtp restore BACKUP -c FILE --replace",
        )
    yield from _backup(data_dir, now)


def _format(place: Path) -> Iterator[Finding]:
    """Of a shard that nobody has open: whether this program can open it."""
    try:
        found = format_of(place)
    except StorageError:
        return
    if found is not None and found > FORMAT:
        yield Finding(
            "error",
            AREA,
            f"{place} is of format {found}, this program reads {FORMAT}: its mail waits",
            "install the newer fastsmtp that wrote it",
        )


def _corrupt(place: Path) -> Iterator[Finding]:
    count = sum(1 for _ in place.glob("*.eml"))
    if count:
        yield Finding(
            "warning",
            AREA,
            f"{count} messages could not be delivered by any means and wait in {place} for a person",
            f"less {shlex.quote(str(place))}/*.json; then deliver or remove them",
        )


def _damaged(maildrop: Path) -> Iterator[Finding]:
    count = sum(1 for _ in maildrop.glob(f"{DAMAGED}*"))
    if count:
        yield Finding(
            "warning",
            AREA,
            f"{count} messages that programs have dropped are damaged or too large, and wait in {maildrop}",
            f"less {shlex.quote(str(maildrop))}/{DAMAGED}*; then remove them",
        )


def _backup(data_dir: Path, now: float) -> Iterator[Finding]:
    mend = "fastsmtp backup /backup/mail-$(date +%F).tar -c FILE"
    last = last_backup(data_dir)
    if last is None:
        yield Finding("note", "backup", "no backup was ever taken", mend)
    elif now - last.at > _OLD:
        days = (now - last.at) / 86_400
        yield Finding("warning", "backup", f"the last backup, {last.path}, is {days:.0f} days old", mend)


def _remove(path: Path) -> str:
    return f"rm {shlex.quote(str(path))}"
