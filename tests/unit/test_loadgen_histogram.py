"""The histogram of durations: its buckets, percentiles and merging."""

import itertools
import random

import pytest

from fastsmtp.loadgen.histogram import BUCKETS, Histogram, bucket_of, middle_of


def test_every_duration_has_a_bucket_that_stands_for_it_within_two_percent() -> None:
    value = 1
    while value < 1 << 36:
        for near in (value - 1, value, value + 1):
            assert middle_of(bucket_of(near)) == pytest.approx(near, rel=0.016, abs=0.5)
        value += max(value // 7, 1)


def test_buckets_follow_each_other_without_gap() -> None:
    seen = [bucket_of(micros) for micros in range(100_000)]
    assert all(after - before in (0, 1) for before, after in itertools.pairwise(seen))


def test_what_is_too_long_or_negative_is_counted_at_the_ends() -> None:
    assert bucket_of(1 << 60) == BUCKETS - 1
    assert bucket_of(-5) == 0


def test_percentiles_agree_with_sorting() -> None:
    numbers = random.Random(7)
    values = [numbers.lognormvariate(-6, 1.5) for _ in range(20_000)]
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    values.sort()
    for percent in (50, 90, 99, 99.9):
        exact = values[int(len(values) * percent / 100) - 1]
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.02)
    assert histogram.percentile(100) == histogram.longest == values[-1]
    assert histogram.mean == pytest.approx(sum(values) / len(values))


def test_merging_is_the_same_as_counting_everything_in_one() -> None:
    one, other, whole = Histogram(), Histogram(), Histogram()
    for index in range(1, 1000):
        (one if index % 3 else other).record(index / 1000)
        whole.record(index / 1000)
    one.merge(other)
    assert one.counts == whole.counts
    assert (one.number, one.longest) == (whole.number, whole.longest)
    assert one.total == pytest.approx(whole.total)


def test_an_empty_histogram_has_zeroes() -> None:
    assert Histogram().percentiles((50, 99, 100)) == [0.0, 0.0, 0.0]
    assert Histogram().mean == 0.0


def test_one_value_is_every_percentile() -> None:
    histogram = Histogram()
    histogram.record(0.25)
    assert histogram.percentiles((0, 50, 99.9, 100)) == [pytest.approx(0.25, rel=0.016)] * 4
