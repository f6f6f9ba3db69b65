"""What a route's ``to`` says."""

from collections.abc import Sequence
from typing import Final, Literal

from fastsmtp.accounts.names import canonical_domain
from fastsmtp.config.values import parse_host_port
from fastsmtp.mail.reply import Reply
from fastsmtp.routing.addresses import parse_domain, split
from fastsmtp.routing.route import Hop, TlsPolicy

LOCAL: Final = "local"
MX_PORT = 25
_LONGEST_TEXT = 400

Destination = tuple[Hop, ...] | Literal["local"] | Reply
"""Hops, of which one of kind ``mx`` with an empty host stands for the recipient's domain; or the mailboxes here; or
the reply that refuses."""

HOPS_UNUSABLE: Final = Reply(451, "3.5", "the hops that it was given by hand cannot be used")

FORMS = '"host:port", "lmtp:host:port", "mx", "mx:domain", "local" or "reject:text"'


def parse_destination(
    to: Sequence[str], credentials: str | None = None, tls: TlsPolicy | None = None
) -> Destination:
    """The destination that the texts of ``to`` describe together. Raises ValueError, its text beginning with the
    key.

    A password goes to nobody else: with ``credentials`` the certificate is to be verified unless ``tls`` says
    otherwise, and MX hosts, which whoever runs the domain chooses, get none.
    """
    if not to:
        raise ValueError(f"to: expected {FORMS}")
    if credentials is not None and tls is None:
        tls = "verify"
    hops = []
    for i, text in enumerate(to):
        key = f"to[{i}]" if len(to) > 1 else "to"
        try:
            one = _parse(text, credentials, tls)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
        if isinstance(one, Hop):
            if credentials is not None and one.kind == "mx":
                raise ValueError(f'credentials: they are for hosts that are named, not for "{text}"')
            hops.append(one)
        elif len(to) > 1:
            raise ValueError(f'{key}: "{text}" stands alone, not in a list')
        elif credentials is not None:
            raise ValueError(f'credentials: nobody to log in at with to = "{text}"')
        else:
            return one
    if len(set(hops)) < len(hops):
        raise ValueError("to: the same host stands in the list twice")
    return tuple(hops)


def given_hops(to: tuple[str, ...], address: str) -> tuple[Hop, ...] | Reply:
    """Where mail for ``address`` goes that an operator has given hops of its own, by texts as in a route's ``to``;
    451 where these are no hops: it waits for better ones."""
    try:
        hops = parse_hops(to)
    except ValueError:
        return HOPS_UNUSABLE
    return hops_for(hops, canonical_domain(split(address)[1]))


def hops_for(hops: tuple[Hop, ...], domain: str) -> tuple[Hop, ...]:
    """Those of a route for mail to ``domain``. A literal is its own host (RFC 5321 §5.1)."""
    return tuple(_filled(hop, domain) for hop in hops)


def _filled(hop: Hop, domain: str) -> Hop:
    if hop.host:
        return hop
    if domain.startswith("["):
        literal = domain[1:-1]
        return Hop("smtp", literal[5:] if literal[:5] == "ipv6:" else literal, hop.port, None, hop.tls)
    return Hop("mx", domain, hop.port, None, hop.tls)


def parse_hops(to: Sequence[str]) -> tuple[Hop, ...]:
    """The other hosts that the texts of ``to`` describe. Raises ValueError as `parse_destination` does, and for what
    is no other host."""
    found = parse_destination(to)
    if not isinstance(found, tuple):
        raise ValueError(
            f'to: "{to[0]}" is no other host; expected "host:port", "lmtp:host:port", "mx" or "mx:domain"'
        )
    return found


def hop_text(hop: Hop) -> str:
    """``hop`` as in ``to``; what credentials and TLS belong to it is not said."""
    if hop.kind == "mx":
        return f"mx:{hop.host}" if hop.host else "mx"
    host = f"[{hop.host}]" if ":" in hop.host else hop.host
    return f"{'lmtp:' if hop.kind == 'lmtp' else ''}{host}:{hop.port}"


def _parse(text: str, credentials: str | None, tls: TlsPolicy | None) -> Hop | Literal["local"] | Reply:
    kind, colon, rest = text.partition(":")
    if text == "local":
        return LOCAL
    if kind == "mx":
        return Hop("mx", parse_domain(rest) if colon else "", MX_PORT, None, tls)
    if kind == "reject" and colon:
        words = rest.strip()
        if not words or not words.isascii() or not words.isprintable() or len(words) > _LONGEST_TEXT:
            raise ValueError(f"expected up to {_LONGEST_TEXT} printable ASCII letters behind reject:")
        return Reply(550, "7.1", words)
    try:
        host, port = parse_host_port(rest if kind == "lmtp" else text)
    except ValueError as error:
        if ":" in text and "HOST:PORT" not in str(error):
            raise
        raise ValueError(f'expected {FORMS}, got "{text}"') from None
    return Hop("lmtp" if kind == "lmtp" else "smtp", host.lower(), port, credentials, tls)
