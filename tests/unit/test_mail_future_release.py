"""When a message may go out, as its envelope says it (RFC 4865, RFC 3339)."""

import pytest

from fastsmtp.mail.future_release import date_time, parse_date_time, release_at, request, without_request


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01t00:01:00z", 60.0),
        ("1970-01-01T00:01:00+00:00", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("1969-12-31T22:31:00-01:30", 60.0),
        ("1970-01-01T00:01:00.5Z", 60.5),
        ("1970-01-01T00:01:00.1234567Z", 60.123456),
        ("2026-11-24T13:30:00Z", 1_795_527_000.0),
        ("9999-12-31T23:59:59Z", 253_402_300_799.0),
    ],
)
def test_a_date_time(text: str, at: float) -> None:
    assert parse_date_time(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24",
        "2026-11-24T13:30Z",
        "2026-11-24T13:30:00",
        "2026-11-24 13:30:00Z",
        "2026-11-24T13:30:00+1",
        "2026-11-24T13:30:00+24:00",
        "2026-02-30T13:30:00Z",
        "2026-11-24T25:30:00Z",
        "2026-11-24T13:30:60Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T13:30:00.Z",
        "2026-W48-2T13:30:00Z",
        "0000-01-01T00:00:00Z",
        "\u0662026-11-24T13:30:00Z",
        "20261124T133000Z",
    ],
)
def test_what_is_none(text: str) -> None:
    assert parse_date_time(text) is None


def test_a_time_in_words() -> None:
    assert date_time(1_795_527_000.9) == "2026-11-24T13:30:00Z"


@pytest.mark.parametrize(
    ("params", "at", "wish"),
    [
        (None, None, ""),
        ({"BODY": "7BIT"}, None, ""),
        ({"HOLDFOR": "60"}, 1060.0, "for;60"),
        ({"HOLDUNTIL": "1970-01-01T00:01:00Z"}, 60.0, "until;1970-01-01T00:01:00Z"),
    ],
)
def test_what_a_sender_wants(params: dict[str, str] | None, at: float | None, wish: str) -> None:
    assert release_at(params, 1000.0) == at
    assert request(params) == wish


def test_what_was_wanted_is_done() -> None:
    assert without_request({"HOLDFOR": "60", "BODY": "7BIT"}) == {"BODY": "7BIT"}
    assert without_request({"HOLDUNTIL": "1970-01-01T00:01:00Z"}) is None
    assert without_request(None) is None
