"""Plain twin of ext/fastsmtp/_core/ledger.pyx."""

from array import array
from collections.abc import Iterator

from typing_extensions import Buffer

_START = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_WORD = (1 << 64) - 1
_KINDS = {b"id": "i", b"about": "i", b"from": "f", b"to": "t", b"message_id": "m"}
_QUOTE, _COMMA, _COLON, _BACKSLASH = b'",:\\'
_OPEN, _CLOSE = b"{[", b"}]"


def key(kind: str, value: bytes) -> int:
    """See ledger.pyi."""
    number = (_START ^ ord(kind)) * _PRIME & _WORD
    for letter in value.lower():
        number = (number ^ letter) * _PRIME & _WORD
    return (number ^ number >> 32) & 0xFFFFFFFF


def entries(data: Buffer, base: int) -> bytes:
    """See ledger.pyi."""
    whole = bytes(data)
    if base + len(whole) > 1 << 32:
        raise ValueError("a ledger's segment has less than 4 GiB")
    found, at = array("Q"), 0
    while (end := whole.find(b"\n", at)) >= 0:
        found.extend(key(kind, value) << 32 | base + at for kind, value in _line_keys(whole[at:end]))
        at = end + 1
    return merge(found.tobytes())


def merge(runs: Buffer) -> bytes:
    """See ledger.pyi."""
    whole = bytes(runs)
    if len(whole) % 8:
        raise ValueError("not a whole number of entries")
    return array("Q", sorted(array("Q", whole), key=lambda entry: entry >> 32)).tobytes()


def _line_keys(line: bytes) -> Iterator[tuple[str, bytes]]:
    """Kind and value of each key, until something is not as it should be."""
    if line[:1] != b"{":
        return
    at = 1
    while line[at : at + 1] == b'"':
        close = _string_end(line, at + 1)
        if close < 0 or close + 2 >= len(line) or line[close + 1] != _COLON:
            return
        kind = _KINDS.get(line[at + 1 : close])
        at = close + 2
        if kind and line[at] == _QUOTE:
            close = _string_end(line, at + 1)
            if close < 0:
                return
            yield kind, line[at + 1 : close]
            at = close + 1
        elif kind and line[at] == _OPEN[1]:
            at += 1
            while line[at : at + 1] == b'"':
                close = _string_end(line, at + 1)
                if close < 0:
                    return
                yield kind, line[at + 1 : close]
                at = close + 1
                if line[at : at + 1] == b",":
                    at += 1
            if line[at : at + 1] != b"]":
                return
            at += 1
        else:
            at = _skip(line, at)
            if at < 0:
                return
        if line[at : at + 1] != b",":
            return
        at += 1


def _string_end(line: bytes, at: int) -> int:
    """The quote that ends the string whose first byte is at ``at``; -1 when none does."""
    while at < len(line):
        if line[at] == _QUOTE:
            return at
        at += 2 if line[at] == _BACKSLASH else 1
    return -1


def _skip(line: bytes, at: int) -> int:
    """What ends a value that is not looked at: a comma or a brace outside of all that it opens; -1 when none does."""
    depth = 0
    while at < len(line):
        letter = line[at]
        if letter == _QUOTE:
            at = _string_end(line, at + 1)
            if at < 0:
                return -1
        elif letter in _OPEN:
            depth += 1
        elif depth == 0 and letter in (_COMMA, _CLOSE[0]):
            return at
        elif letter in _CLOSE:
            depth -= 1
        at += 1
    return -1
