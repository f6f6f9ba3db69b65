"""The Message-ID in a header (ext/fastsmtp/_core/header.pyx; twin: _py_header.py): by it senders ask where their mail
is (RFC 5322 §3.6.4)."""

MOST_HEADER: int
"""Octets of a header that are looked through."""
LONGEST: int
"""Characters of an id that are kept."""

def message_id(prefix: bytes, start: bytes | bytearray) -> str:
    """The first id in a header that begins with ``prefix``, whole lines of ours, and goes on with ``start``, which
    is looked at first; without its brackets, empty where there is none."""
