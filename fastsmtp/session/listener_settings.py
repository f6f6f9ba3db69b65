"""The ``[[listeners]]`` tables: where is listened, what is spoken there, and who is believed."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.values import Endpoint, parse_endpoint, parse_network
from fastsmtp.session.profile import PROFILES, Profile, Protocol


class ListenerSettings(Struct, frozen=True, kw_only=True):
    """One socket to listen on. The table may stand several times. See docs/listeners.md."""

    address: Annotated[
        str,
        Meta(
            description='IP address and port, such as `"127.0.0.1:2525"` or `"[::1]:2525"`; '
            "with port 0 the kernel chooses one.",
            examples=["127.0.0.1:2525"],
        ),
    ]
    protocol: Annotated[
        Protocol,
        Meta(
            description="What is spoken there. `smtp`: mail from other servers (port 25). `submission`: mail of "
            "users, who log in under STARTTLS (587). `submissions`: the same with TLS from the start (465). `lmtp`: "
            "mail for mailboxes here from a server in front."
        ),
    ] = "smtp"
    hide_client: Annotated[
        bool,
        Meta(description="Whether Received leaves out the address and name of clients that have logged in."),
    ] = False
    proxy: Annotated[
        tuple[str, ...],
        Meta(
            description='Networks of proxies, such as `["10.0.0.0/8"]`. From there each connection must begin with '
            "a header of the PROXY protocol (version 1 or 2), which says for whom it comes; from elsewhere such a "
            "header is refused.",
        ),
    ] = ()
    xclient: Annotated[
        tuple[str, ...],
        Meta(description="Networks of servers that may say by XCLIENT for whom they speak."),
    ] = ()

    def __post_init__(self) -> None:
        try:
            parse_endpoint(self.address)
        except ValueError as error:
            raise ValueError(f"address: {error}") from None
        for key, networks in (("proxy", self.proxy), ("xclient", self.xclient)):
            for text in networks:
                try:
                    parse_network(text)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from None

    @property
    def endpoint(self) -> Endpoint:
        """The address in parts."""
        return parse_endpoint(self.address)

    @property
    def profile(self) -> Profile:
        """What the protocol means."""
        return PROFILES[self.protocol]
