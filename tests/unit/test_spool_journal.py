"""Frames, regions, and what is left of them after a crash."""

import os
from pathlib import Path

import pytest

from fastsmtp.spool.base import SpoolError, SpoolFull
from fastsmtp.spool.journal import Frame, Journal

REGION = 16 << 10


def make(tmp_path: Path, *, regions: int = 4, region: int = REGION, late: bool = False) -> Journal:
    journal = Journal(
        tmp_path / "journal", region_bytes=region, most_regions=regions, sync=not late, late=late
    )
    journal.open()
    return journal


def put(journal: Journal, number: int, value: bytes, key: bytes = b"k") -> None:
    frame = Frame()
    frame.put(0, key, value[:3], value[3:])
    while journal.short():
        journal.extend()
    assert journal.room(frame.size, spare=0)
    data, _ = frame.seal(number, journal.mark)
    _, _, error = journal.append(data)
    assert not error


def found(journal: Journal, applied: int = 0) -> list[tuple[int, list[tuple[bytes, bytes | None]]]]:
    """By frame: keys and values."""
    return [
        (number, [(c.key, bytes(region.view[c.start : c.end]) if c.end >= 0 else None) for c in changes])
        for region, number, changes in journal.replay(applied)
    ]


def test_what_was_appended_is_found_again_in_order(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 6):
        put(journal, number, b"value %d" % number * 100)
    frame = Frame()
    frame.delete(2, b"gone")
    frame.put(1, b"", b"")
    data, changes = frame.seal(6, journal.mark)
    assert [(c.table, c.key, c.end < 0) for c in changes] == [(2, b"gone", True), (1, b"", False)]
    assert not journal.append(data)[2]
    journal.close()
    journal = make(tmp_path)
    frames = found(journal)
    assert [number for number, _ in frames] == [1, 2, 3, 4, 5, 6]
    assert frames[2][1] == [(b"k", b"value 3" * 100)]
    assert frames[5][1] == [(b"gone", None), (b"", b"")]
    assert journal.damage == []
    assert [number for number, _ in found(journal, applied=4)] == [5, 6]


def test_after_a_crash_it_goes_on_in_the_next_region(tmp_path: Path) -> None:
    journal = make(tmp_path)
    put(journal, 1, b"one")
    journal.extend()
    journal.close()
    journal = make(tmp_path)
    assert len(found(journal)) == 1
    before = journal.regions[-1].index
    put(journal, 2, b"two")
    assert journal.regions[-1].index != before
    journal.close()
    assert [number for number, _ in found(make(tmp_path))] == [1, 2]


def test_it_goes_round_and_forgets_the_oldest_first(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 200):
        put(journal, number, b"x" * 4000)
    assert len(journal.regions) == 2, "nothing was wanted, so two regions were enough"
    journal.close()
    numbers = [number for number, _ in found(make(tmp_path))]
    assert 4 <= len(numbers) <= 8
    assert numbers == list(range(numbers[0], 200))


def test_a_region_in_use_or_looked_at_is_not_written_over(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 40):
        put(journal, number, b"x" * 6000)
        journal.regions[-1].live = 1
        while journal.short():
            journal.extend()
        if not journal.room(6500, spare=0):
            break
    assert len(journal.regions) == 4
    assert journal.ahead() == 0
    assert journal.used() == journal.regions[:3]
    first, second = journal.regions[:2]
    second.live = 0
    assert journal.ahead() == 0, "the oldest comes first"
    first.live = 0
    first.pins = 1
    assert not journal.room(6500, spare=0)
    first.pins = 0
    assert journal.ahead() == 2
    assert journal.room(6500, spare=1)
    assert not journal.room(6500, spare=2)
    assert journal.room(10, spare=2), "it fits into the region in use"


def test_a_torn_end_is_no_frame_and_no_damage(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 4):
        put(journal, number, b"value" * 200)
    region = journal.regions[-1]
    first, end = 4096 + region.index * REGION, region.end
    journal.close()
    path = tmp_path / "journal"
    for cut in range(1, 1100, 90):
        whole = path.read_bytes()
        at = first + end - cut
        path.write_bytes(whole[:at] + bytes(cut) + whole[at + cut :])
        journal = make(tmp_path)
        numbers = [number for number, _ in found(journal)]
        assert numbers == ([1, 2, 3] if cut < end - 2 * (end // 3) - 1044 else [1, 2]), cut
        assert journal.damage == []
        journal.close()
        path.write_bytes(whole)


def test_frames_of_an_earlier_round_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 15):  # the first region's end still holds the last of its first round, number 5
        put(journal, number, b"x" * 3000)
    assert len(journal.regions) == 2
    journal.close()
    assert [number for number, _ in found(make(tmp_path))] == list(range(6, 15))


def test_damage_in_the_middle_is_told_and_costs_one_frame(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 6):
        put(journal, number, b"value %d" % number * 100)
    journal.close()
    path = tmp_path / "journal"
    content = bytearray(path.read_bytes())
    at = content.index(b"value 3")
    content[at + 5] ^= 1
    path.write_bytes(content)
    journal = make(tmp_path)
    assert [number for number, _ in found(journal)] == [1, 2, 4, 5]
    assert len(journal.damage) == 2
    assert "before change 4 cannot be read" in journal.damage[0]
    assert "changes 3 to 3 are missing" in journal.damage[1]


def test_a_file_that_was_cut_says_what_is_kept(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 41):
        put(journal, number, b"%04d" % number * 300)
    journal.close()
    before = [number for number, _ in found(make(tmp_path))]
    path = tmp_path / "journal"
    size = path.stat().st_size
    os.truncate(path, size - REGION // 2)
    journal = make(tmp_path)
    assert path.stat().st_size == size
    numbers = [number for number, _ in found(journal)]
    lost = len(before) - len(numbers)
    assert 0 < lost <= REGION // 2 // 1200 + 1, "what stands in the rest of the part that was cut counts"
    assert set(numbers) < set(before)
    cut = [line for line in journal.damage if "it was cut" in line]
    assert len(cut) == 1
    assert f"{REGION // 2} bytes" in cut[0]
    journal.close()
    journal = make(tmp_path)
    assert [number for number, _ in found(journal)] == numbers
    assert not [line for line in journal.damage if "it was cut" in line], "it is whole again"


def test_a_death_while_the_file_grew_is_no_damage(tmp_path: Path) -> None:
    journal = make(tmp_path)
    for number in range(1, 5):
        put(journal, number, b"x")
    journal.close()
    with (tmp_path / "journal").open("ab") as file:
        file.write(bytes(REGION // 2))
    size = (tmp_path / "journal").stat().st_size
    journal = make(tmp_path)
    assert [number for number, _ in found(journal)] == [1, 2, 3, 4]
    assert journal.damage == []
    assert (tmp_path / "journal").stat().st_size == size + REGION // 2


def test_what_is_no_journal_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"hello" * 1000)
    with pytest.raises(SpoolError, match="not a journal we can read"):
        make(tmp_path)


def test_a_journal_keeps_the_size_of_its_regions_until_it_is_made_anew(tmp_path: Path) -> None:
    journal = make(tmp_path)
    put(journal, 1, b"one")
    journal.close()
    journal = make(tmp_path, region=2 * REGION)
    assert journal.region_bytes == REGION
    assert len(found(journal)) == 1
    journal.remake(2 * REGION)
    assert journal.region_bytes == 2 * REGION
    assert found(journal) == []
    put(journal, 2, b"x" * 20_000)
    journal.close()
    assert len(found(make(tmp_path))) == 1


def test_more_than_a_region_is_refused(tmp_path: Path) -> None:
    journal = make(tmp_path)
    with pytest.raises(SpoolFull, match=r"raise spool\.journal"):
        journal.room(REGION + 1, spare=0)


def test_without_a_sync_of_each_frame_a_region_is_not_written_over_before_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = make(tmp_path, late=True)
    put(journal, 1, b"x" * 9000)
    syncs: list[int] = []
    monkeypatch.setattr(os, "fdatasync", syncs.append)
    put(journal, 2, b"x" * 100)
    assert not syncs
    put(journal, 3, b"x" * 9000)
    assert len(syncs) == 1


def test_a_file_that_cannot_grow_goes_round_in_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = make(tmp_path)
    put(journal, 1, b"x" * 9000)
    put(journal, 2, b"x" * 9000)
    journal.regions[0].live = 1
    assert journal.ahead() == 2
    assert journal.short()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            journal.extend()
    assert journal.ahead() == 0
    journal.extend()
    assert journal.ahead() == 2


def test_a_file_that_was_moved_away_is_noticed(tmp_path: Path) -> None:
    journal = make(tmp_path)
    assert journal.in_place()
    (tmp_path / "journal").rename(tmp_path / "away")
    assert not journal.in_place()
    (tmp_path / "journal").write_bytes(b"")
    assert not journal.in_place()
