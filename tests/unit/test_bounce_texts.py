"""Every status that a host may give is explained to people."""

import re

import pytest

from fastsmtp.bounce.texts import EXPLANATIONS, explain
from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply

REGISTERED = {0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}
"""The highest detail of each subject in IANA's registry of enhanced status codes, which has no gaps."""


@pytest.mark.parametrize(("subject", "last"), REGISTERED.items())
def test_every_registered_code_has_a_text_of_its_own(subject: int, last: int) -> None:
    for detail in range(last + 1):
        assert explain(f"5.{subject}.{detail}") == EXPLANATIONS[f"{subject}.{detail}"]


def test_no_other_codes_are_explained() -> None:
    assert len(EXPLANATIONS) == sum(last + 1 for last in REGISTERED.values())


@pytest.mark.parametrize("text", EXPLANATIONS.values())
def test_a_text_is_one_to_three_plain_sentences(text: str) -> None:
    assert re.fullmatch(r"[A-Z][ -~]{10,200}\.", text)
    assert "  " not in text
    assert 1 <= len(re.findall(r"\.(?: |$)", text)) <= 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("5.1.1", "no mailbox with this address"),
        ("4.2.2", "mailbox is full"),
        ("5.2.2", "mailbox is full"),
        ("4.4.1", "does not answer"),
        ("5.3.4", "larger than"),
        ("5.7.1", "by its own rules"),
        ("5.7.10", "encrypted connection"),
        ("5.1.10", "receives no mail at all"),
        ("4.7.28", "Too many messages"),
    ],
)
def test_what_people_meet(status: str, words: str) -> None:
    assert words in explain(status)


@pytest.mark.parametrize(
    ("status", "key"),
    [
        ("5.1.99", "1.0"),
        ("4.7.508", "7.0"),
        ("5.9.9", "0.0"),
        ("5.0.0", "0.0"),
        ("", "0.0"),
        ("5", "0.0"),
        ("x.y", "0.0"),
    ],
)
def test_what_nobody_knows_falls_back(status: str, key: str) -> None:
    assert explain(status) == EXPLANATIONS[key]


def test_what_this_server_itself_answers_is_explained() -> None:
    refusals = [value for value in vars(reply).values() if isinstance(value, Reply) and value.code >= 400]
    assert len(refusals) > 20
    for one in refusals:
        assert one.detail in EXPLANATIONS
