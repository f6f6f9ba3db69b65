"""The machine's clocks, and the one tests move by hand."""

import time

from fastsmtp.clock import Clock, SystemClock
from tests.fakes.clock import FakeClock


def test_the_system_s() -> None:
    clock: Clock = SystemClock()
    before = time.time(), time.monotonic()
    seen = clock.now(), clock.monotonic()
    after = time.time(), time.monotonic()
    assert before[0] <= seen[0] <= after[0]
    assert before[1] <= seen[1] <= after[1]


def test_the_fake() -> None:
    clock: Clock = FakeClock(wall=10.0, steady=1.0)
    assert (clock.now(), clock.monotonic()) == (10.0, 1.0)
    clock.pass_by(2.5)  # type: ignore[attr-defined]
    assert (clock.now(), clock.monotonic()) == (12.5, 3.5)
