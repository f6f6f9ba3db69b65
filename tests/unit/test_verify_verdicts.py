"""Answers of next hops: how long each kind holds, and how many are kept."""

from fastsmtp.config.values import Duration
from fastsmtp.mail.reply import Reply
from fastsmtp.routing.route import Hop
from fastsmtp.routing.settings import VerifySettings
from fastsmtp.verify.verdicts import Verdicts

HOPS = (Hop("mx", "corp.test", 25),)
OTHER = (Hop("smtp", "h.test", 25),)
NO = Reply(550, "1.1", "no")
LATER = Reply(450, "2.0", "later")
SETTINGS = VerifySettings(
    known=Duration(1000), refresh=Duration(500), unknown=Duration(100), retry=Duration(10), entries=100
)


def test_a_known_recipient_until_it_is_too_old() -> None:
    kept = Verdicts()
    kept.know("a@corp.test", HOPS, 0, SETTINGS)
    found = kept.find("a@corp.test", HOPS, 999)
    assert found is not None
    assert (found.answer, found.again) == (None, 500)
    assert kept.find("a@corp.test", HOPS, 1000) is None
    assert len(kept) == 0


def test_refused_for_longer_than_put_off() -> None:
    kept = Verdicts()
    kept.refuse("a@corp.test", HOPS, 0, NO, SETTINGS)
    kept.refuse("b@corp.test", HOPS, 0, LATER, SETTINGS)
    for now, refused, put_off in ((9, NO, LATER), (99, NO, None), (100, None, None)):
        for name, answer in (("a", refused), ("b", put_off)):
            found = kept.find(f"{name}@corp.test", HOPS, now)
            assert (found.answer if found else None) == answer


def test_what_other_hops_said_is_forgotten() -> None:
    kept = Verdicts()
    kept.know("a@corp.test", HOPS, 0, SETTINGS)
    kept.refuse("b@corp.test", HOPS, 0, NO, SETTINGS)
    assert kept.find("a@corp.test", OTHER, 1) is None
    assert kept.find("b@corp.test", OTHER, 1) is None
    assert len(kept) == 0


def test_the_latest_answer_counts_but_being_put_off_changes_nothing() -> None:
    kept = Verdicts()
    kept.know("a@corp.test", HOPS, 0, SETTINGS)
    kept.refuse("a@corp.test", HOPS, 1, LATER, SETTINGS)
    found = kept.find("a@corp.test", HOPS, 2)
    assert found is not None
    assert found.answer is None
    kept.refuse("a@corp.test", HOPS, 3, NO, SETTINGS)
    found = kept.find("a@corp.test", HOPS, 4)
    assert found is not None
    assert found.answer is NO
    kept.know("a@corp.test", HOPS, 5, SETTINGS)
    found = kept.find("a@corp.test", HOPS, 6)
    assert found is not None
    assert found.answer is None
    assert len(kept) == 1


def test_guesses_do_not_make_known_ones_forgotten() -> None:
    kept = Verdicts()
    kept.know("a@corp.test", HOPS, 0, SETTINGS)
    for number in range(1000):
        kept.refuse(f"{number}@corp.test", HOPS, 0, NO, SETTINGS)
    assert len(kept) == 101
    assert kept.find("a@corp.test", HOPS, 1) is not None
    assert kept.find("899@corp.test", HOPS, 1) is None
    assert kept.find("900@corp.test", HOPS, 1) is not None


def test_who_is_asked_for_is_kept_longest() -> None:
    kept = Verdicts()
    for number in range(100):
        kept.know(f"{number}@corp.test", HOPS, 0, SETTINGS)
    kept.find("0@corp.test", HOPS, 1)
    kept.know("new@corp.test", HOPS, 1, SETTINGS)
    assert kept.find("0@corp.test", HOPS, 2) is not None
    assert kept.find("1@corp.test", HOPS, 2) is None
