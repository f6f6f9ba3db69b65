"""Delivery's side of the spool: order, scans, survivors, and the measure of the lag."""

from itertools import pairwise
from pathlib import Path

import pytest

from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.changes import Job
from fastsmtp.spool.insert import envelope_size
from fastsmtp.spool.outbox import Unit, pending_of
from fastsmtp.spool.record import Intent, IntentUnit
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.tables import INTENT
from fastsmtp.spool.writer import most_bytes
from tests.fakes.clock import FakeClock
from tests.fakes.post_office import PostOffice


def everything(office: PostOffice, limit: int = 1000) -> list[Unit]:
    scan = office.spool.outbox.scan()
    found: list[Unit] = []
    while units := office.spool.outbox.next(scan, limit):
        found += units
    return found


def ids(units: list[Unit]) -> list[str]:
    return [letter.envelope.id for unit in units for letter in unit.letters]


def test_fresh_mail_is_handed_over_in_order_and_measured(tmp_path: Path) -> None:
    clock = FakeClock()  # intake waits when the oldest mail has waited for some seconds
    office = PostOffice(tmp_path, clock=clock).open()
    outbox = office.spool.outbox
    old = office.submit(b"old", "a@b")
    office.accepted(old)
    office.spool.attach()
    fresh = [office.submit(b"x", "a@b") for _ in range(50)]
    office.accepted(*fresh)
    outbox.change(lambda changes: None)
    assert outbox.backlog()[0] == 50
    assert ids(everything(office)) == [old], "a scan leaves fresh mail out"
    taken = outbox.take(10_000)
    assert ids(taken) == fresh
    assert not outbox.held_back()
    clock.pass_by(6)
    assert outbox.held_back()
    assert outbox.backlog()[0] == 50
    outbox.finished()
    assert outbox.backlog() == (0, 0.0)
    assert not outbox.held_back()
    office.close()


def test_a_scan_goes_through_everything_in_pieces(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    sent = []
    for _ in range(20):
        sent += [office.submit(b"x", "a@b", "c@d") for _ in range(5)]
        office.accepted(*sent)
    office.spool.attach()
    assert ids(everything(office, limit=7)) == sent
    first = everything(office)[0]
    office.spool.outbox.settle(None, [(first, {0: [1]})])
    units = everything(office, limit=3)
    assert sorted(ids(units)) == sorted([sent[0], *sent[len(first.letters) :]])
    survivor = units[-1]
    assert survivor.key == sent[0].encode()
    assert [pending_of(letter) for letter in survivor.letters] == [[1]]
    office.spool.outbox.settle(None, [(survivor, {})])
    assert sent[0] not in ids(everything(office))
    office.close()


def test_intents_are_kept_until_settled(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    outbox = office.spool.outbox
    office.accepted(office.submit(b"x", "a@b"))
    office.spool.attach()
    (unit,) = everything(office)
    intent = Intent(1.5, "host", "/{user}", False, [IntentUnit(unit.key, [(0, 0)])])
    key = outbox.intend(intent)
    assert outbox.intents() == [(key, intent)]
    assert outbox.intend(intent) > key
    outbox.settle(key, [(unit, {})])
    outbox.change(lambda changes: None)
    assert [k for k, _ in outbox.intents()] == [outbox.intents()[0][0]]
    assert outbox.load(unit.key) is None
    office.close()


def test_a_change_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    with pytest.raises(SpoolError, match="odd"):
        office.spool.outbox.change(lambda changes: (_ for _ in ()).throw(ValueError("odd")).__next__())
    office.accepted(office.submit(b"x", "a@b"))
    office.close()
    with pytest.raises(SpoolError, match="not open"):
        office.spool.outbox.change(lambda changes: None)


def test_envelopes_count_in_what_one_commit_puts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SpoolSettings(map_size=64 << 20, reserve=1 << 20, ahead=1 << 20, inline_limit=8192)
    office = PostOffice(tmp_path, settings=settings).open()
    outbox = office.spool.outbox
    people = [f"somebody.with.a.name{n:04}@example.org" for n in range(1000)]
    sent = [office.submit(b"x" * 9000, *people, large=n % 2 == 0) for n in range(16)]
    office.accepted(*sent)
    office.spool.attach()
    units = everything(office)
    for unit in units:
        with outbox.reading(unit.key) as value:
            size = sum(envelope_size(x.envelope) + (0 if x.filed else x.length) for x in unit.letters)
            assert len(value) <= most_bytes(settings) * 5 // 4
            assert len(value) * 0.7 < size < len(value) * 1.5
    jobs: list[Job] = []
    monkeypatch.setattr(outbox, "_job", jobs.append)
    outbox.settle(None, [(unit, {n: [1, 2] for n in range(len(unit.letters))}) for unit in units])
    kept = sum(len(unit.letters) for unit in units)
    sizes = [job.size for job in jobs]
    assert sum(sizes) > kept * 60_000
    # How the mail came into units is a matter of threads: what fits together is together, and no more.
    assert max(sizes) <= most_bytes(settings) * 5 // 4
    assert all(one + next_one > most_bytes(settings) for one, next_one in pairwise(sizes))
    office.close()


def test_what_cannot_be_removed_is_told_and_keeps_its_intent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SpoolSettings(map_size=64 << 20, reserve=1 << 20, ahead=1 << 20, pack_bytes=65_536)
    office = PostOffice(tmp_path, settings=settings).open()
    outbox = office.spool.outbox
    for _ in range(8):
        office.accepted(office.submit(b"x" * 60_000, "a@b"))
    office.spool.attach()
    units = everything(office)
    assert len(units) == 8
    key = outbox.intend(Intent(1.5, "host", "/{user}", False, [IntentUnit(unit.key, []) for unit in units]))
    real = outbox._settle
    first = units[0].key

    def broken(changes: object, unit: Unit, survivors: object) -> None:
        if unit.key == first:
            raise ValueError("odd")
        real(changes, unit, survivors)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "_settle", broken)
    stay: list[bytes] = []
    outbox.settle(key, [(unit, {0: [0]} if unit is units[4] else {}) for unit in units], failed=stay.extend)
    outbox.change(lambda changes: None)
    assert first in stay
    assert units[-1].key in stay, "the intent stays, and with it the units of its own commit"
    assert [k for k, _ in outbox.intents()] == [key]
    assert outbox.load(first) is not None
    office.close()


def test_a_suspect_that_an_intent_names_is_left_alone(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    outbox = office.spool.outbox
    office.accepted(office.submit(b"x", "a@b"))
    office.spool.attach()
    (unit,) = everything(office)
    key = outbox.intend(Intent(1.5, "host", "/{user}", False, [IntentUnit(unit.key, [])]))
    outbox.suspect(unit.key)
    assert outbox.load(unit.key) is not None
    assert office.left() == {"pack": 1, "intent": 1}
    outbox.change(lambda changes: changes.delete(INTENT, key))
    outbox.suspect(unit.key)
    assert office.left() == {"mail": 1}
    office.close()
