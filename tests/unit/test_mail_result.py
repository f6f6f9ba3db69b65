"""DeliveryResult: what the spool will keep of an attempt, and nobody changes."""

import msgspec
import pytest

from fastsmtp.mail.result import DeliveryResult, printable

RESULT = DeliveryResult(2, "deferred", 451, "4.7.1", "come back later", "mx.far.test[192.0.2.1]:25", "smtp")


def test_comes_back_from_its_packed_form() -> None:
    packed = msgspec.msgpack.encode(RESULT)
    assert msgspec.msgpack.decode(packed, type=DeliveryResult) == RESULT
    assert len(packed) < 80  # field names are not kept


def test_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        RESULT.status = "failed"  # type: ignore[misc]


def test_a_status_nobody_knows_is_refused() -> None:
    packed = msgspec.msgpack.encode((0, "eaten", 250, "2.0.0", "", "", "smtp"))
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(packed, type=DeliveryResult)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  no such user ", "no such user"),
        ("a\r\nb\x00\x1b[31m", "a??b??[31m"),
        ("tur\u202enotes\u2028", "tur?notes"),
        ("Größe ist 名前", "Größe ist 名前"),
        ("x" * 500, "x" * 500),
        ("x" * 501, "x" * 499 + "…"),
        ("", ""),
    ],
)
def test_what_others_say_becomes_one_printable_line(text: str, line: str) -> None:
    assert printable(text) == line


def test_a_line_may_be_shorter() -> None:
    assert printable("x" * 30, 10) == "x" * 9 + "…"
