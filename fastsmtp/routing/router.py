"""Recipient → route, or the reply that refuses it."""

from fastsmtp.accounts.base import Directory
from fastsmtp.config.values import parse_ip, parse_network
from fastsmtp.mail.reply import MAILBOX_UNKNOWN, RELAY_DENIED, RELAY_NOT_YET, Reply
from fastsmtp.routing.route import LocalRoute
from fastsmtp.routing.settings import RelaySettings

_CACHED = 10_000


class Router:
    """Decides for each recipient, from memory and at once. A recipient asked for again costs one dictionary
    look-up."""

    def __init__(self, directory: Directory, relay: RelaySettings) -> None:
        self._directory = directory
        self._networks = [parse_network(text) for text in relay.networks]
        self._known: dict[tuple[str, str], LocalRoute] = {}

    def route(self, local: str, domain: str, client_ip: str) -> LocalRoute | Reply:
        """Where mail for ``local@domain`` from the client at ``client_ip`` goes, or why not: 550 5.1.1 for
        nobody of ours, 550 5.7.1 for other domains. The bare ``<postmaster>`` has an empty ``domain``."""
        known = self._known.get((local, domain))
        if known is not None:
            return known
        account = self._directory.lookup(local, domain)
        if account is None:
            return self._refuse(domain, client_ip)
        if len(self._known) >= _CACHED:
            self._known.clear()
        route = self._known[local, domain] = LocalRoute(account.mailbox)
        return route

    def _refuse(self, domain: str, client_ip: str) -> Reply:
        if not domain or self._directory.local_domain(domain):
            return MAILBOX_UNKNOWN
        client = parse_ip(client_ip)
        if client is not None and any(client in network for network in self._networks):
            return RELAY_NOT_YET
        return RELAY_DENIED
