"""Names of those refused lately: bounded, and never a mixture of two."""

from fastsmtp.limits.refused import MOST_TEXT, ROWS, RefusedTable


def test_times_and_the_last_one() -> None:
    table = RefusedTable()
    assert table.of(7) is None
    table.note(7, 1, "192.0.2.7", 100.0)
    table.note(7, 1, "192.0.2.7", 105.0)
    (one,) = table.all()
    assert (one.mark, one.at, one.times, one.rule, one.key) == (7, 105.0, 2, 1, "192.0.2.7")
    assert table.of(7) == one
    table.forget(7)
    assert list(table.all()) == []


def test_a_later_one_takes_the_place() -> None:
    table = RefusedTable()
    table.note(7, 0, "first", 1.0)
    table.note(7, 0, "first", 2.0)
    table.note(7 + ROWS, 1, "second", 3.0)
    (one,) = table.all()
    assert (one.key, one.times) == ("second", 1)
    assert table.of(7) is None
    table.forget(7)
    assert table.of(7 + ROWS) is not None


def test_names_that_are_too_long_are_left_out() -> None:
    table = RefusedTable()
    table.note(7, 0, "é" * (MOST_TEXT // 2), 1.0)
    table.note(8, 0, "é" * (MOST_TEXT // 2) + "x", 1.0)
    assert [one.mark for one in table.all()] == [7]
    assert [one.key for one in table.all()] == ["é" * (MOST_TEXT // 2)]
