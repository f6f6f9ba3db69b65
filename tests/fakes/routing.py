"""A router of a few domains and users, in memory."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from fastsmtp.accounts.base import Names
from fastsmtp.accounts.static import StaticDirectory
from fastsmtp.routing.relay import Recipients
from fastsmtp.routing.router import Router
from fastsmtp.routing.settings import CredentialSettings, ForwardingSettings, RelaySettings, RouteSettings
from fastsmtp.routing.srs import Srs
from fastsmtp.routing.tables import RoutingTables, build_tables
from tests.fakes.clock import FakeClock

STRANGER = "203.0.113.5"
FRIEND = "192.0.2.7"


def route(match: str, *to: str, **more: Any) -> RouteSettings:
    """One ``[[routes]]`` table."""
    return RouteSettings(match=match, to=to, **more)


def mailboxes(
    domains: Sequence[str], users: Sequence[str], unknown_users: str = "reject", postmaster: str = "postmaster"
) -> Any:
    """A ``[mailboxes]`` table as far as a directory looks at it."""
    return SimpleNamespace(domains=domains, users=users, unknown_users=unknown_users, postmaster=postmaster)


def tables(
    *routes: RouteSettings,
    aliases: Mapping[str, Sequence[str]] | None = None,
    domains: Sequence[str] = ("example.org", "example.net"),
    users: Sequence[str] = ("alice", "bob", "carol@example.net"),
    unknown_users: str = "reject",
    postmaster: str = "alice",
    relay: Sequence[str] = ("corp.test", "*.below.test"),
    verify: bool = False,
    recipients: Recipients | None = None,
    expansion: int = 1000,
    credentials: Mapping[str, CredentialSettings] | None = None,
    names: Names | None = None,
) -> RoutingTables:
    """alice and bob in both domains, carol in one; `FRIEND` may relay; corp.test lives elsewhere."""
    return build_tables(
        StaticDirectory(mailboxes(domains, users, unknown_users, postmaster), names),
        domains=domains,
        relay=RelaySettings(
            networks=("192.0.2.0/24", "2001:db8::/32"),
            domains=tuple(relay),
            recipients="verify" if verify else None,
        ),
        routes=routes,
        aliases=aliases or {},
        credentials=credentials or {},
        forwarding=ForwardingSettings(expansion=expansion),
        recipients=recipients,
    )


def router(*routes: RouteSettings, clock: FakeClock | None = None, srs: bool = True, **more: Any) -> Router:
    """A router of these `tables`; its own return addresses are in example.org."""
    secret = Srs(b"s" * 32, "example.org") if srs else None
    return Router(tables(*routes, **more), clock or FakeClock(), secret)
