"""The ``[spool]`` table, and the grades of durability."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Durability = Literal["full", "relaxed", "none"]
"""``full``: 250 follows a synced commit. ``relaxed``: a power cut may take the last second's mail.
``none``: a power cut may take everything."""

JOURNAL_REGIONS = 8
_INLINE_IN_REGION = 4


class SpoolSettings(Struct, frozen=True, kw_only=True):
    """How accepted mail is kept until it is delivered."""

    map_size: Annotated[
        int,
        Meta(
            ge=16 << 20,
            le=1 << 46,
            description="Bytes a worker's database may grow to; address space only, the file grows with need.",
        ),
    ] = 64 << 30
    inline_limit: Annotated[
        int,
        Meta(ge=0, le=1 << 20, description="Bytes of a message above which its body gets a file of its own."),
    ] = 65_536
    reserve: Annotated[
        int,
        Meta(
            ge=1 << 20,
            le=1 << 40,
            description="Bytes of the database kept free of new mail: it is refused with 452 while what stands in "
            "the journal would need them. Each worker writes reserve and ahead together to the disk at its start.",
        ),
    ] = 64 << 20
    ahead: Annotated[
        int,
        Meta(
            ge=1 << 20,
            le=1 << 36,
            description="Bytes by which a worker's database file is grown ahead of its need: a full disk shows "
            "before the space is needed. Each worker writes ahead and reserve together to the disk at its start.",
        ),
    ] = 64 << 20
    journal: Annotated[
        int,
        Meta(
            ge=1 << 20,
            le=1 << 36,
            description="Bytes of a worker's journal, where mail stands first; what is delivered before the journal "
            "has gone round never enters the database. Three eighths are written at the start, the rest with need.",
        ),
    ] = 128 << 20
    pack_messages: Annotated[
        int, Meta(ge=1, le=10_000, description="Messages that share one commit at most.")
    ] = 256
    pack_bytes: Annotated[int, Meta(ge=65_536, le=64 << 20, description="Bytes of one commit at most.")] = (
        4 << 20
    )

    def __post_init__(self) -> None:
        if self.region_bytes < _INLINE_IN_REGION * self.inline_limit:
            least = JOURNAL_REGIONS * _INLINE_IN_REGION
            raise ValueError(f"journal: expected at least {least} times inline_limit, got {self.journal}")

    @property
    def region_bytes(self) -> int:
        """Of each of the journal's parts: whole pages."""
        return self.journal // JOURNAL_REGIONS // 4096 * 4096
