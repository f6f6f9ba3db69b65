"""Sizes of test messages, mixes of them, and the messages."""

import pytest

from fastsmtp.loadgen.sizes import LARGEST, SMALLEST, Share, as_chunk, as_data, cycle, message, parse_mix


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("4096", [(4096, 1)]),
        ("4k", [(4096, 1)]),
        ("1.5m", [(1_572_864, 1)]),
        ("10M", [(10 * 1024 * 1024, 1)]),
        ("4k:80,100k:15,10m:5", [(4096, 80), (102_400, 15), (10_485_760, 5)]),
        (" 1k , 2k:3", [(1024, 1), (2048, 3)]),
    ],
)
def test_sizes_and_mixes_are_read(text: str, shares: list[tuple[int, int]]) -> None:
    assert parse_mix(text) == tuple(Share(*share) for share in shares)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not a size"),
        ("4x", "is not a size"),
        ("-4", "is not a size"),
        ("4k:", "is not a size"),
        ("4k:a", "is not a size"),
        ("4k:0", "weight"),
        ("3", "between"),
        ("2g", "between"),
        ("4k:9999,5k:7", "add up"),
    ],
)
def test_bad_sizes_say_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_mix(text)


def test_a_cycle_holds_each_size_as_often_as_its_weight_says() -> None:
    sizes = cycle(parse_mix("4k:80,100k:15,10m:5"), seed=1)
    assert [sizes.count(size) for size in (4096, 102_400, 10_485_760)] == [16, 3, 1]
    assert sizes == cycle(parse_mix("4k:80,100k:15,10m:5"), seed=1)


def test_a_message_has_exactly_its_size_and_is_clean() -> None:
    for size in (*range(SMALLEST, 500), 4096, 10_000, 10_001, 1_048_576):
        content = message(size)
        assert len(content) == size
        assert b"\r\n\r\n" in content
        lines = content.split(b"\r\n")
        assert not any(b"\r" in line or b"\n" in line or line.startswith(b".") for line in lines)
        assert max(len(line) for line in lines) <= 998
        assert content.isascii()


def test_framing() -> None:
    assert as_data(b"a\r\n") == b"a\r\n.\r\n"
    assert as_data(b"a") == b"a\r\n.\r\n"
    assert as_chunk(b"abc") == b"BDAT 3 LAST\r\nabc"
    assert LARGEST == 2**30
