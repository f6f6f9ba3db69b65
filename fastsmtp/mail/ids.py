"""Queue ids: unique, in order of time, safe as file names and in header fields."""

import secrets

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 13


def base62(number: int, width: int) -> str:
    """``number`` in base 62, its digits in ASCII order, padded to ``width``."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


class IdMaker:
    """Makes ids of 13 characters of [0-9A-Za-z]: 9 of time in microseconds, 2 of the worker slot, 2 random
    ones of the process, so that a clock set back or a slot started again makes no id twice."""

    __slots__ = ("_last", "_tail")

    def __init__(self, slot: int) -> None:
        self._last = 0
        self._tail = base62(slot, 2) + base62(secrets.randbelow(62 * 62), 2)

    def make(self, now: float) -> str:
        """The next id; ``now`` is seconds since 1970 UTC."""
        micros = int(now * 1_000_000)
        if micros <= self._last:
            micros = self._last + 1
        self._last = micros
        return base62(micros, 9) + self._tail
