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


_PAIRS = [base62(n, 2) for n in range(62 * 62)]
_LOW = len(_PAIRS) ** 2  # what the last four digits of a time can hold: 14.8 s


class IdMaker:
    """Makes ids of 13 characters of [0-9A-Za-z]: 9 of time in microseconds, 2 of the worker slot, 2 random
    ones of the process, so that a clock set back or a slot started again makes no id twice."""

    __slots__ = ("_high", "_last", "_prefix", "_tail")

    def __init__(self, slot: int) -> None:
        self._last = 0
        self._high = -1
        self._prefix = ""
        self._tail = base62(slot, 2) + secrets.choice(_PAIRS)

    def make(self, now: float) -> str:
        """The next id; ``now`` is seconds since 1970 UTC."""
        micros = int(now * 1_000_000)
        if micros <= self._last:
            micros = self._last + 1
        self._last = micros
        high, low = divmod(micros, _LOW)
        if high != self._high:
            self._high = high
            self._prefix = base62(high, 5)
        upper, lower = divmod(low, len(_PAIRS))
        return f"{self._prefix}{_PAIRS[upper]}{_PAIRS[lower]}{self._tail}"
