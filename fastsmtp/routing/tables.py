"""All that says where mail goes, built from the settings as one value that is exchanged as a whole.

An address is followed in this order: an alias of that name; a route for that very recipient; in domains that are
served here, whether it exists; the route of its domain; the alias that catches what nobody else receives.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from fastsmtp.accounts.base import Account, Directory
from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.accounts.static import POSTMASTER, SUB_ADDRESS
from fastsmtp.config.bind import key_text
from fastsmtp.config.errors import SettingsError
from fastsmtp.mail.reply import ALIAS_LOOP, ALIAS_TOO_LARGE, MAILBOX_UNKNOWN, Reply
from fastsmtp.routing.addresses import Key, spell, split
from fastsmtp.routing.alias_file import FileAlias
from fastsmtp.routing.aliases import Alias, AliasTable, alias_of, owner_key
from fastsmtp.routing.credentials import Credential
from fastsmtp.routing.destinations import LOCAL, MX_PORT, hops_for, parse_destination
from fastsmtp.routing.match import Rule, RuleTable, parse_match
from fastsmtp.routing.relay import Recipients, RelayRules
from fastsmtp.routing.route import Expansion, Hop, LocalRoute, RemoteRoute, Target
from fastsmtp.routing.settings import CredentialSettings, ForwardingSettings, RelaySettings, RouteSettings

DEEPEST = 32
"""Aliases that may follow each other."""
_IMPLIED = "*"
_DIRECTORY = "fastsmtp alias"
"""The place of an alias that stands in no file."""
_OWN_HOSTS = (Hop("mx", "", MX_PORT),)

Place = LocalRoute | RemoteRoute | Reply


class Trace(Protocol):
    """Is told each step of a decision: what it is about, in words, and where in the settings that stands."""

    def __call__(self, step: str, text: str, place: str = "") -> None:
        """One step."""


class _Work:
    """An expansion under way: the aliases above the address in hand, those already followed, what was found."""

    __slots__ = ("done", "found", "owner", "path", "trace")

    def __init__(self, trace: Trace | None) -> None:
        self.path: list[Key] = []
        self.done: set[Key] = set()
        self.found: dict[Key, tuple[Target, Place]] = {}
        self.owner: str | None = None
        self.trace = trace


class RoutingTables:
    """See the module. ``domains`` are ours; the first is that of the bare ``<postmaster>``. ``credentials`` are
    those of the routes by name."""

    def __init__(
        self,
        directory: Directory,
        *,
        domains: Sequence[str] = (),
        relay: RelayRules | None = None,
        rules: RuleTable | None = None,
        aliases: AliasTable | None = None,
        expansion: int = 1000,
        credentials: Mapping[str, Credential] | None = None,
    ) -> None:
        self.directory = directory
        self.relay = relay or RelayRules(RelaySettings())
        self.rules = rules or RuleTable([])
        self.aliases = aliases or AliasTable({})
        self.expansion = expansion
        self.credentials = dict(credentials or {})
        self.left_out: list[str] = []
        """The aliases of a file that lead nowhere, one line each."""
        homes = [canonical_domain(domain) for domain in domains]
        named = {*homes, *self.relay.domains(), *self.rules.domains(), *self.aliases.domains()}
        self._international = any("xn--" in domain for domain in named)

    @property
    def international(self) -> bool:
        """Whether a domain in U-labels can be one that is named here."""
        return self._international or self.directory.international

    def canonical(self, local: str, domain: str) -> Key:
        """The form in which addresses are compared. The bare ``<postmaster>`` has an empty ``domain``, and belongs
        to the first one of ours (RFC 5321 §4.5.1)."""
        name = canonical_local(local)
        if not domain and name == POSTMASTER:
            return name, self.directory.first_domain
        return name, canonical_domain(domain)

    def served(self, domain: str) -> bool:
        """Whether mail for ``domain`` (canonical) is taken from anybody."""
        return self.directory.local_domain(domain) or self.relay.covers(domain)

    # --- one address --------------------------------------------------------------------------

    def place(self, local: str, domain: str, trace: Trace | None = None, *, given: bool = False) -> Place:
        """Where mail for ``local@domain`` goes, without regard to aliases and to who sends it; 550 5.1.1 when
        nobody of that name is known in a domain that is served here. ``given``: the settings name this address,
        so that neither `relay.recipients` nor the next hop is asked."""
        key = name, home = self.canonical(local, domain)
        ours = self.directory.local_domain(home)
        relayed = not ours and self.relay.covers(home)
        account = self.directory.lookup(name, home) if ours else None
        rule = self._named(key, ours, relayed)
        verify = relayed and rule is None and not given and self.relay.verify
        if rule is None:
            if (ours and account is None) or (relayed and not given and not self.relay.knows(key)):
                return self._nobody(key, "mailboxes.users" if ours else "relay.recipients", trace)
            if verify:
                _tell(
                    trace,
                    "recipient",
                    f"{spell(*key)}: for strangers the next hop is asked",
                    "relay.recipients",
                )
            rule = self.rules.of_domain(home) or (None if ours else self.rules.around(home))
        if rule is None:
            if account is not None:
                _tell(
                    trace,
                    "route",
                    f"{spell(*key)}: in a mailbox, as no route says otherwise",
                    "mailboxes.domains",
                )
                return self._local(account)
            _tell(trace, "route", f"{spell(*key)}: to the hosts of its domain, as no route says otherwise")
            return RemoteRoute(hops_for(_OWN_HOSTS, home), _IMPLIED, verify)
        _tell(trace, "route", f'{spell(*key)}: match = "{rule.text}"', rule.place)
        if rule.destination == LOCAL:
            return self._nobody(key, "mailboxes.users", trace) if account is None else self._local(account)
        if isinstance(rule.destination, Reply):
            return rule.destination
        return RemoteRoute(hops_for(rule.destination, home), rule.text, verify)

    def _local(self, account: Account) -> LocalRoute:
        return LocalRoute(account.mailbox, self.directory.quota(account.mailbox))

    def _named(self, key: Key, ours: bool, relayed: bool) -> Rule | None:
        for name in _names(key, ours):
            rule = self.rules.named(name, key[1], here=ours or relayed)
            if rule is not None:
                return rule
        return None

    def _nobody(self, key: Key, place: str, trace: Trace | None) -> Reply:
        _tell(trace, "recipient", f"{spell(*key)}: nobody of that name", place)
        return MAILBOX_UNKNOWN

    # --- what it stands for -------------------------------------------------------------------

    def resolve(
        self, local: str, domain: str, trace: Trace | None = None
    ) -> LocalRoute | RemoteRoute | Expansion | Reply:
        """The same with aliases followed to their ends: an expansion when there was one. It is refused as a whole
        when one of its recipients is, so that nobody is left out in silence."""
        work = _Work(trace)
        refused = self._follow(work, local, domain)
        if refused is not None:
            return refused
        if not work.done:
            [(_, route)] = work.found.values()
            return route
        found = work.found.values()
        asked = tuple(
            (target.address, route)
            for target, route in found
            if isinstance(route, RemoteRoute) and route.verify
        )
        return Expansion(tuple(target for target, _ in found), asked)

    def _follow(self, work: _Work, local: str, domain: str, *, given: bool = False) -> Reply | None:
        key = name, home = self.canonical(local, domain)
        # An alias that names itself means the mailbox beside it.
        final = bool(work.path) and work.path[-1] == key
        alias = None if final else self.alias_named(self.alias_key(key))
        if alias is not None:
            return self._through(work, alias, key, local)
        place = self.place(local, domain, work.trace, given=given)
        if not isinstance(place, Reply):
            if isinstance(place, LocalRoute) and _base(name) == POSTMASTER:
                user = split(place.mailbox)
                if user != key and self.alias_named(user) is not None:
                    return self._follow(work, *user)  # mailboxes.postmaster names a user who has an alias
            return self._add(work, local, home, place)
        alias = self._catch_all(home) if place is MAILBOX_UNKNOWN and not final else None
        return place if alias is None else self._through(work, alias, key, local)

    def alias_key(self, key: Key) -> Key:
        """The address whose alias this one (both canonical) is reached by: itself, or without its tag. Itself too
        where there is no alias of that name."""
        for name in _names(key, self.directory.local_domain(key[1])):
            if self.alias_named((name, key[1])) is not None:
                return name, key[1]
        return key

    def alias_named(self, key: Key) -> Alias | None:
        """The alias of this very address (canonical): of the settings, or else of the directory."""
        found = self.aliases.named(*key)
        if found is not None:
            return found
        members = self.directory.alias(*key) if key[0] else None
        if members is None:
            return None
        owner = owner_key(key)
        owned = self.aliases.named(*owner) is not None or self.directory.alias(*owner) is not None
        return alias_of(_DIRECTORY, members, catch_all=False, owner=spell(*owner) if owned else None)

    def _catch_all(self, domain: str) -> Alias | None:
        found = self.aliases.catch_all(domain)
        members = None if found is not None else self.directory.alias("", domain)
        return found if members is None else alias_of(_DIRECTORY, members, catch_all=True, owner=None)

    def _through(self, work: _Work, alias: Alias, key: Key, local: str) -> Reply | None:
        if work.trace:
            members = ", ".join(spell(*member.of(local)) for member in alias.members)
            work.trace("alias", f"{spell(*key)} stands for {members}", alias.place)
            if alias.owner is not None:
                work.trace(
                    "owner", f"bounces of what goes through {spell(*key)} go to {alias.owner}", alias.place
                )
        if key in work.path or len(work.path) >= DEEPEST:
            return ALIAS_LOOP
        if key in work.done:
            return None
        work.done.add(key)
        work.path.append(key)
        owner, work.owner = work.owner, alias.owner or work.owner
        for member in alias.members:
            refused = self._follow(work, *member.of(local), given=member.local is not None)
            if refused is not None:
                return refused
        work.owner = owner
        work.path.pop()
        return None

    def _add(self, work: _Work, local: str, domain: str, place: LocalRoute | RemoteRoute) -> Reply | None:
        mailbox, quota = (place.mailbox, place.quota) if isinstance(place, LocalRoute) else ("", 0)
        # Elsewhere bob and Bob may be two (RFC 5321 §2.4).
        one = split(mailbox) if mailbox else (local, domain)
        if one not in work.found:
            if len(work.found) >= self.expansion:
                return ALIAS_TOO_LARGE
            work.found[one] = Target(spell(local, domain), mailbox, work.owner, quota), place
        return None

    # --- what is wrong with it ----------------------------------------------------------------

    def leave_out(self) -> list[str]:
        """Have no aliases that a file has and that lead nowhere: the one who keeps it has nothing to do with these
        settings, and a name such as postmaster is known without. One line for each."""
        lost = []
        for key, alias in self.aliases.entries():
            if alias.filed and isinstance(refused := self.resolve(*key), Reply):
                lost.append((key, f'{alias.place}: "{spell(*key)}" is left out: {" ".join(refused.text)}'))
        for key, _ in lost:
            self.aliases.drop(key)
        return [text for _, text in lost]

    def problems(self) -> Iterator[str]:
        """What is wrong with the aliases, seen together with everything else: one line each."""
        for (local, domain), alias in self.aliases.entries():
            if not self.served(domain):
                yield f'{alias.place}: "{domain}" is neither in mailboxes.domains nor in relay.domains'
                continue
            # A name nobody has stands for all that a catch-all may be asked for.
            refused = self.resolve(local or "\0", domain)
            if not isinstance(refused, Reply):
                continue
            words = " ".join(refused.text)
            if refused is ALIAS_LOOP:
                yield f"{alias.place}: {words}, or through more than {DEEPEST} aliases"
            elif refused is ALIAS_TOO_LARGE:
                yield f"{alias.place}: {words}, more than forwarding.expansion = {self.expansion}"
            else:
                for member in alias.members:
                    if member.local is not None and self._refuses(
                        member.local, member.domain, (local, domain)
                    ):
                        yield f"{alias.place}: {member}: {words}"

    def _refuses(self, local: str, domain: str, alias: Key) -> bool:
        """Whether this member of ``alias`` cannot be written to."""
        itself = self.canonical(local, domain) == alias
        found = self.place(local, domain, given=True) if itself else self.resolve(local, domain)
        return isinstance(found, Reply)


def _tell(trace: Trace | None, step: str, text: str, place: str = "") -> None:
    if trace is not None:
        trace(step, text, place)


def _base(name: str) -> str:
    return name.partition(SUB_ADDRESS)[0] or name


def _names(key: Key, ours: bool) -> tuple[str, ...]:
    """The local part, and in our domains, where ``user+tag`` is ``user``'s (RFC 5233), that without its tag."""
    base = _base(key[0])
    return (key[0], base) if ours and base != key[0] else (key[0],)


def build_tables(
    directory: Directory,
    *,
    domains: Sequence[str],
    relay: RelaySettings,
    routes: Sequence[RouteSettings],
    aliases: Mapping[str, Sequence[str]],
    credentials: Mapping[str, CredentialSettings],
    forwarding: ForwardingSettings,
    recipients: Recipients | None = None,
    logins: Mapping[str, Credential] | None = None,
    promised: Directory | None = None,
    filed: Mapping[str, FileAlias] | None = None,
) -> RoutingTables:
    """The tables of these settings; ``domains`` are ours, ``recipients``, ``logins`` and ``filed`` (aliases) what was
    read from files. An alias of a file that leads nowhere is left out, see `RoutingTables.left_out`.
    ``promised`` has everybody who may be in ``directory``, where that changes: aliases may lead to them. Raises
    `SettingsError` naming every fault by its place."""
    problems: list[str] = []
    homes = [canonical_domain(domain) for domain in domains]
    rules = []
    for i, route in enumerate(routes):
        rule = Rule(
            parse_match(route.match),
            parse_destination(route.to, route.credentials, route.tls),
            route.match,
            f"routes[{i}]",
        )
        served = rule.match.kind in ("address", "domain") and rule.match.domain in homes
        if rule.destination == LOCAL and not served:
            problems.append(
                f'{rule.place}.to: "local" is for addresses and domains of mailboxes.domains, not for "{route.match}"'
            )
        if route.credentials is not None and route.credentials not in credentials:
            problems.append(
                f"{rule.place}.credentials: there is no [credentials.{key_text(route.credentials)}] table"
            )
        rules.append(rule)
    for i, text in enumerate(relay.domains):
        if canonical_domain(text) in homes:
            problems.append(f'relay.domains[{i}]: "{text}" is in mailboxes.domains too')
    if relay.recipients is not None and not relay.domains:
        problems.append("relay.recipients: of no use without relay.domains")
    rule_table, alias_table = RuleTable([]), AliasTable({})
    try:
        rule_table = RuleTable(rules)
    except SettingsError as error:
        problems += error.problems
    try:
        alias_table = AliasTable(aliases)
        alias_table.add(filed or {}, domains)
    except SettingsError as error:
        problems += error.problems

    def tables(directory: Directory) -> RoutingTables:
        return RoutingTables(
            directory,
            domains=domains,
            relay=RelayRules(relay, recipients),
            rules=rule_table,
            aliases=alias_table,
            expansion=forwarding.expansion,
            credentials=logins,
        )

    left_out: list[str] = []
    if not problems:
        checked = tables(promised or directory)
        left_out = checked.leave_out()
        problems += checked.problems()
    if problems:
        raise SettingsError(problems)
    made = tables(directory)
    made.left_out = left_out
    return made
