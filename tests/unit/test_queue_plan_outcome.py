"""What an answer means for its site."""

import pytest

from fastsmtp.queue.plan.outcome import Outcome, Stage, outcome_of


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "outcome"),
    [
        ("connect", 0, "", Outcome.UNREACHABLE),
        ("greeting", 0, "", Outcome.UNREACHABLE),
        ("greeting", 421, "4.7.0", Outcome.BUSY),
        ("greeting", 450, "", Outcome.BUSY),
        ("greeting", 554, "5.3.2", Outcome.DONE),
        ("mail", 421, "", Outcome.SLOWER),
        ("mail", 451, "", Outcome.SLOWER),
        ("mail", 0, "", Outcome.SLOWER),
        ("recipient", 450, "4.2.0", Outcome.PUT_OFF),
        ("recipient", 452, "4.3.1", Outcome.SLOWER),
        ("recipient", 421, "4.3.2", Outcome.SLOWER),
        ("recipient", 550, "5.1.1", Outcome.DONE),
        ("recipient", 0, "", Outcome.SLOWER),
        ("data", 451, "4.7.1", Outcome.SLOWER),
        ("data", 451, "4.4.5", Outcome.SLOWER),
        ("data", 0, "", Outcome.SLOWER),
        ("data", 250, "2.0.0", Outcome.DONE),
        ("data", 599, "", Outcome.DONE),
        ("recipient", 499, "", Outcome.PUT_OFF),
    ],
)
def test_outcome(stage: Stage, code: int, enhanced: str, outcome: Outcome) -> None:
    assert outcome_of(stage, code, enhanced) is outcome


def test_only_what_failed_before_any_mail_leaves_it_with_the_site() -> None:
    assert [outcome for outcome in Outcome if outcome.keeps_mail] == [Outcome.BUSY, Outcome.UNREACHABLE]
