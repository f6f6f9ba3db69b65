"""The ``[delivery]`` table."""

from typing import Annotated

from msgspec import Meta, Struct


class QueueSettings(Struct, frozen=True, kw_only=True):
    """How queued mail is delivered."""

    hold: Annotated[
        bool,
        Meta(description="Accept and keep mail, but deliver none; it goes on at a start without this."),
    ] = False
