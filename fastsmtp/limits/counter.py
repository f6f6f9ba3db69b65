"""Counts what clients do against the rules of the settings, over all workers, and refuses what is too much.

`LimitTable` is the memory, made by the master before the first fork; a `Counter` is a worker's view of it, asked by
its sessions on the loop's thread. Where no rule asks for an event, being told of it costs one look. What has no
name there is not counted: a null sender has no domain, nobody an account who has not logged in.
"""

import functools
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence

from fastsmtp.accounts.names import canonical_domain
from fastsmtp.clock import Clock
from fastsmtp.limits.buckets import Buckets
from fastsmtp.limits.guard import is_loopback, network_of
from fastsmtp.limits.refused import Refusal, RefusedTable
from fastsmtp.limits.rule_settings import Count, RuleSettings
from fastsmtp.mail.reply import Reply, limited

MOST_DELAY = 10.0
"""Seconds a refused login is answered late at most."""
_CACHED = 10_000
_MASK = (1 << 64) - 1
_FROM = {
    "ip": "from your address",
    "account": "of this account",
    "sender_domain": "from this sender's domain",
}


class Rule:
    """A rule in force: its settings, its number, and its buckets."""

    __slots__ = ("buckets", "count", "number", "per", "settings")

    def __init__(self, number: int, settings: RuleSettings) -> None:
        self.number = number
        self.settings = settings
        self.count = settings.count
        self.per = settings.per
        self.buckets = Buckets(settings.interval, settings.most)


class LimitTable:
    """The shared memory of ``rules``, see `rules_in_force`. ``loopback_exempt``: this machine's own clients are not
    counted."""

    def __init__(self, rules: Sequence[RuleSettings], clock: Clock, *, loopback_exempt: bool = False) -> None:
        self.rules = tuple(Rule(number, settings) for number, settings in enumerate(rules))
        self.refused = RefusedTable()
        self.clock = clock
        self.loopback_exempt = loopback_exempt
        self.seed = secrets.randbits(64)

    def of(self, *counts: Count) -> tuple[Rule, ...]:
        """The rules for these counts."""
        return tuple(rule for rule in self.rules if rule.count in counts)

    def mark(self, rule: Rule, key: str) -> int:
        """The fingerprint of ``key`` for ``rule``."""
        # All workers are forked from one process, so str's hash is the same in each of them.
        return hash((self.seed, rule.number, key)) & _MASK or 1

    def worker(self, trusts: Callable[[str], bool], told: Callable[[Count], None] | None = None) -> "Counter":
        """The view of a worker; whom it ``trusts`` is never refused, and not counted. ``told`` hears of each refusal
        what its rule counts."""
        return Counter(self, trusts, told)


class Counter:
    """See the head of this file. ``ip`` is the client's address, "" when it has none; ``account`` who has logged in,
    or ""; ``sender`` the address of MAIL."""

    def __init__(
        self, table: LimitTable, trusts: Callable[[str], bool], told: Callable[[Count], None] | None = None
    ) -> None:
        self.table = table
        self._told = told
        self._trusts = trusts
        self._now = table.clock.monotonic
        self._networks: dict[str, str] = {}
        self._early = table.of("early_talkers")
        self._at_connect = table.of("early_talkers", "connections")
        self._bytes = table.of("bytes")
        self._unknown = table.of("unknown_recipients")
        self._at_mail = table.of("messages", "bytes", "unknown_recipients")
        self._recipients = table.of("recipients")
        self._failures = table.of("auth_failures")
        self._barring = tuple(rule for rule in self._failures if rule.per == "ip")

    # --- events -----------------------------------------------------------------------------------

    def connected(self, ip: str) -> Reply | None:
        """A connection came: None, or the 421 it gets before it is closed."""
        if not self._at_connect or self.exempt(ip):
            return None
        return self._take(self._at_connect, "connections", ip, "", "", 421, "7.0")

    def early(self, ip: str) -> None:
        """A client talked before the banner."""
        if self._early and not self.exempt(ip):
            self._charge(self._early, ip, "", "", 1)

    def mail(self, ip: str, account: str, sender: str) -> Reply | None:
        """A message begins: None, or the 450 to MAIL."""
        if not self._at_mail or self.exempt(ip):
            return None
        return self._take(self._at_mail, "messages", ip, account, sender, 450, "7.1")

    def recipient(self, ip: str, account: str, sender: str) -> Reply | None:
        """A recipient who could be taken: None, or the 450 to RCPT."""
        if not self._recipients or self.exempt(ip):
            return None
        return self._take(self._recipients, "recipients", ip, account, sender, 450, "7.1")

    def unknown(self, ip: str, account: str, sender: str) -> Reply | None:
        """A recipient who does not exist: None, or the 421 that takes the place of the refusal."""
        if not self._unknown or self.exempt(ip):
            return None
        return self._take(self._unknown, "unknown_recipients", ip, account, sender, 421, "7.0")

    def stored(self, ip: str, account: str, sender: str, size: int) -> None:
        """A message of ``size`` octets was taken. It counts whole, so that a large one may have to be waited for."""
        if self._bytes and not self.exempt(ip):
            self._charge(self._bytes, ip, account, sender, size)

    # --- logins: see `fastsmtp.session.auth.Penalties` ------------------------------------------------

    def barred(self, ip: str) -> Reply | None:
        """See `Penalties.barred`."""
        if not self._barring or self.exempt(ip):
            return None
        return self._take(self._barring, None, ip, "", "", 421, "7.0")

    def failed(self, ip: str, login: str) -> float:
        """See `Penalties.failed`. The first is answered at once, each one after it later than the one before. One
        account's failures only slow it, lest a stranger locks its owner out."""
        if not self._failures or self.exempt(ip):
            return 0.0
        debts = self._charge(self._failures, ip, login, "", 1)
        count = max(debts, default=0.0)
        return min(MOST_DELAY, 2.0 ** (min(count, 10.0) - 2)) if count > 1 else 0.0

    # --- for people ---------------------------------------------------------------------------------

    def exempt(self, ip: str) -> bool:
        """Whether ``ip`` is never counted: trusted by `relay.networks`, of this machine where the settings say so,
        or no address at all, which is a local socket."""
        return not ip or self._trusts(ip) or (self.table.loopback_exempt and is_loopback(network_of(ip)))

    def forget(self, rule: Rule, key: str) -> None:
        """``key`` begins anew."""
        mark = self.table.mark(rule, key)
        rule.buckets.forget(mark)
        self.table.refused.forget(mark)

    def refusals(self) -> Iterator[Refusal]:
        """Who was refused lately."""
        rules = self.table.rules
        for refusal in self.table.refused.all():
            if refusal.rule < len(rules) and refusal.mark == self.table.mark(
                rules[refusal.rule], refusal.key
            ):
                yield refusal

    # --- own ----------------------------------------------------------------------------------------

    def _take(
        self,
        rules: Iterable[Rule],
        count: Count | None,
        ip: str,
        account: str,
        sender: str,
        code: int,
        detail: str,
    ) -> Reply | None:
        """Refuse by one of ``rules`` that has no room, else count by those that are for ``count``."""
        table, now = self.table, self._now()
        found = []
        for rule in rules:
            key = self._key(rule, ip, account, sender)
            if key:
                mark = table.mark(rule, key)
                seconds = rule.buckets.wait(mark, now)
                if seconds:
                    table.refused.note(mark, rule.number, key, table.clock.now())
                    if self._told is not None:
                        self._told(rule.count)
                    return limited(code, detail, f"{rule.settings.what} {_FROM[rule.per]}", seconds)
                if rule.count == count:
                    found.append((rule.buckets, mark))
        for buckets, mark in found:
            buckets.take(mark, now)
        return None

    def _charge(self, rules: Iterable[Rule], ip: str, account: str, sender: str, many: int) -> list[float]:
        """Count whether there is room or not; how many each bucket lacks then."""
        now = self._now()
        lacking = []
        for rule in rules:
            key = self._key(rule, ip, account, sender)
            if key:
                debt = rule.buckets.take(self.table.mark(rule, key), now, many)
                lacking.append(debt / rule.buckets.interval)
        return lacking

    def _key(self, rule: Rule, ip: str, account: str, sender: str) -> str:
        if rule.per == "ip":
            return self._networks.get(ip) or self._network(ip)
        return account_key(account) if rule.per == "account" else domain_key(sender)

    def _network(self, ip: str) -> str:
        if len(self._networks) >= _CACHED:
            self._networks.clear()
        text = self._networks[ip] = network_key(ip)
        return text


def network_key(ip: str) -> str:
    """What counts as one client, as text: the IPv4 address, or ``2001:db8::/64``; ``ip`` itself when it is
    neither."""
    network = network_of(ip)
    if len(network) == 4:
        return socket.inet_ntop(socket.AF_INET, network)
    if len(network) == 8 and ":" in ip:
        return socket.inet_ntop(socket.AF_INET6, network + bytes(8)) + "/64"
    return ip


def account_key(login: str) -> str:
    """An account's name, whatever its case; of what strangers say only the beginning counts."""
    return login[:320].lower()


def domain_key(sender: str) -> str:
    """The domain of an address, canonical as it can be written in any number of ways; "" of one that has none."""
    return _canonical(sender.rpartition("@")[2]) if "@" in sender else ""


_canonical = functools.lru_cache(1000)(canonical_domain)  # IDNA costs a millisecond for the longest names
