"""What one commit takes of the changes that wait."""

from pathlib import Path
from typing import cast

import pytest

from fastsmtp.spool.changes import Changes, Job
from tests.fakes.clock import FakeClock
from tests.fakes.post_office import PostOffice


@pytest.mark.parametrize(("seconds", "taken"), [(0.0, 5), (0.002, 3), (1.0, 1)])
def test_changes_that_take_long_leave_others_for_the_next_commit(
    tmp_path: Path, seconds: float, taken: int
) -> None:
    clock = FakeClock()
    writer = PostOffice(tmp_path, clock=clock).spool._writer
    applied: list[int] = []

    def job(number: int) -> Job:
        def apply(changes: Changes) -> None:
            applied.append(number)
            clock.pass_by(seconds)

        return Job(apply, lambda error: None, urgent=True)

    jobs = [job(number) for number in range(5)]
    later = job(9)
    writer._jobs.append(later)
    assert writer._apply(cast(Changes, None), jobs) == jobs[:taken]
    assert applied == list(range(taken))
    assert list(writer._jobs) == [*jobs[taken:], later], "in their order, before what came since"
    assert writer._urgent == (taken < 5), "they are not left waiting for others"
