"""Who may send where: the ``[relay]`` table, and the file of recipients it names."""

from pathlib import Path

from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.values import parse_ip, parse_network
from fastsmtp.routing.addresses import Key, parse_address, parse_domain
from fastsmtp.routing.match import parents
from fastsmtp.routing.settings import VERIFY, RelaySettings

_CACHED = 10_000
_POSTMASTER = "postmaster"
_MOST_TOLD = 20


class Recipients:
    """The recipients of domains that live elsewhere: addresses, and domains as a whole, in canonical form."""

    def __init__(self, addresses: set[Key], domains: set[str]) -> None:
        self._addresses = addresses
        self._domains = domains

    def __contains__(self, key: Key) -> bool:
        # RFC 5321 §4.5.1: postmaster always exists
        return key[1] in self._domains or key in self._addresses or key[0] == _POSTMASTER

    def __len__(self) -> int:
        return len(self._addresses) + len(self._domains)


def read_recipients(file: Path) -> Recipients:
    """The recipients in ``file``: one address a line, or ``@domain``; ``#`` begins a comment line. Raises
    `SettingsError`."""
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise SettingsError([f"relay.recipients: cannot read {file}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        at = error.object[: error.start].count(b"\n") + 1
        raise SettingsError([f"relay.recipients: {file}:{at}: not UTF-8"]) from None
    addresses: set[Key] = set()
    domains: set[str] = set()
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            if word.startswith("@"):
                domains.add(parse_domain(word[1:]))
            else:
                address = parse_address(word)
                addresses.add((canonical_local(address.local), canonical_domain(address.domain)))
        except ValueError:
            if len(problems) < _MOST_TOLD:
                problems.append(
                    f'relay.recipients: {file}:{number}: expected "user@domain" or "@domain", got "{word[:80]}"'
                )
    if problems:
        raise SettingsError(problems)
    return Recipients(addresses, domains)


class RelayRules:
    """``recipients`` is what was read from the file that the settings name, if they do."""

    def __init__(self, settings: RelaySettings, recipients: Recipients | None = None) -> None:
        self._networks = [parse_network(text) for text in settings.networks]
        domains = [text for text in settings.domains if not text.startswith("*.")]
        self._domains = {canonical_domain(domain) for domain in domains}
        self._above = {canonical_domain(text[2:]) for text in settings.domains if text.startswith("*.")}
        self._recipients = recipients
        self._trusted: dict[str, bool] = {}
        self.verify = settings.recipients == VERIFY
        """Whether the next hop is to be asked for recipients of relay.domains."""
        self.verification = settings.verify
        """How it is asked."""

    def trusts(self, client_ip: str | None) -> bool:
        """Whether this client may send to every domain; None: it has logged in, and may."""
        if client_ip is None:
            return True
        known = self._trusted.get(client_ip)
        if known is None:
            if len(self._trusted) >= _CACHED:
                self._trusted.clear()
            client = parse_ip(client_ip)
            known = client is not None and any(client in network for network in self._networks)
            self._trusted[client_ip] = known
        return known

    def covers(self, domain: str) -> bool:
        """Whether mail for ``domain`` (canonical) is taken from anybody, to be handed on."""
        return domain in self._domains or (
            bool(self._above) and any(parent in self._above for parent in parents(domain))
        )

    def knows(self, key: Key) -> bool:
        """Whether this recipient (canonical) of such a domain exists, as far as we are told."""
        return self._recipients is None or key in self._recipients

    def domains(self) -> set[str]:
        """Every domain that is named."""
        return self._domains | self._above
