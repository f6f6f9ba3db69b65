"""The ``[ledger]`` table."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.values import Duration


class LedgerSettings(Struct, frozen=True, kw_only=True):
    """What is kept of every message, for `fastsmtp trace`; docs/ledger.md."""

    enabled: Annotated[bool, Meta(description="Whether events are kept below data_dir/ledger.")] = True
    keep: Annotated[
        Duration,
        Meta(
            description="How long an event is kept at least, if `max_size` allows it; an eighth longer at most.",
            examples=["30d"],
            extra={"between": ("1h", "3650d")},
        ),
    ] = Duration(30 * 86_400)
    max_size: Annotated[
        int,
        Meta(
            ge=8 << 20,
            le=1 << 44,
            description="Bytes that all of it may take; the oldest goes first, whatever `keep` says. A mail takes "
            "some 700. What is being written, a 64th of this for each worker, is never removed.",
        ),
    ] = 4 << 30
