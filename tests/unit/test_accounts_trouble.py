"""Trouble is told once."""

from fastsmtp.accounts.trouble import Trouble


def test_it_is_told_when_it_begins_and_when_it_is_another() -> None:
    events: list[str] = []
    trouble = Trouble(events.append)
    trouble.tell("a")
    trouble.tell("a")
    trouble.tell("b")
    assert events == ["a", "b"]
    trouble.over()
    trouble.tell("b")
    assert events == ["a", "b", "b"]
