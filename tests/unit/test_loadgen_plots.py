"""Axes of plots."""

import pytest

from fastsmtp.loadgen.plots import linear_axis, log_axis


@pytest.mark.parametrize("highest", [0.0, 0.3, 1.0, 7.3, 99.0, 100.0, 12_345.0])
def test_a_linear_axis_reaches_the_highest_value_with_few_ticks(highest: float) -> None:
    axis = linear_axis("x", highest)
    assert axis.low == 0.0
    assert axis.high >= highest
    assert 2 <= len(axis.ticks) <= 11
    assert axis.place(axis.high) == 1.0


def test_a_logarithmic_axis_spans_whole_powers() -> None:
    axis = log_axis("ms", 0.4, 33.0)
    assert (axis.low, axis.high) == (pytest.approx(0.1), pytest.approx(100.0))
    assert [text for _, text in axis.ticks] == ["0.1", "1", "10", "100"]
    assert axis.place(10.0) == pytest.approx(2 / 3)
    assert axis.place(0.0) == 0.0
