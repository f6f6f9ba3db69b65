"""What a ledger's lines can be looked up by (ext/fastsmtp/_core/ledger.pyx; twin: _py_ledger.py).

A line is one JSON object without blanks between its tokens. Its keys are the values of ``id``, ``about``, ``from``,
``to`` and ``message_id``, each a string or a list of strings, in the bytes that JSON has between the quotes; small
and capital letters of ASCII are one. Their kinds: ``i`` for both ids, ``f``, ``t``, ``m``.

An entry is a number of 64 bits in the machine's order: above, 32 bits of a key's hash; below, where its line begins.
Whoever finds a line by it has to see whether it is the one he wanted.
"""

from typing_extensions import Buffer

def key(kind: str, value: bytes) -> int:
    """The hash of a key, 32 bits."""

def entries(data: Buffer, base: int) -> bytes:
    """The entries of all lines in ``data``, the first of which begins at ``base``, sorted by hash, then by position.
    What follows the last line end is not looked at; of what is not such an object, only what comes before the fault.
    Raises ValueError when a position would not fit."""

def merge(runs: Buffer) -> bytes:
    """Sorted runs of entries, one after the other in the order of their lines, as one. Raises ValueError for what is
    no whole number of entries."""
