"""The ``[delivery]`` and ``[bounces]`` tables."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.routing.addresses import parse_address


class QueueSettings(Struct, frozen=True, kw_only=True):
    """How queued mail is delivered."""

    hold: Annotated[
        bool,
        Meta(description="Accept and keep mail, but deliver none; it goes on at a start without this."),
    ] = False


class BounceSettings(Struct, frozen=True, kw_only=True):
    """What is told of mail that could not be delivered; docs/bounces.md."""

    postmaster: Annotated[
        str,
        Meta(
            description="Address that hears of mail without a sender that could not be delivered, such as bounces of "
            'bounces; `""`: nobody does, beside the log.',
            examples=["postmaster@example.org"],
        ),
    ] = ""

    def __post_init__(self) -> None:
        if self.postmaster:
            try:
                parse_address(self.postmaster)
            except ValueError as error:
                raise ValueError(f"postmaster: {error}") from None
