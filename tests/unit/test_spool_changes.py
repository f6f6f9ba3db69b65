"""What a change sees while its commit is made."""

from pathlib import Path

import pytest

from fastsmtp.spool.changes import BOTH, ONE, Changes
from fastsmtp.spool.journal import Frame
from fastsmtp.spool.tables import BODY, WAIT
from tests.unit.test_spool_tables import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_change_sees_those_before_it_in_its_own_commit(shelf: Shelf) -> None:
    shelf.put(WAIT, b"old", b"1")
    changes = Changes(Frame(), shelf.tables)
    assert changes.current(WAIT, b"old") == b"1"
    changes.put(WAIT, b"old", b"2")
    changes.put(WAIT, b"new", b"3", new=True)
    assert changes.current(WAIT, b"old") == b"2"
    assert changes.holds(WAIT, b"new")
    assert changes.several(WAIT, [b"new", b"none", b"old"]) == [b"3", None, b"2"]
    with changes.reading(WAIT, b"old") as value:
        assert bytes(value) == b"1"
    changes.delete(WAIT, b"old")
    assert changes.current(WAIT, b"old") is None
    assert changes.several(WAIT, [b"old"]) == [None]
    assert not changes.holds(WAIT, b"old")
    assert not changes.holds(WAIT, b"other")


def test_a_body_goes_with_the_last_record_that_speaks_of_it(shelf: Shelf) -> None:
    shelf.put(BODY, b"both", BOTH)
    shelf.put(BODY, b"one", ONE)
    frame = Frame()
    changes = Changes(frame, shelf.tables)
    assert not changes.release("both")
    assert changes.current(BODY, b"both") == ONE
    assert changes.release("one")
    assert changes.release("both"), "the second of one commit sees the first"
    assert not changes.holds(BODY, b"both")


def test_a_body_counted_down_in_one_commit_goes_in_another(shelf: Shelf) -> None:
    shelf.put(BODY, b"both", ONE)
    assert Changes(Frame(), shelf.tables).release("both")
