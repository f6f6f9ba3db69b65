"""The promise, checked: what was accepted arrived exactly once, and nothing else stayed behind."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import lmdb

from fastsmtp.spool.journal import Journal
from fastsmtp.spool.tables import APPLIED, STATE
from tests.tools import arrived
from tests.tools.load import Sent


def compare(sent: Iterable[Sent], seen: Counter[tuple[str, str]]) -> list[str]:
    """What is wrong: lost, doubled or strange messages. ``seen`` counts by (mailbox, hash of the content)."""
    faults = []
    known = set()
    for each in sent:
        for mailbox in each.mailboxes:
            known.add((mailbox, each.digest))
            times = seen[mailbox, each.digest]
            if each.queue_id and times != 1:
                kind = "lost" if times == 0 else f"delivered {times} times"
                faults.append(f"{each.queue_id} ({each.token}, {each.size} bytes) to {mailbox}: {kind}")
            elif not each.queue_id and times > 1:
                faults.append(f"{each.token} without 250 to {mailbox}: delivered {times} times")
            elif each.refused.startswith("5") and times:
                faults.append(f"{each.token} refused ({each.refused}), yet delivered to {mailbox}")
    strange = [f"{mailbox} has what nobody sent: {mark}" for mailbox, mark in seen.keys() - known]
    return faults + strange


def standing(mail: Path) -> Counter[tuple[str, str]]:
    """What stands in new/ and cur/ of all mailboxes below ``mail``, as `compare` wants it."""
    seen: Counter[tuple[str, str]] = Counter()
    for maildir in arrived.maildirs(mail):
        for message in arrived.messages(maildir):
            seen[f"{maildir.name}@{maildir.parent.name}", message.digest] += 1
    return seen


def awaited(sent: Iterable[Sent], seen: Counter[tuple[str, str]]) -> int:
    """How many copies of accepted messages have not been seen yet."""
    return sum(not seen[box, each.digest] for each in sent if each.queue_id for box in each.mailboxes)


def body_files(data_dir: Path) -> list[Path]:
    """Bodies in files, of all slots."""
    return sorted(path for path in data_dir.glob("spool/*/body/**/*") if path.is_file())


def records(data_dir: Path) -> dict[str, int]:
    """Records left in each slot's environment, by ``slot/database``; each is read to its last byte. The
    server must not be running."""
    counts = {}
    for path in sorted(data_dir.glob("spool/*/data.mdb")):
        slot = path.parent.name
        with lmdb.open(str(path.parent), readonly=True, lock=False, max_dbs=16, create=False) as env:
            with env.begin() as txn:
                names = [bytes(name).decode() for name, _ in txn.cursor()]
            for name in names:
                if name in ("meta", "journal"):  # what the spool notes about itself
                    continue
                database = env.open_db(name.encode(), create=False)
                with env.begin(db=database) as txn:
                    counts[f"{slot}/{name}"] = sum(1 for _, value in txn.cursor() if value is not None)
    return counts


def damage(data_dir: Path) -> list[str]:
    """What cannot be read of the journals, as a start would tell it. The server must not be running."""
    found = []
    for path in sorted(data_dir.glob("spool/*/journal")):
        journal = Journal(path, region_bytes=1 << 20, most_regions=8, sync=True, late=False)
        journal.open()
        with lmdb.open(str(path.parent), readonly=True, lock=False, max_dbs=16, create=False) as env:
            database = env.open_db(STATE, create=False)
            with env.begin(db=database) as txn:
                applied = int.from_bytes(txn.get(APPLIED) or b"", "big")
        for _ in journal.replay(applied):
            pass
        found += journal.damage
        journal.close()
    return found


def left_behind(data_dir: Path, mail: Path) -> list[str]:
    """What a stopped server with nothing to do has left: it must be nothing."""
    faults = [f"in tmp/: {path}" for path in arrived.left_in_tmp(mail)]
    faults += [f"body file: {path}" for path in body_files(data_dir)]
    faults += [f"{count} records in {name}" for name, count in records(data_dir).items() if count]
    faults += [f"set aside: {path}" for path in data_dir.glob("spool/*/corrupt/*")]
    return faults
