"""What events say together of a message and of each of its recipients."""

from pathlib import Path

import pytest

from fastsmtp.ledger.line import read_line
from fastsmtp.ledger.search import Ledger
from fastsmtp.ledger.story import facts, read_story, story_of, words
from tests.tools.ledger import Book, event


def test_of_a_message_to_several(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.put(
        event("received", 1.0, id="a", sender="s@x", to=["b@y", "c@z", "d@y"], size=9, message_id="m@x"),
        event("routed", 1.1, id="a", to=["C@z"], route="*", hops=["mx"]),
        event("delivered", 1.2, id="a", to="B@y", mailbox="b@y"),
        event("deferred", 2.0, id="a", to="c@z", relay="mx", code=451, reply="4.7.1 wait", next_at=9.0),
        event("deferred", 3.0, id="a", to="c@z", relay="mx", code=451, enhanced="4.7.1", reply="no", next_at=12.0),
        event("notified", 4.0, id="n", about="a", to="s@x", notice="delayed", recipients=1),
        event("received", 1.0, id="other", sender="s@x", to=["b@y"]),
    )  # fmt: skip
    story = read_story(Ledger(tmp_path), "a")
    assert story is not None
    assert (story.sender, story.size, story.message_id, story.begun, story.done) == (
        "s@x",
        9,
        "m@x",
        1.0,
        False,
    )
    assert (story.about, story.notices) == ("", ["n"])
    assert [
        (fate.address, fate.state, fate.attempts, fate.where, fate.words, fate.next_at)
        for fate in story.fates
    ] == [
        ("b@y", "delivered", 1, "b@y", "", 0),
        ("c@z", "deferred", 2, "mx", "451 4.7.1 no", 12.0),
        ("d@y", "waiting", 0, "", "", 0),
    ]
    notice = read_story(Ledger(tmp_path), "n")
    assert notice is not None
    assert (notice.about, notice.sender, [fate.address for fate in notice.fates]) == ("a", "", ["s@x"])
    assert read_story(Ledger(tmp_path), "none") is None
    assert facts(story)["recipients"][2] == {
        "address": "d@y", "state": "waiting", "at": 0.0, "attempts": 0, "where": "", "words": "", "next_at": 0.0
    }  # fmt: skip


@pytest.mark.parametrize("last", ["sent", "bounced", "expired", "failed", "delivered"])
def test_what_ends_it(last: str) -> None:
    lines = [read_line(event(kind, 1.0, id="a", to="b@y")[:-1]) for kind in ("deferred", last)]
    story = story_of("a", [line for line in lines if line is not None])
    assert (story.fates[0].state, story.done, story.sender) == (last, True, None)


def test_removed_by_hand() -> None:
    raws = [event("received", 1.0, id="a", sender="", to=["b@y", "c@y"]), event("delivered", 2.0, id="a", to="b@y"),
            event("changed", 3.0, id="a", action="remove")]  # fmt: skip
    story = story_of("a", [line for line in (read_line(raw[:-1]) for raw in raws) if line is not None])
    assert [fate.state for fate in story.fates] == ["delivered", "removed"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"code": 451, "enhanced": "4.7.1", "reply": "4.7.1 later"}, "451 4.7.1 later"),
        ({"code": 550, "enhanced": "5.1.1", "reply": "no such"}, "550 5.1.1 no such"),
        ({"code": 0, "enhanced": "4.4.1", "reply": "refused"}, "4.4.1 refused"),
        ({"reason": "why"}, "why"),
        ({}, ""),
    ],
)
def test_words(fields: dict[str, object], said: str) -> None:
    line = read_line(event("deferred", 1.0, **fields)[:-1])
    assert line is not None
    assert words(line) == said
