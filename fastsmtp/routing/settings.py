"""The ``[relay]`` table."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.values import parse_network


class RelaySettings(Struct, frozen=True, kw_only=True):
    """Who may send to other domains than ours. Relaying itself is not there yet: until then they get 550
    5.7.1 too, with a text that says so."""

    networks: Annotated[
        tuple[str, ...],
        Meta(
            description='Networks that may send to other domains, such as `"10.0.0.0/8"` or `"::1"`.',
            examples=[["127.0.0.0/8", "::1"]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        for i, text in enumerate(self.networks):
            try:
                parse_network(text)
            except ValueError as error:
                raise ValueError(f"networks[{i}]: {error}") from None
