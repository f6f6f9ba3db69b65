"""Recipient → route, or the reply that refuses it."""

from collections.abc import Mapping
from typing import TypeVar

from fastsmtp.accounts.base import Identity
from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Recipient
from fastsmtp.mail.reply import MAILBOX_UNKNOWN, RELAY_DENIED, Reply
from fastsmtp.routing.addresses import Key, names_host, split
from fastsmtp.routing.credentials import Credential
from fastsmtp.routing.route import Expansion, LocalRoute, RemoteRoute, Target
from fastsmtp.routing.settings import VerifySettings
from fastsmtp.routing.srs import Srs
from fastsmtp.routing.tables import Place, RoutingTables, Trace

_CACHED = 10_000
_SMALL = 8
"""Recipients of an expansion that is remembered for each way to write its address."""
_CACHED_TARGETS = 100_000

K = TypeVar("K")
V = TypeVar("V")

Accepted = LocalRoute | RemoteRoute | Expansion


class Router:
    """Decides for each recipient, from memory and at once. A recipient asked for again costs one dictionary
    look-up.

    ``srs`` rewrites the senders of what aliases send on to other hosts, and leads bounces back; None: neither.
    """

    def __init__(self, tables: RoutingTables, clock: Clock, srs: Srs | None = None) -> None:
        self._tables = tables
        self._version = tables.directory.version
        self._clock = clock
        self._srs = srs
        self._known: dict[tuple[str, str], Accepted] = {}
        self._elsewhere: dict[tuple[str, str], Accepted] = {}
        self._next: dict[str, Place] = {}
        self._lists: dict[Key, Expansion] = {}
        self._listed = 0

    def replace(self, tables: RoutingTables, srs: Srs | None = None) -> None:
        """Decide by ``tables`` from now on."""
        self._tables = tables
        self._srs = srs
        self._forget()

    def _forget(self) -> None:
        self._version = self._tables.directory.version
        self._known = {}
        self._elsewhere = {}
        self._next = {}
        self._lists = {}
        self._listed = 0

    # --- at RCPT ------------------------------------------------------------------------------

    def route(self, local: str, domain: str, client_ip: str | None) -> Accepted | Reply:
        """Where mail for ``local@domain`` from the client at ``client_ip`` goes, or why not: 550 5.1.1 for
        nobody of ours, 550 5.7.1 for other domains. The bare ``<postmaster>`` has an empty ``domain``. Without
        a ``client_ip`` it is one who has logged in, and may send to every domain."""
        if self._tables.directory.version != self._version:
            self._forget()
        known = self._known.get((local, domain))
        if known is not None:
            return known
        known = self._elsewhere.get((local, domain))
        if known is not None and self._tables.relay.trusts(client_ip):
            return known
        return self._decide(local, domain, client_ip)

    def trusts(self, client_ip: str | None) -> bool:
        """Whether this client may send to every domain; for such a one no next hop is asked."""
        return self._tables.relay.trusts(client_ip)

    def may_send(self, identity: Identity, local: str, domain: str) -> bool:
        """Whether whoever has logged in as ``identity`` may send as ``local@domain``: what the directory says, and
        what leads to that account's mailbox and nowhere else. Nobody may whose account is disabled."""
        tables = self._tables
        if tables.directory.disabled(identity.login):
            return False
        if tables.directory.may_send(identity, local, domain):
            return True
        if not domain or not tables.directory.local_domain(domain):
            return False
        found = tables.resolve(local, domain)
        if isinstance(found, Expansion):
            return len(found.targets) == 1 and found.targets[0].mailbox == identity.login
        return isinstance(found, LocalRoute) and found.mailbox == identity.login

    @property
    def verification(self) -> VerifySettings:
        """How next hops are asked for recipients."""
        return self._tables.relay.verification

    def explain(self, local: str, domain: str, client_ip: str, trace: Trace) -> Accepted | Reply:
        """What `route` answers, telling ``trace`` how it comes about."""
        return self._decide(local, domain, client_ip, trace)

    def _decide(
        self, local: str, domain: str, client_ip: str | None, trace: Trace | None = None
    ) -> Accepted | Reply:
        tables = self._tables
        # IDNA costs a millisecond for the longest names, and whoever knocks chooses them.
        strange = not domain.isascii() and not tables.international
        if strange and not tables.relay.trusts(client_ip):
            return self._denied(client_ip, trace)
        name, home = tables.canonical(local, domain)
        if trace:
            trace("canonical", f"{name}@{home}")
        if self._srs is not None and home == self._srs.domain:
            back = self._back(local, trace)
            if back is not None:
                return back
        if not tables.served(home):
            return self._another_s(local, domain, home, client_ip, trace)
        if names_host(local) and not tables.directory.local_domain(home):
            # The next hop may believe it, and trusts us: the back door of open relays.
            if trace:
                trace("permission", f"the local part names a host behind {home}, as for another's domain")
            return self._another_s(local, domain, home, client_ip, trace)
        if trace:
            ours = tables.directory.local_domain(home)
            trace(
                "permission",
                f"mail for {home} is taken from anybody",
                "mailboxes.domains" if ours else "relay.domains",
            )
        key = tables.alias_key((name, home))
        found = self._lists.get(key) if trace is None else None
        if found is not None:
            return found
        decided = tables.resolve(local, domain, trace)
        if names_host(local) and _leaves(
            decided, local
        ):  # a catch-all, or a route that takes every user of ours
            return self._another_s(local, domain, home, client_ip, trace)
        if isinstance(decided, Expansion) and len(decided.targets) > _SMALL:
            self._remember_list(key, decided)
        elif not isinstance(decided, Reply):
            _put(self._known, (local, domain), decided)
        return decided

    def _another_s(
        self, local: str, domain: str, home: str, client_ip: str | None, trace: Trace | None
    ) -> Accepted | Reply:
        """The same for a domain that is not served here."""
        if not home:
            return MAILBOX_UNKNOWN
        if not self._tables.relay.trusts(client_ip):
            return self._denied(client_ip, trace)
        if trace:
            trace("permission", f"{client_ip} may send to every domain", "relay.networks")
        found = self._tables.resolve(local, domain, trace)
        if not isinstance(found, Reply):
            _put(self._elsewhere, (local, domain), found)
        return found

    def _denied(self, client_ip: str | None, trace: Trace | None) -> Reply:
        if trace:
            trace(
                "permission",
                f"another's domain, and {client_ip} is in none of relay.networks",
                "relay.networks",
            )
        return RELAY_DENIED

    def _remember_list(self, key: Key, found: Expansion) -> None:
        """A client can write an address in any number of ways: a long list is kept once, not for each of them."""
        self._listed += len(found.targets)
        if self._listed > _CACHED_TARGETS:
            self._lists = {}
            self._listed = len(found.targets)
        self._lists[key] = found

    def _back(self, local: str, trace: Trace | None) -> Accepted | Reply | None:
        """The way back to the sender that an address of ours stands for; None when it stands for none."""
        assert self._srs is not None
        sender = self._srs.reverse(local, self._clock.now())
        if sender is None:
            return None
        if trace:
            trace(
                "srs", "not a return address of ours" if isinstance(sender, Reply) else f"stands for {sender}"
            )
        if isinstance(sender, Reply):
            return sender
        user, domain = split(sender)
        found = self._tables.resolve(user, domain, trace)
        if isinstance(found, Expansion | Reply):
            return found
        if isinstance(found, LocalRoute):
            return Expansion((Target(sender, found.mailbox, quota=found.quota),))
        return Expansion((Target(sender, ""),))

    def own(self, local: str, domain: str) -> Accepted | Reply:
        """`route` for a message that this server has made itself: it may go anywhere."""
        home = self._tables.canonical(local, domain)[1]
        if self._srs is not None and home == self._srs.domain:
            back = self._back(local, None)
            if back is not None:
                return back
        return self._tables.resolve(local, domain) if home else MAILBOX_UNKNOWN

    # --- whom an alias stands for -------------------------------------------------------------

    def recipients(
        self, expansion: Expansion, address: str, sender: str, parameters: dict[str, str] | None
    ) -> list[Recipient]:
        """The recipients that RCPT for ``address`` adds to the envelope of a message from ``sender``.

        What goes through a list has its owner as sender, and answers to nobody's wish for notices (RFC 3461
        §5.2.7.3); what is sent on to other hosts has an address of ours. The null sender stays what it is.
        """
        forwarded: str | None = None
        if self._srs is not None and sender:
            user, domain = split(sender)
            home = self._tables.canonical(user, domain)[1]
            if home != self._srs.domain and not self._tables.directory.local_domain(home):
                forwarded = self._srs.forward(user, domain, self._clock.now())
        return [
            Recipient(
                target.address,
                target.mailbox,
                parameters if target.owner is None else None,
                _sender(target, forwarded) if sender else None,
                address,
            )
            for target in expansion.targets
        ]

    @property
    def most(self) -> int:
        """Recipients of one message that aliases may bring it to."""
        return self._tables.expansion

    # --- at delivery --------------------------------------------------------------------------

    def next_hop(self, address: str) -> Place:
        """Where a recipient that was accepted goes now: aliases and permission are no question any more. 550 5.1.1
        when nobody of that name is here any longer."""
        if self._tables.directory.version != self._version:
            self._forget()
        known = self._next.get(address)
        if known is None:
            known = self._tables.place(*split(address), given=True)
            _put(self._next, address, known)
        return known

    def queued(self, recipient: Recipient) -> Recipient:
        """``recipient`` as one whose mail waits in the queue for other hosts: `next_hop` of the address leads to the
        mailbox it has now, also where that is another's name for it."""
        if not recipient.mailbox:
            return recipient
        place = self.next_hop(recipient.address)
        address, original = recipient.address, recipient.original
        if not isinstance(place, LocalRoute) or place.mailbox != recipient.mailbox:
            address, original = recipient.mailbox, original or address
        return Recipient(address, "", recipient.params, recipient.sender, original)

    @property
    def credentials(self) -> Mapping[str, Credential]:
        """What the routes' ``credentials`` name."""
        return self._tables.credentials


def _leaves(decided: Accepted | Reply, local: str) -> bool:
    """Whether mail for ``local`` goes to another host under that very name."""
    if isinstance(decided, Expansion):
        return any(not one.mailbox and split(one.address)[0] == local for one in decided.targets)
    return isinstance(decided, RemoteRoute)


def _put(cache: dict[K, V], key: K, value: V) -> None:
    if len(cache) >= _CACHED:
        cache.clear()
    cache[key] = value


def _sender(target: Target, forwarded: str | None) -> str | None:
    if target.owner is not None:
        return target.owner
    return None if target.mailbox else forwarded


def copy_key(recipient: Recipient) -> str:
    """What two recipients have in common that get one copy: the mailbox, or the address elsewhere with its domain
    in lower case."""
    if recipient.mailbox:
        return recipient.mailbox
    local, _, domain = recipient.address.rpartition("@")
    return f"{local}@{domain.lower()}"
