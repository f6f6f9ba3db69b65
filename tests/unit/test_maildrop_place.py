"""Where the maildrop is, and what the server tells there."""

from pathlib import Path

import pytest

from fastsmtp.maildrop.place import DEFAULT, FACTS, VARIABLE, facts_text, maildrop, read_facts


def test_the_environment_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert maildrop() == DEFAULT
    monkeypatch.setenv(VARIABLE, "/x")
    assert maildrop() == "/x"


def test_facts_there_and_back(tmp_path: Path) -> None:
    assert read_facts(str(tmp_path)) == {}
    (tmp_path / FACTS).write_text(facts_text({"message_size": "5", "domain": "x.test"}))
    assert read_facts(str(tmp_path)) == {"message_size": "5", "domain": "x.test"}
