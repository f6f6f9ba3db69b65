"""Addresses as settings and envelopes write them: read, spelled, and brought to the form they are looked up by."""

import re
import unicodedata

from fastsmtp.accounts.names import canonical_domain
from fastsmtp.config.values import check_hostname
from fastsmtp.mail.address import Address
from fastsmtp.smtp.grammar import parse_mailbox

Key = tuple[str, str]
"""Local part and domain in canonical form: what tables are looked up by."""

# RFC 5321 §4.1.2 atext, dots anywhere, and RFC 6531 §3.3: what needs no quotes.
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.\u00a0-\U0010ffff]+")


def parse_address(text: str) -> Address:
    """``user@domain`` as RCPT would name it; raises ValueError. The local part is taken as it stands: a ``%``,
    ``!`` or ``@`` in it is a letter like others, and a source route is refused."""
    address = parse_mailbox(text)
    if address is None or address.text != text:
        raise ValueError(f'expected an address such as "alice@example.org", got "{text}"')
    return address


def parse_domain(text: str) -> str:
    """A domain, or an address literal in brackets, in canonical form; raises ValueError."""
    address = parse_mailbox(f"x@{text}")
    if address is None or address.domain != text:
        raise ValueError(f'expected a domain such as "example.org", got "{text}"')
    domain = canonical_domain(text)
    return domain if domain.startswith("[") else check_hostname(domain)


def spell(local: str, domain: str) -> str:
    """``local@domain`` with the local part in quotes where it needs them (RFC 5321 §4.1.2)."""
    if not _PLAIN.fullmatch(local):
        local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
    return f"{local}@{domain}"


def split(text: str) -> Key:
    """Local part (unquoted) and domain of an address that an envelope holds."""
    local, _, domain = text.rpartition("@")
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return local, domain


def names_host(local: str) -> bool:
    """Whether a local part (unquoted) may tell a server behind us where to send the mail on: ``user%host``,
    ``host!user``, ``user@host``, also in full-width letters."""
    plain = local if local.isascii() else unicodedata.normalize("NFKC", local)
    return any(mark in plain for mark in "%!@")
