"""What can go wrong around the journal: forged frames, torn regions, threads that meet, disks that are full."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.smtp.framing import ChunkReader
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.changes import Changes, Job
from fastsmtp.spool.journal import Frame, Journal
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.tables import APPLIED, MAIL, NUMBER, PACK, STATE
from tests.fakes.post_office import PostOffice, until
from tests.unit.test_spool_lmdb import stored
from tests.unit.test_spool_tables import Shelf

MB = 1 << 20


def forged(number: int, *keys: bytes) -> bytes:
    frame = Frame()
    for key in keys:
        frame.delete(NUMBER[PACK], key)
    data, _ = frame.seal(number, b"\xf5fsmtpF\n")
    return bytes(data)


def test_a_body_cannot_forge_changes_of_the_spool(tmp_path: Path) -> None:
    settings = SpoolSettings(
        map_size=64 << 20, reserve=1 << 20, ahead=1 << 20, inline_limit=32000, journal=1 << 20
    )
    office = PostOffice(tmp_path, settings=settings).open()
    victim = office.submit(b"precious", "a@b")
    office.accepted(victim)
    fake = forged(1 << 40, (1).to_bytes(8, "big"))
    # The sender knows nothing of alignment: copies at all of them, over several messages; BODY=BINARYMIME and BDAT.
    space = bytearray(31000)
    bodies = []
    offset = 0
    for _ in range(14):
        body = bytearray(space)
        for at in range(offset % 512, len(body) - len(fake), 513):
            body[at : at + len(fake)] = fake
            offset += 1
        bodies.append(bytes(body))
    reader = ChunkReader(0, binary=True)
    reader.begin(len(bodies[0]))
    assert reader.feed(bodies[0]) == (bodies[0], len(bodies[0]))  # so it passes SMTP
    assert reader.fault == 0
    for _ in range(6):
        for body in bodies:
            office.accepted(office.submit(body, "a@b"))
    office.accepted(office.submit(b"small", "a@b"))
    assert victim in stored(office)
    office.close()  # in order
    office = PostOffice(tmp_path, settings=settings).open()
    try:
        assert victim in stored(office), office.lines()
    finally:
        office.close()


def test_a_power_cut_while_a_region_is_written_over_brings_nothing_back(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, regions=4)
    shelf.put(PACK, b"mail", b"v" * 300, new=True)  # frame 1, one sector
    shelf.delete(PACK, b"mail")  # frame 2: it was delivered; nothing is left of it
    home = shelf.journal.regions[-1]
    n = 0
    while shelf.journal.regions[0] is not home or (
        shelf.journal.room(3000, spare=0) and fits(shelf.journal, 3000)
    ):
        n += 1
        shelf.put(PACK, b"x%07d" % n, b"x" * 2000, new=True)
        shelf.delete(PACK, b"x%07d" % n)
    before = (tmp_path / "journal").read_bytes()
    shelf.put(PACK, b"last", b"y" * 2500, new=True)  # six sectors, the first of `home` again
    assert shelf.journal.regions[-1] is home
    after = (tmp_path / "journal").read_bytes()
    shelf.close()
    # The power is cut before the flush returned: of the six sectors the disk wrote the second and third.
    at = 4096 + home.index * (16 << 10)
    torn = before[: at + 512] + after[at + 512 : at + 1536] + before[at + 1536 :]
    (tmp_path / "journal").write_bytes(torn)
    shelf = Shelf(tmp_path, regions=4)
    assert shelf.get(PACK, b"mail") is None, "delivered mail is back, to be delivered again"
    assert shelf.journal.damage == []
    shelf.close()


def fits(journal: Journal, size: int) -> bool:
    current = journal._current
    return current is not None and current.end + size <= journal.region_bytes


def test_a_journal_that_cannot_grow_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = PostOffice(tmp_path).open()
    full = [True]
    extend = Journal.extend

    def fail(journal: Journal) -> None:
        if full[0]:
            journal._cannot_extend = True
            raise OSError(28, "No space left on device")
        extend(journal)

    monkeypatch.setattr(Journal, "extend", fail)
    office.deliver()
    try:
        for _ in range(400):
            queue_id = office.submit(b"x" * 8000, "a@b")
            until(partial(office.answers.__contains__, queue_id), each=lambda: office.turn(0.01))
    finally:
        full[0] = False
        office.close()


def test_zeros_and_pages_are_never_written_at_once(tmp_path: Path) -> None:
    """A transaction begins when growth is done, and growth begins between transactions."""
    shelf = Shelf(tmp_path)
    growth = shelf.keeper._growth
    work: list[Callable[[], None]] = []
    growth._run = work.append  # type: ignore[method-assign]
    seen: list[bool] = []
    grown: list[None] = []

    def step(name: str) -> None:
        seen.append(growth._busy)
        shelf.keeper.admit(60 << 20)  # the writer asks meanwhile
        assert not work

    shelf.keeper._fault = step
    settle = growth.settle

    def settled() -> None:
        while work:
            grown.append(work.pop(0)())
        settle()

    growth.settle = settled  # type: ignore[method-assign]
    for n in range(200):
        shelf.put(MAIL, b"%012d" % n, b"v" * 12_000)
    assert shelf.keeper.flush(shelf.number)
    assert len(seen) > 20
    assert not any(seen)
    assert grown, "it did grow meanwhile"
    shelf.close()


def test_a_flush_that_failed_is_not_taken_for_one_that_went_well(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(PACK, b"k", b"v", new=True)
    keeper = shelf.keeper
    failing = [True]

    def fault(step: str) -> None:
        if failing[0]:
            failing[0] = False
            keeper._woken = True  # somebody woke it meanwhile
            raise OSError(5, "Input/output error")

    keeper._fault = fault

    class Slow(threading.Condition):
        """Whose caller comes to its turn late."""

        def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
            if threading.current_thread() is not keeper._thread:
                return super().wait_for(lambda: predicate() and keeper._turns >= 2, 5)
            return super().wait_for(predicate, timeout)

    keeper._changed = Slow()
    keeper.start()
    done = keeper.flush(77)
    with shelf.tables.reading(STATE, APPLIED) as value:
        applied = None if value is None else int.from_bytes(value, "big")
    keeper._changed = threading.Condition()
    assert not done or applied == 77, f"flush said {done}, and the tree says {applied}"


def test_no_two_regions_stand_in_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal", region_bytes=64 << 10, most_regions=8, sync=True, late=False)
    journal.open()
    journal.extend()
    journal.extend()
    pwrite = os.pwrite
    writer: list[threading.Thread] = []

    def slow(fd: int, data: Any, at: int) -> int:
        if not writer:  # the keeper is in `extend`, the writer in `_mend`
            writer.append(threading.Thread(target=journal.remake, args=(64 << 10,)))
            writer[0].start()
            writer[0].join(0.3)
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", slow)
    try:
        journal.extend()
    except (OSError, ValueError):
        pass
    writer[0].join(60)
    while len(journal.regions) < 4:
        journal.extend()
    places = [region.index for region in journal.regions]
    assert len(set(places)) == len(places), places


def test_what_stumbles_behind_the_append_is_made_void(tmp_path: Path) -> None:
    fail: list[str] = []

    def fault(step: str) -> None:
        if step in fail:
            fail.clear()
            raise ValueError("unexpected")

    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one", fault=fault).open()
    office.accepted(office.submit(b"mail", "a@b", "c@d"))
    key = next(iter(office.spool._tables.keys(PACK)))
    answers: list[SpoolError | None] = []

    def keep(changes: Changes) -> None:  # one recipient could not be served
        changes.put(MAIL, b"single", b"the rest", new=True)
        changes.delete(PACK, key)

    fail.append("commit-end")
    office.spool._job(Job(keep, answers.append, urgent=True))
    until(lambda: answers)
    assert answers[0] is not None, "it is told that it was not done"
    # Tried again a minute later, when all recipients could be served.
    office.spool._job(Job(lambda changes: changes.delete(PACK, key), answers.append, urgent=True))
    until(lambda: len(answers) == 2)
    assert answers[1] is None
    assert list(office.spool._tables.keys(MAIL)) == []
    shutil.copytree(tmp_path / "one", tmp_path / "two")  # kill -9
    office.close()
    office = PostOffice(tmp_path / "two").open()
    found = list(office.spool._tables.keys(MAIL))
    office.close()
    assert found == [], "mail that was delivered is delivered again"


_STRESS = """
import sys, threading, time
from pathlib import Path
import lmdb
from fastsmtp.store import Store
store = Store(Path(sys.argv[1]), (b"a", b"b", b"c"), format_number=1, map_size=16 << 20)
store.open()
end = time.monotonic() + 6
odd = []
def look():
    while time.monotonic() < end and not odd:
        try:
            store.used()
        except Exception as error:
            odd.append(repr(error))
threads = [threading.Thread(target=look) for _ in range(2)]
for one in threads: one.start()
while time.monotonic() < end and not odd:
    store.reopen()
for one in threads: one.join()
print(odd)
sys.exit(bool(odd))
"""


def test_a_look_at_what_is_used_and_a_reopen_do_not_meet(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _STRESS, str(tmp_path / "s")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, f"{run.returncode}: {run.stdout} {run.stderr[-500:]}"


def test_a_small_journal_takes_the_intent_of_a_large_batch(tmp_path: Path) -> None:
    settings = SpoolSettings(
        map_size=64 << 20, reserve=1 << 20, ahead=1 << 20, inline_limit=8192, journal=1 << 20
    )
    office = PostOffice(tmp_path, settings=settings).open()
    ids = [office.submit(b"x", f"{'u' * 150}{n:04d}@{'d' * 60}.test") for n in range(800)]
    office.accepted(*ids)
    office.deliver()
    try:
        until(lambda: not office.left(), each=lambda: office.turn(0.01))
    except AssertionError:
        raise AssertionError([line for line in office.lines() if "delivery" in line]) from None
    finally:
        office.close()
