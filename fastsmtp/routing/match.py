"""Which recipients a route is for, and the table that finds the most specific one."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.addresses import parse_address, parse_domain
from fastsmtp.routing.destinations import Destination

Kind = Literal["address", "user", "domain", "subdomains", "any"]


class Match(NamedTuple):
    """``user@domain``, ``user@*``, ``domain``, ``*.domain`` or ``*``, each part in canonical form; what is left
    open is empty."""

    kind: Kind
    local: str
    domain: str


def parse_match(text: str) -> Match:
    """The match ``text`` stands for; raises ValueError."""
    local, at, domain = text.rpartition("@")
    try:
        if text == "*":
            return Match("any", "", "")
        if not at and text.startswith("*."):
            return Match("subdomains", "", parse_domain(text[2:]))
        if not at:
            return Match("domain", "", parse_domain(text))
        if domain == "*":
            return Match("user", canonical_local(parse_address(f"{local}@x").local), "")
        address = parse_address(text)
        return Match("address", canonical_local(address.local), canonical_domain(address.domain))
    except ValueError:
        raise ValueError(
            f'expected "user@domain", "user@*", "domain", "*.domain" or "*", got "{text}"'
        ) from None


class Rule(NamedTuple):
    """One route: ``text`` is its match as written, ``place`` where it stands in the settings."""

    match: Match
    destination: Destination
    text: str
    place: str


def parents(domain: str) -> Iterator[str]:
    """The domains above ``domain``, nearest first."""
    _, dot, domain = domain.partition(".")
    while dot:
        yield domain
        _, dot, domain = domain.partition(".")


class RuleTable:
    """All routes. The most specific wins, in the order of `Kind`, of two subdomain matches the longer one; the
    order in the file does not matter. Raises `SettingsError` when two have the same match."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules: dict[Match, Rule] = {}
        problems = []
        for rule in rules:
            first = self._rules.setdefault(rule.match, rule)
            if first is not rule:
                problems.append(f'{rule.place}.match: "{rule.text}" is that of {first.place} too')
        if problems:
            raise SettingsError(problems)

    def named(self, local: str, domain: str, *, here: bool) -> Rule | None:
        """The rule for this very recipient, or for this user in all domains that are served ``here``: those of
        others have users of the same name. Canonical form, here and below."""
        rule = self._rules.get(Match("address", local, domain))
        return rule or (self._rules.get(Match("user", local, "")) if here else None)

    def of_domain(self, domain: str) -> Rule | None:
        """The rule for exactly this domain."""
        return self._rules.get(Match("domain", "", domain))

    def around(self, domain: str) -> Rule | None:
        """The rule for the domains this one is among."""
        if not domain.startswith("["):
            for parent in parents(domain):
                rule = self._rules.get(Match("subdomains", "", parent))
                if rule is not None:
                    return rule
        return self._rules.get(Match("any", "", ""))

    def domains(self) -> set[str]:
        """Every domain that is named."""
        return {match.domain for match in self._rules}
