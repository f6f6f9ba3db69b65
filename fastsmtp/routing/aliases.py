"""The ``[aliases]`` table: addresses that stand for others."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.config.bind import key_text
from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.addresses import Key, parse_address, parse_domain, spell
from fastsmtp.routing.alias_file import FileAlias

_OWNER = "owner-"


class Member(NamedTuple):
    """One address an alias stands for; without ``local`` it is the very user of ``domain``."""

    local: str | None
    domain: str

    def of(self, local: str) -> Key:
        """Local part and domain when the alias was reached as ``local``."""
        return (local if self.local is None else self.local), self.domain

    def __str__(self) -> str:
        return f"@{self.domain}" if self.local is None else spell(self.local, self.domain)


class Alias(NamedTuple):
    """``place`` is where it stands in the settings, ``owner`` the address that bounces of what goes through it
    are sent to, or None. ``filed``: it stands in the file of aliases, which others write."""

    place: str
    members: tuple[Member, ...]
    owner: str | None
    filed: bool = False

    @property
    def fixed(self) -> bool:
        """Whether it stands for the same addresses however it was reached."""
        return all(member.local is not None for member in self.members)


class AliasTable:
    """Aliases by address, and by domain those that catch what nobody else receives. An alias is a list with an
    owner when there is an alias ``owner-NAME`` in the same domain. Raises `SettingsError`."""

    def __init__(self, settings: Mapping[str, Sequence[str]]) -> None:
        self._addresses: dict[Key, Alias] = {}
        self._domains: dict[str, Alias] = {}
        problems: list[str] = []
        keys: dict[Key, str] = {}
        for text in settings:
            place = f"aliases.{key_text(text)}"
            try:
                key = ("", parse_domain(text[1:])) if text.startswith("@") else _key(text)
            except ValueError:
                problems.append(f'{place}: expected "user@domain" or "@domain", got "{text}"')
                continue
            first = keys.setdefault(key, text)
            if first != text:
                problems.append(f'{place}: it is "{first}" too')
        for key, text in keys.items():
            place = f"aliases.{key_text(text)}"
            try:
                members = tuple(_members(settings[text], catch_all=not key[0]))
            except ValueError as error:
                problems.append(f"{place}{error}")
                continue
            if not key[0]:
                self._domains[key[1]] = Alias(place, members, None)
                continue
            owner = keys.get(owner_key(key))
            self._addresses[key] = Alias(place, members, owner)
        if problems:
            raise SettingsError(problems)

    def add(self, filed: Mapping[str, FileAlias], domains: Sequence[str]) -> None:
        """The names of the file of aliases too, in each of ``domains``; what is there already goes first."""
        for name, (place, texts) in filed.items():
            for domain in domains:
                key = canonical_local(name), canonical_domain(domain)
                if key not in self._addresses:
                    members = _members(
                        [text if "@" in text else f"{text}@{domain}" for text in texts], catch_all=False
                    )
                    owned = owner_key(key)
                    owner = spell(*owned) if owned[0] in filed or owned in self._addresses else None
                    self._addresses[key] = Alias(place, tuple(members), owner, True)

    def drop(self, key: Key) -> None:
        """There is no such alias."""
        del self._addresses[key]

    def named(self, local: str, domain: str) -> Alias | None:
        """The alias of this very address, in canonical form."""
        return self._addresses.get((local, domain))

    def catch_all(self, domain: str) -> Alias | None:
        """The alias of what nobody else receives in ``domain``."""
        return self._domains.get(domain)

    def entries(self) -> Iterator[tuple[Key, Alias]]:
        """All of them; the local part of a catch-all is empty."""
        yield from self._addresses.items()
        for domain, alias in self._domains.items():
            yield ("", domain), alias

    def domains(self) -> set[str]:
        """Every domain that is named."""
        members = {canonical_domain(one.domain) for _, alias in self.entries() for one in alias.members}
        return members | {domain for (_, domain), _ in self.entries()}


def alias_of(place: str, texts: Sequence[str], *, catch_all: bool, owner: str | None) -> Alias:
    """The alias that stands for ``texts``, in the form of the ``[aliases]`` table. Raises ValueError."""
    return Alias(place, tuple(_members(texts, catch_all=catch_all)), owner)


def owner_key(key: Key) -> Key:
    """The address of the list ``key``'s owner."""
    return _OWNER + key[0], key[1]


def _key(text: str) -> Key:
    address = parse_address(text)
    return canonical_local(address.local), canonical_domain(address.domain)


def _members(texts: Sequence[str], *, catch_all: bool) -> Iterator[Member]:
    if not texts:
        raise ValueError(": expected at least one address")
    for i, text in enumerate(texts):
        place = f"[{i}]" if len(texts) > 1 else ""
        try:
            if text.startswith("@") and catch_all:
                yield Member(None, parse_domain(text[1:]))
            else:
                address = parse_address(text)
                yield Member(address.local, address.domain)
        except ValueError:
            forms = '"user@domain" or "@domain"' if catch_all else '"user@domain"'
            raise ValueError(f'{place}: expected {forms}, got "{text}"') from None
