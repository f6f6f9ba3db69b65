"""Counts over time in slices that double."""

from fastsmtp.loadgen.timeline import SLICES, Timeline


def test_events_are_counted_in_their_slices() -> None:
    timeline = Timeline(0.1)
    for seconds in (0.0, 0.05, 0.25, 0.29, -0.001):
        timeline.record(seconds)
    assert timeline.counts == [3, 0, 2]


def test_a_long_run_doubles_the_slices_and_loses_nothing() -> None:
    timeline = Timeline(0.1)
    for second in range(1000):
        timeline.record(second + 0.5)
    assert sum(timeline.counts) == 1000
    assert SLICES / 4 < len(timeline.counts) <= SLICES
    assert timeline.width == 3.2


def test_merging_brings_both_to_the_wider_slices() -> None:
    short, long = Timeline(0.1), Timeline(0.1)
    short.record(0.15)
    long.record(0.15)
    long.record(100.0)
    short.merge(long)
    assert short.width == long.width > 0.1
    assert short.counts[0] == 2
    assert sum(short.counts) == 3
    other = Timeline(0.1)
    other.record(0.0)
    short.merge(other)
    assert short.counts[0] == 3
    assert len(other.counts) == 1
