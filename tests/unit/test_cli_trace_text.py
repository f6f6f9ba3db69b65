"""How a story reads."""

import pytest

from fastsmtp.cli.queue_text import Page, columns
from fastsmtp.cli.trace_text import TraceRows, coming, followed, happened, state, told
from fastsmtp.control.queue import RecipientRow, Shown
from fastsmtp.ledger.line import Line, read_line
from fastsmtp.ledger.story import Story, story_of
from tests.tools.ledger import event

AT = 1_764_000_000.25


def lines(*raws: bytes) -> list[Line]:
    return [line for line in (read_line(raw[:-1]) for raw in raws) if line is not None]


@pytest.fixture
def story() -> Story:
    return story_of("A", lines(
        event("received", AT, id="A", sender="s@x.test", to=["b@y.test", "c@z.test"], size=4096, client="192.0.2.1",
              helo="h.test", protocol="ESMTPS", sync=0.0012, message_id="m@x", tls="TLSv1.3"),
        event("routed", AT + 0.01, id="A", to=["c@z.test"], route="*", hops=["mx:z.test"], site="mx:z.test"),
        event("delivered", AT + 0.06, id="A", to="b@y.test", mailbox="b@y.test", delay=0.06),
        event("deferred", AT + 1.5, id="A", to="c@z.test", relay="mx.z.test[192.0.2.2]:25", code=451,
              enhanced="4.7.1", reply="4.7.1 Greylisted", delay=1.5, duration=0.5, next_at=AT + 301.5),
    ))  # fmt: skip


def test_a_whole_story(story: Story) -> None:
    assert list(told(story, Page(None))) == [
        "A  1 delivered, 1 deferred of 2 recipients",
        "  from        s@x.test",
        "  to          b@y.test: delivered into b@y.test",
        "  to          c@z.test: deferred by mx.z.test[192.0.2.2]:25",
        "  Message-ID  m@x",
        "2025-11-24 UTC",
        "  16:00:00.250  +0.00s      received from h.test [192.0.2.1] by ESMTPS, 4,096 octets; TLSv1.3; on the "
        "disk after 1.2 ms",
        "  16:00:00.260  +0.01s      routed c@z.test: route *, to mx:z.test; site mx:z.test",
        "  16:00:00.310  +0.06s      delivered b@y.test into b@y.test",
        "  16:00:01.750  +1.50s      put off c@z.test: mx.z.test[192.0.2.2]:25 in 0.50s: 451 4.7.1 Greylisted; "
        "next at 2025-11-24 16:05:01 UTC",
    ]


def test_it_fits_a_terminal(story: Story) -> None:
    assert all(columns(line) <= 80 for line in told(story, Page(80)))
    assert all(columns(line) <= 80 for line in coming(story, None, AT, Page(80), "no server runs"))
    rows = TraceRows(80)
    assert columns(rows.message(story)) <= 80
    assert columns(rows.head()) <= 80 + 8


def test_what_comes_next_is_the_ledger_s_word_where_no_queue_answers(story: Story) -> None:
    assert list(coming(story, None, AT + 1.5, Page(None), "no server runs")) == [
        "next",
        "  c@z.test: tried again at 2025-11-24 16:05:01 UTC, in 5m (no server runs)",
    ]


def test_and_the_queue_s_where_one_does(story: Story) -> None:
    row = RecipientRow(address="C@z.test", next_at=AT + 60, why="its site is failing", route="*")
    shown = Shown(
        id="A", state="deferred", queued_at=AT, size=1, sender="", recipients=[row], waiting=1, params={},
        client_ip="", helo="", protocol="", head=b"",
    )  # fmt: skip
    assert list(coming(story, shown, AT, Page(None), ""))[1:] == [
        "  c@z.test: tried at 2025-11-24 16:01:00 UTC, in 1m; its site is failing; route *"
    ]


def test_nothing_comes_when_all_is_final() -> None:
    story = story_of("A", lines(event("sent", AT, id="A", to="b@y", relay="mx")))
    assert list(coming(story, None, AT, Page(None), "")) == []
    assert list(told(story, Page(None)))[1] == (
        "  from        not known: the begin of its story is not in the ledger (any more)"
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (event("sent", AT, to="b@y", relay="mx", code=250, reply="ok", tls="TLSv1.3"),
         "sent b@y: mx [TLSv1.3]: 250 ok"),
        (event("bounced", AT, to="b@y", relay="", code=0, enhanced="5.4.4", reply="no such domain"),
         "refused for good b@y: no host was reached: 5.4.4 no such domain"),
        (event("notified", AT, id="N", about="A", to="s@x", notice="failed", recipients=2),
         "told s@x (failed, 2 recipients) by message N"),
        (event("notified", AT, id="A", about="O", to="s@x", notice="failed", recipients=2),
         "made: a notification (failed) to s@x about message O"),
        (event("rejected", AT, client="192.0.2.9", stage="RCPT", code=550, enhanced="5.7.1", reply="no", to="b@y"),
         "refused 192.0.2.9 at RCPT (to b@y): 550 5.7.1 no"),
        (event("untold", AT, to="", reason="null sender"), "nobody is told about its recipients: null sender"),
        (event("changed", AT, action="reroute", hops=["mx"]), "by hand: reroute mx"),
        (event("lost", AT, sink="ledger", count=3), "3 events did not get into the ledger"),
        (event("fetched", AT, id="A", by="bob"), "fetched by=bob"),
        (event("server", AT, text="a\x1b[2J\nb"), "server: a?[2J?b"),
    ],
)  # fmt: skip
def test_events_in_words(raw: bytes, text: str) -> None:
    [line] = lines(raw)
    assert happened(line, "A") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "+0.00s"), (59.99, "+59.99s"), (61, "+1m01s"), (7320, "+2h02m"), (180_000, "+2d02h")],
)
def test_how_much_later(seconds: float, text: str) -> None:
    story = story_of(
        "A", lines(event("received", AT, id="A", to=[]), event("sent", AT + seconds, id="A", to="b@y"))
    )
    assert list(told(story, Page(None)))[-1].split()[1] == text


def test_rows(story: Story) -> None:
    rows = TraceRows(None)
    assert rows.message(story).split() == [
        "2025-11-24", "16:00:00", "A", "mixed", "s@x.test", "c@z.test", "+1", "451", "4.7.1", "Greylisted"
    ]  # fmt: skip
    [refused] = lines(event("rejected", AT, sender="s@x", to="b@y", code=550, reply="no"))
    assert rows.refusal(refused).split() == [
        "2025-11-24",
        "16:00:00",
        "-",
        "refused",
        "s@x",
        "b@y",
        "550",
        "no",
    ]
    assert state(story_of("A", lines(event("changed", AT, id="A", action="hold")))) == "no recipient is known"


def test_a_line_as_it_comes(story: Story) -> None:
    assert followed(story.lines[0]).startswith(
        "2025-11-24 16:00:00 A             s@x.test to b@y.test, c@z.test: received from h.test"
    )
    [line] = lines(event("delivered", AT, id="8DrP5Sb0P01GR", to="b@y", mailbox="b@y"))
    assert followed(line) == "2025-11-24 16:00:00 8DrP5Sb0P01GR delivered b@y into b@y"
