"""What each kind of listener is for, as data: who may come how, and what is done for them. docs/listeners.md."""

from typing import Literal

from msgspec import Struct

Protocol = Literal["smtp", "submission", "submissions", "lmtp"]


class Profile(Struct, frozen=True, kw_only=True):
    """One kind of listener.

    ``implicit_tls``: a connection begins with TLS (RFC 8314 §3); ``offers_starttls``: it may begin later (RFC 3207),
    when there is a certificate. ``demands_tls``, ``demands_auth``: no mail without. ``offers_auth``: one may log in.
    ``relays``: whoever has logged in, or comes from a trusted network, may send to every domain; else only mailboxes
    here are delivered to. ``completes``: a missing Message-ID or Date is added (RFC 6409 §8). ``holds``: the
    sender may say when a message is to go out (RFC 4865). ``lmtp``: RFC 2033.
    """

    implicit_tls: bool = False
    offers_starttls: bool = True
    demands_tls: bool = False
    demands_auth: bool = False
    offers_auth: bool = True
    relays: bool = True
    completes: bool = False
    holds: bool = False
    lmtp: bool = False


PROFILES: dict[Protocol, Profile] = {
    "smtp": Profile(),
    "submission": Profile(demands_tls=True, demands_auth=True, completes=True, holds=True),
    "submissions": Profile(
        implicit_tls=True,
        offers_starttls=False,
        demands_tls=True,
        demands_auth=True,
        completes=True,
        holds=True,
    ),
    "lmtp": Profile(offers_auth=False, relays=False, lmtp=True),
}
