"""The envelope in a file of the maildrop."""

import pytest

from fastsmtp.maildrop.form import MARK, Drop, DropError, decoded, encoded


def test_there_and_back() -> None:
    drop = Drop("a@b", ("c", "\u00fc@d"), "Full Name", {"RET": "FULL"}, True)
    data = encoded(drop)
    assert data.endswith(b"\n\n")
    assert data[MARK : MARK + 1] == b"8"
    back = decoded(data[:-2])
    assert (back.sender, back.recipients, back.name, back.parameters, back.eight_bit) == (
        "a@b",
        ("c", "\u00fc@d"),
        "Full Name",
        {"RET": "FULL"},
        True,
    )


def test_nobody_and_the_user_are_two() -> None:
    assert decoded(encoded(Drop(None, ("a",)))[:-2]).sender is None
    assert decoded(encoded(Drop("", ("a",)))[:-2]).sender == ""


def test_a_line_cannot_be_smuggled_in() -> None:
    with pytest.raises(DropError, match="control character"):
        encoded(Drop("a\nrecipient b", ("c",)))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"fastsmtp maildrop 2 7\nrecipient a",
        b"fastsmtp maildrop 1 9\nrecipient a",
        b"fastsmtp maildrop 1 7",
        b"fastsmtp maildrop 1 7\nrecipient \xff",
        b"fastsmtp maildrop 1 7\nrecipient a\nuid 0",
    ],
)
def test_another_form_is_refused(head: bytes) -> None:
    with pytest.raises(DropError):
        decoded(head)
