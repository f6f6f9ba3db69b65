"""Sizes of test messages: one size, or a mix with weights; and the messages themselves."""

import math
import random
import re
from collections.abc import Sequence
from typing import NamedTuple

_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_PART = re.compile(r"(\d+(?:\.\d+)?)([bkmg]?)(?::(\d+))?", re.IGNORECASE)
_HEADER = (
    b"From: bench <bench@localhost>\r\nTo: bench <bench@localhost>\r\nSubject: fastsmtp bench\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <bench@localhost>\r\n\r\n"
)
_SHORT_HEADER = b"Subject: bench\r\n\r\n"
_LINE = b"The quick brown fox jumps over the lazy dog, again and again, all day long.\r\n"
SMALLEST = len(_SHORT_HEADER)
LARGEST = 1024**3
_CYCLE = 10_000


class Share(NamedTuple):
    """One size in octets and how often it comes, relative to the others."""

    size: int
    weight: int


def parse_mix(text: str) -> tuple[Share, ...]:
    """Reads ``4096``, ``4k`` or ``4k:80,100k:15,10m:5`` (k, m and g are powers of 1024).

    Raises ValueError with one line that says what is wrong.
    """
    shares = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a size such as 4096, 4k or 10m, nor SIZE:WEIGHT")
        size = int(float(match[1]) * _UNITS[match[2].lower()])
        if not SMALLEST <= size <= LARGEST:
            raise ValueError(f"a message has between {SMALLEST} octets and 1 GiB, not {size}")
        weight = int(match[3] or 1)
        if weight < 1:
            raise ValueError(f"the weight of {part.strip()!r} must be at least 1")
        shares.append(Share(size, weight))
    if sum(share.weight for share in reduced(shares)) > _CYCLE:
        raise ValueError(f"the weights add up to more than {_CYCLE}")
    return tuple(shares)


def reduced(shares: Sequence[Share]) -> list[Share]:
    """The same mix with the smallest whole weights."""
    divisor = math.gcd(*(share.weight for share in shares))
    return [Share(share.size, share.weight // divisor) for share in shares]


def cycle(shares: Sequence[Share], seed: int) -> list[int]:
    """One round of sizes in which each comes as often as its weight says, shuffled; the same for a seed."""
    sizes = [share.size for share in reduced(shares) for _ in range(share.weight)]
    random.Random(seed).shuffle(sizes)  # noqa: S311 (an order of sizes, not a secret)
    return sizes


def message(size: int) -> bytes:
    """A message of exactly ``size`` octets that ends in CRLF and has no line that begins with a dot."""
    header = _HEADER if size >= len(_HEADER) + 2 else _SHORT_HEADER
    rest = size - len(header)
    if rest < 2:
        return header + b"x" * rest
    lines, odd = divmod(rest, len(_LINE))
    if odd == 1:
        lines, odd = lines - 1, odd + len(_LINE)
    if lines < 0:
        return header + b"x" * (rest - 2) + b"\r\n"
    last = b"x" * (odd - 2) + b"\r\n" if odd else b""
    return header + _LINE * lines + last


def as_data(content: bytes) -> bytes:
    """What follows 354: the message and its end (RFC 5321 §4.1.1.4)."""
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")


def as_chunk(content: bytes) -> bytes:
    """The message as one last chunk (RFC 3030 §2)."""
    return b"BDAT %d LAST\r\n" % len(content) + content
