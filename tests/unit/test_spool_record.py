"""Records, packs and singles: whole, cut and damaged at every byte."""

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.record import (
    Damaged,
    Letter,
    filed_record,
    read_pack,
    read_record,
    read_single,
    record_of,
    record_parts,
    single,
)


def envelope(number: int = 0) -> Envelope:
    return Envelope(
        f"ID{number:011}",
        "ä@example.org",
        [Recipient("User+tag@Example.org", "user@example.org", {"NOTIFY": "NEVER"}), Recipient("b@c", "b@c")],
        "192.0.2.1",
        "helo",
        "ESMTP",
        1.5,
        {"SIZE": "3"},
    )


def record(number: int = 0, body: bytes = b"the body") -> bytes:
    return b"".join((*record_parts(envelope(number), b"prefix", body), b"prefix", body))


def test_a_record_is_read_back() -> None:
    data = record()
    letter, end = read_record(data)
    assert letter.envelope == envelope()
    assert data[letter.offset : letter.offset + letter.length] == b"prefixthe body"
    assert (end, letter.filed, letter.pending, letter.deaths) == (len(data), False, None, 0)


def test_a_filed_record_says_the_size_of_the_file() -> None:
    data = filed_record(envelope(), 12_345_678_901)
    letter, end = read_record(data)
    assert (letter.filed, letter.length, end) == (True, 12_345_678_901, len(data))
    assert record_of(data, letter) == data


def test_a_pack_is_records_in_a_row() -> None:
    data = record(1) + filed_record(envelope(2), 9) + record(3, b"")
    letters = [one for one in read_pack(data) if isinstance(one, Letter)]
    assert [letter.envelope.id for letter in letters] == [envelope(n).id for n in (1, 2, 3)]
    assert record_of(memoryview(data), letters[0]) == record(1)


def test_a_single_says_who_is_left() -> None:
    data = single(record(4), [1], 2)
    letter, start = read_single(data)
    assert (letter.pending, letter.deaths, letter.envelope.id) == ([1], 2, envelope(4).id)
    assert data[start:] == record(4)
    assert record_of(data, letter) == record(4)


def test_damage_at_any_byte_is_seen_and_costs_one_record() -> None:
    first, second, third = record(1), record(2), record(3)
    for at in range(len(first), len(first) + len(second)):
        data = bytearray(first + second + third)
        data[at] ^= 0x41
        found = list(read_pack(data))
        whole = [one.envelope.id for one in found if isinstance(one, Letter)]
        damaged = [one for one in found if isinstance(one, Damaged)]
        assert whole == [envelope(1).id, envelope(3).id], at
        assert bytes(data[damaged[0].start : damaged[-1].end]) == bytes(data[len(first) : -len(third)])


@pytest.mark.parametrize("reader", [read_record, read_single])
def test_a_record_cut_short_is_damaged(reader: object) -> None:
    data = record() if reader is read_record else single(record(), [0], 0)
    for end in range(len(data)):
        with pytest.raises(Damaged):
            reader(data[:end])  # type: ignore[operator]
