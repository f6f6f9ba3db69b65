"""SASLprep, by the examples of RFC 4013 §3."""

import pytest

from fastsmtp.sasl import prep
from fastsmtp.sasl.prep import saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("", ""),
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_prepared(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


def test_a_letter_that_comes_often_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(prep, "_PROHIBITED", (lambda letter: bool(seen.append(letter)),))
    saslprep("\u3300" * 300)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "a\u0627", "\ud800", "a\tb", "\u0221"])
def test_prohibited(text: str) -> None:
    with pytest.raises(ValueError, match="SASLprep") as told:
        saslprep(text)
    assert text not in str(told.value)
