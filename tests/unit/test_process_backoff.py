"""The pauses between the starts of a worker that cannot live."""

from fastsmtp.process.backoff import DELAYS, QUICK_DEATH, RestartPlan


def test_first_death_is_answered_at_once() -> None:
    assert RestartPlan().died(lived=0.1) == 0


def test_quick_deaths_wait_longer_up_to_the_last_pause() -> None:
    plan = RestartPlan()
    assert [plan.died(0.1) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    assert DELAYS[-1] == 30


def test_a_worker_that_lived_starts_the_count_anew() -> None:
    plan = RestartPlan()
    for _ in range(4):
        plan.died(0.1)
    assert plan.died(QUICK_DEATH) == 0
    assert plan.died(QUICK_DEATH - 0.01) == 1
