"""The ``[ledger]`` table."""

from typing import Annotated

from msgspec import Meta, Struct


class LedgerSettings(Struct, frozen=True, kw_only=True):
    """What is kept of every message, for `fastsmtp trace`; docs/ledger.md."""

    enabled: Annotated[bool, Meta(description="Whether events are kept below data_dir/ledger.")] = True
    keep: Annotated[
        float,
        Meta(
            ge=3600,
            description="How long an event is kept at least; an eighth more at most.",
            extra={"unit": "seconds"},
        ),
    ] = 30 * 86_400
    max_size: Annotated[
        int,
        Meta(
            ge=8 << 20,
            description="Bytes that all of it may take; the oldest goes first, whatever `keep` says. A mail takes "
            "about half a kilobyte. Each worker's newest file, a 64th of this, is never removed.",
        ),
    ] = 4 << 30
