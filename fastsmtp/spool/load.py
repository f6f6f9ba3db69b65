"""How full a spool is, in figures that are at hand."""

from msgspec import Struct


class SpoolLoad(Struct, frozen=True, kw_only=True):
    """Messages that wait: ``local`` for mailboxes here, for other hosts ``fresh`` before their first attempt,
    ``deferred`` after one, ``held`` by an operator. ``used`` and ``most`` are bytes of the tree's file, ``readers``
    slots of LMDB that are taken. ``trouble``: mail is put off because storage fails or is full."""

    local: int
    fresh: int
    deferred: int
    held: int
    used: int
    most: int
    readers: int
    trouble: bool
