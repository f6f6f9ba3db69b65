"""The ``[auth]`` table: how clients may prove who they are."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fastsmtp.oauth.settings import OauthSettings

MechanismName = Literal["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]


class AuthSettings(Struct, frozen=True, kw_only=True):
    """How clients may log in. Whose passwords count is said in `[accounts]`. See docs/authentication.md."""

    mechanisms: Annotated[
        tuple[MechanismName, ...],
        Meta(
            description="SASL mechanisms that may be offered, in this order. Those that the backend of `[accounts]` "
            "cannot serve are left out, those for tokens without `[auth.oauth]`, and all without TLS. Empty: nobody "
            "can log in."
        ),
    ] = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")
    clear_on_loopback: Annotated[
        bool,
        Meta(description="Whether a client on this machine may log in without TLS."),
    ] = False
    oauth: OauthSettings | None = None
