"""How the queue reads: columns that fit, ages, sizes."""

import pytest

from fastsmtp.cli.queue_text import Page, Rows, age, cell, columns, message, octets, reason, site
from fastsmtp.control.queue import RecipientRow, Shown, SiteRow, TryRow
from tests.fakes.queue_desk import NOW, row


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0.4, "0s"), (59, "59s"), (60, "1m"), (3600, "1h"), (90_000, "1d"), (8.64e7, "1000d")],
)
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0K"),
        (4096, "4.0K"),
        (10_240, "10K"),
        (1 << 20, "1.0M"),
        (5 << 40, "5T"),
    ],
)
def test_octets(size: int, text: str) -> None:
    assert octets(size) == text


@pytest.mark.parametrize(
    "size", [10**power - 1 for power in range(1, 15)] + [1 << power for power in range(45)]
)
def test_octets_fit_their_column(size: int) -> None:
    assert len(octets(size)) <= 5


def test_cells_have_their_width_whatever_is_in_them() -> None:
    assert cell("abc", 5, cut=True) == "abc  "
    assert cell("abcdef", 5, cut=True) == "abcd…"
    assert cell("\x1b[2J\n", 5, cut=True) == "?[2J "
    for text in ("日本語テスト", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", "x" * 50, "", "\u202e" * 9):
        assert columns(cell(text, 5, cut=True)) == 5
    assert cell("日本語", 5, cut=True) == "日本…"


@pytest.mark.parametrize("width", [80, 100, 200])
def test_rows_fit_their_width(width: int) -> None:
    rows = Rows(width, NOW)
    long = row(
        10**7,
        size=10**12,
        sender="s" * 90 + "@example.org",
        waiting=1000,
        recipients=[
            RecipientRow(address="日" * 50 + "@far.test", reply="no " * 90, code=450, enhanced="4.2.0")
        ],
    )
    line = rows.line(long)
    assert columns(line) <= width
    assert " +999 " in line
    assert len(rows.head()) <= width
    assert rows.line(row(1)).index("450 4.2.0") == rows.head().index("REASON")


def test_elsewhere_nothing_is_cut() -> None:
    line = Rows(None, NOW).line(row(1, sender="s" * 90 + "@example.org"))
    assert "s" * 90 + "@example.org" in line
    assert line.endswith("450 4.2.0 mailbox busy")


def test_null_sender_and_reasons() -> None:
    assert " <> " in Rows(100, NOW).line(row(1, sender=""))
    assert reason(RecipientRow(address="a@b", why="first attempt")) == "first attempt"
    assert reason(RecipientRow(address="a@b", reply="connection refused")) == "connection refused"
    assert reason(RecipientRow(address="a@b", code=451)) == "451"
    twice = RecipientRow(address="a@b", code=451, enhanced="4.7.1", reply="4.7.1 later")
    assert reason(twice) == "451 4.7.1 later"
    raised = RecipientRow(address="a@b", code=535, enhanced="4.7.8", reply="5.7.8 wrong password")
    assert reason(raised) == "535 5.7.8 wrong password"
    other = RecipientRow(address="a@b", code=550, enhanced="5.1.0", reply="2.1.5 ok")
    assert reason(other) == "550 5.1.0 2.1.5 ok"
    bare = RecipientRow(address="a@b", enhanced="4.4.2", reply="the server closed the connection")
    assert reason(bare) == "4.4.2 the server closed the connection"


def test_a_site_that_may_be_tried_at_any_moment() -> None:
    one = SiteRow(
        name="mx\x07.test",
        health="new",
        window=1,
        in_flight=1,
        waiting=1234,
        next_at=None,
        reason="",
        since=NOW,
        attempts=0,
    )
    assert list(site(one, NOW, Page(None))) == ["new         1,234    1     -  mx?.test"]


def test_a_site_takes_several_lines_of_a_terminal() -> None:
    one = SiteRow(
        name="mx.far.test",
        health="failing",
        window=1,
        in_flight=0,
        waiting=1_000_000,
        next_at=NOW + 90,
        reason="unreachable, 12 attempts in a row: connect to mx.far.test[192.0.2.1]:25: Connection refused",
        since=NOW,
        attempts=12,
    )
    assert len(list(site(one, NOW, Page(None)))) == 1
    text = list(site(one, NOW, Page(40)))
    assert text[0].startswith("failing  1,000,000    0    2m  mx.far.test: unreachable, 12")
    assert len(text) > 1
    assert max(map(columns, text)) <= 80
    assert {line[:30] for line in text[1:]} == {" " * 30}


@pytest.mark.parametrize("word", ["x", "漢字", "e\u0301", "x" * 300, "漢" * 100])
def test_what_is_folded_loses_nothing_and_fits(word: str) -> None:
    text = " ".join([word] * 40)
    folds = list(Page(80).fold("  label     ", text))
    assert max(map(columns, folds)) <= 80
    assert folds[0].startswith("  label     ")
    assert all(line.startswith(" " * 12) and line.strip() for line in folds[1:])
    assert "".join(line[12:].replace(" ", "") for line in folds) == text.replace(" ", "")
    assert list(Page(80).fold("  label     ", "")) == ["  label"]
    assert list(Page(None).fold("  label     ", text)) == [f"  label     {text}"]


def test_a_whole_message_fits() -> None:
    long = "x" * 200
    one = RecipientRow(
        address=f"{long}@far.test", original=long, params={"ORCPT": long}, site=long, route=long, why=long,
        attempts=9, left_out=7, tries=[TryRow(at=NOW, reply=f"{long} {long}", remote=long), TryRow(at=NOW)],
    )  # fmt: skip
    shown = Shown(
        id="Q" * 13, state="held", queued_at=NOW, size=10**9, sender=long, params={"ENVID": long},
        client_ip="2001:db8::1", helo=long, protocol="ESMTP", recipients=[one], waiting=1,
        head=f"Subject: {long}\r\n\t{long}\r\n".encode(), hops=["a.test:25"] * 9,
    )  # fmt: skip
    text = list(message(7, shown, NOW, Page(80)))
    assert max(map(columns, text)) <= 80
    assert "  ...       7 attempts that are not kept" in text
