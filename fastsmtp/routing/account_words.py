"""Logins, aliases, senders and domains as people write them, brought to the form that accounts are kept in."""

from fastsmtp.accounts.names import canonical_domain, canonical_local, canonical_login
from fastsmtp.routing.addresses import parse_address
from fastsmtp.routing.addresses import parse_domain as _any_domain


def parse_login(text: str) -> str:
    """The canonical login of an account that may be made; raises ValueError."""
    login = canonical_login(text)
    if login is not None:
        try:
            parse_domain(parse_address(login).domain)
        except ValueError:
            login = None
    if login is None:
        raise ValueError(f'expected a login such as "alice@example.org", got "{text}"')
    return login


def parse_alias(text: str) -> str:
    """The canonical address of an alias, ``user@domain`` or ``@domain``; raises ValueError."""
    try:
        if text.startswith("@"):
            return f"@{_any_domain(text[1:])}"
        address = parse_address(text)
    except ValueError:
        raise ValueError(f'expected "user@domain" or "@domain", got "{text}"') from None
    return f"{canonical_local(address.local)}@{canonical_domain(address.domain)}"


def parse_sender(text: str) -> str:
    """An address that somebody may send as, canonical: ``user@domain``, ``@domain`` or ``*``; raises ValueError."""
    if text == "*":
        return text
    try:
        return parse_alias(text)
    except ValueError:
        raise ValueError(f'expected "user@domain", "@domain" or "*", got "{text}"') from None


def parse_domain(text: str) -> str:
    """A domain in canonical form; raises ValueError."""
    domain = _any_domain(text)
    if domain.startswith("["):
        raise ValueError(f'expected a domain such as "example.org", got "{text}"')
    return domain
