"""Queue ids."""

import re

from fastsmtp.mail.ids import LENGTH, IdMaker, base62


def test_the_form() -> None:
    maker = IdMaker(0)
    for now in (0.0, 1_700_000_000.123456, 1e10):
        assert re.fullmatch(rf"[0-9A-Za-z]{{{LENGTH}}}", maker.make(now))
    assert LENGTH >= 10


def test_ids_follow_time_as_text() -> None:
    maker = IdMaker(3)
    times = [1_700_000_000 + second * 0.7 for second in range(200)]
    ids = [maker.make(now) for now in times]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_a_time_can_be_read_back() -> None:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for now in (1_700_000_000.0, 1_700_000_014.776336, 1_700_000_014.776335):
        micros = 0
        for digit in IdMaker(0).make(now)[:9]:
            micros = micros * 62 + digits.index(digit)
        assert micros == int(now * 1_000_000)


def test_no_id_twice_when_the_clock_stands_or_goes_back() -> None:
    maker = IdMaker(1)
    ids = [maker.make(now) for now in [100.0] * 5000 + [99.0] * 5000 + [100.0] * 5000]
    assert len(set(ids)) == 15_000
    assert ids == sorted(ids)


def test_slots_and_lives_differ() -> None:
    assert IdMaker(1).make(1.0) != IdMaker(2).make(1.0)
    assert IdMaker(1).make(1.0)[9:11] == base62(1, 2)
    assert IdMaker(61 * 62).make(1.0)[9:11] == base62(61 * 62, 2)
    assert len({IdMaker(1).make(1.0) for _ in range(200)}) > 100


def test_base62() -> None:
    assert base62(0, 3) == "000"
    assert base62(61, 1) == "z"
    assert base62(62, 2) == "10"
    assert base62(62**3 - 1, 3) == "zzz"
