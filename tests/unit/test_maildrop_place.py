"""Where the maildrop is, and what the server tells there."""

from pathlib import Path

import pytest

from fastsmtp.maildrop.place import DEFAULT, FACTS, VARIABLE, facts_text, maildrop, most_octets, read_facts


def test_the_environment_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert maildrop() == DEFAULT
    monkeypatch.setenv(VARIABLE, "/x")
    assert maildrop() == "/x"


def test_facts_there_and_back(tmp_path: Path) -> None:
    assert read_facts(str(tmp_path)) == {}
    (tmp_path / FACTS).write_text(facts_text({"message_size": "5", "domain": "x.test"}))
    assert read_facts(str(tmp_path)) == {"message_size": "5", "domain": "x.test"}


@pytest.mark.parametrize(("told", "most"), [("5", 5), ("", 0), ("-1", 0), ("\u00b2", 0), ("9" * 5000, 0)])
def test_what_is_no_size_limits_nothing(tmp_path: Path, told: str, most: int) -> None:
    """Before the first start of the server anybody could have written it."""
    (tmp_path / FACTS).write_text(facts_text({"message_size": told}))
    assert most_octets(str(tmp_path)) == most
