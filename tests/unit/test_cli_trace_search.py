"""Which messages are meant, whatever they are named by."""

import time
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.cli.trace_search import Wanted, parse_moment
from fastsmtp.ledger.line import Line
from fastsmtp.ledger.search import Ledger, Span
from tests.tools.ledger import Book, event


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    book = Book(tmp_path)
    for i, (sender, to) in enumerate(
        [("s@x", ["b@y"]), ("t@x", ["b@y", "c@z"]), ("", ["s@x"]), ("s@x", ["c@z"])]
    ):
        book.put(
            event("received", 10.0 * i, id=f"m{i}", sender=sender, to=to, message_id=f"{i}@x"),
            event("delivered", 10.0 * i + 1, id=f"m{i}", to=to[0]),
        )
    book.put(event("rejected", 50.0, sender="s@x", to="b@y", stage="RCPT", code=550, reply="no"))
    return Ledger(tmp_path)


def found(ledger: Ledger, **wanted: Any) -> list[str]:
    return [
        "refused" if isinstance(one, Line) else one.id
        for one in Wanted(**{"span": Span(), **wanted}).found(ledger)
    ]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"to": "B@y"}, ["refused", "m1", "m0"]),
        ({"sender": "s@X"}, ["refused", "m3", "m0"]),
        ({"sender": ""}, ["m2"]),
        ({"to": "c@z", "sender": "s@x"}, ["m3"]),
        ({"message_id": "1@x"}, ["m1"]),
        ({"message_id": "<1@x>"}, ["m1"]),
        ({"message_id": "1@x", "to": "nobody@x"}, []),
        ({"to": "*@y"}, ["refused", "m1", "m0"]),
        ({"sender": "?@x", "to": "*@z"}, ["m3", "m1"]),
        ({"span": Span(9, 21)}, ["m2", "m1"]),
        ({"span": Span(9, 45), "to": "b@y"}, ["m1"]),
    ],
)
def test_found(ledger: Ledger, wanted: dict[str, Any], ids: list[str]) -> None:
    assert found(ledger, **wanted) == ids


def test_an_index_answers_what_is_no_pattern() -> None:
    assert not Wanted(Span(), to="a@b", sender="*@c").scans
    assert Wanted(Span(), to="*@b").scans
    assert Wanted(Span()).anything


def test_moments() -> None:
    assert parse_moment("2026-11-24 15:00") == 1795532400.0
    assert parse_moment("2026-11-24T16:00+01:00") == 1795532400.0
    assert abs(time.time() - 3600 - parse_moment("1h")) < 60
    with pytest.raises(ValueError, match='got "soon"'):
        parse_moment("soon")
