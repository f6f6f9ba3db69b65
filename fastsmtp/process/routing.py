"""From the settings and the files they name to the tables of the router, at a start and when a file changes."""

import secrets
from pathlib import Path

from fastsmtp.accounts.base import Names
from fastsmtp.clock import SystemClock
from fastsmtp.config.signature import Signature, signature
from fastsmtp.process.accounts import names_for_asking
from fastsmtp.process.credentials import Credentials
from fastsmtp.process.settings import Settings, load_settings, routing_of, srs_domain
from fastsmtp.routing.alias_file import read_aliases
from fastsmtp.routing.credentials import read_credentials
from fastsmtp.routing.relay import Recipients, read_recipients
from fastsmtp.routing.reload import Loaded
from fastsmtp.routing.router import Router
from fastsmtp.routing.settings import VERIFY
from fastsmtp.routing.srs import SECRET_FILE, Srs, read_secret


class SettingsSource:
    """The `Source` that ``file`` is. As long as that is as it was when ``settings`` were ``read`` from it, they are
    taken: every worker has them, and none reads the file for itself. Without a file they always are. ``secret`` is
    SRS's, None: senders are not rewritten. ``credentials`` were read for workers. ``names`` are those of the backend
    of accounts, given once that is open."""

    def __init__(
        self,
        file: Path | None,
        settings: Settings,
        secret: bytes | None,
        credentials: Credentials | None = None,
        read: Signature = None,
    ) -> None:
        self.seen: dict[Path, Signature] = {}
        self.names: Names | None = None
        self._file = file
        self._settings = settings
        self._secret = secret
        self._credentials = credentials
        self._read = read

    def load(self) -> Loaded:
        """See `Source.load`; ``names`` are not asked, they are for the loop's thread."""
        self.seen = {}
        settings = self._settings
        if self._file is not None:
            self._look(self._file)
            if self._read is None or self.seen[self._file] != self._read:
                settings = load_settings(self._file)
        return self._tables(settings)

    def fall_back(self) -> Loaded:
        """The tables of the settings the server was started with. Raises `SettingsError`."""
        return self._tables(self._settings)

    def _tables(self, settings: Settings) -> Loaded:
        if self._credentials is not None:
            settings = self._credentials.fill(settings)
        recipients: Recipients | None = None
        if settings.relay.recipients not in (None, VERIFY):
            file = Path(settings.relay.recipients or "")
            self._look(file)
            recipients = read_recipients(file)
        for one in settings.credentials.values():
            if one.password_file is not None:
                self._look(Path(one.password_file))
        filed = None
        if settings.forwarding.aliases_file is not None:
            filed = read_aliases(Path(settings.forwarding.aliases_file), self._look)
        logins = read_credentials(settings.credentials)
        tables = routing_of(settings, recipients, logins, self.names, filed)
        return tables, None if self._secret is None else Srs(self._secret, srs_domain(settings))

    def _look(self, file: Path) -> None:
        self.seen[file] = signature(file)


def router_of(settings: Settings) -> tuple[Router, list[str]]:
    """A router as the server's, for somebody who asks; and what keeps it from being quite the same. Raises
    `SettingsError`."""
    notes = []
    file = settings.data_dir / SECRET_FILE
    try:
        secret, why = read_secret(file), f"its first start makes {file}"
    except (OSError, ValueError) as error:
        secret, why = None, str(error)
    if secret is None:
        notes.append(f"the codes in return addresses are not the server's: {why}")
        secret = secrets.token_bytes(32)
    source = SettingsSource(None, settings, secret)
    source.names, problem = names_for_asking(settings)
    if problem:
        notes.append(f"accounts are left out: {problem}")
    tables, srs = source.load()
    return Router(tables, SystemClock(), srs), notes
