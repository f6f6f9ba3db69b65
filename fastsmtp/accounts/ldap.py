"""Accounts in an LDAP directory (RFC 4511): an entry is searched for, and its password proven by binding as it.

All of it in the threads of the pool. Nothing of a password is kept here, nor is it remembered that it was right: the
directory is asked each time.
"""

import contextlib
import secrets
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastsmtp.accounts.asked import Asked
from fastsmtp.accounts.base import AccountsError, Identity, Told, Unavailable, Verdict
from fastsmtp.accounts.names import canonical_login
from fastsmtp.accounts.passwords import IMPOSSIBLE, UNKNOWN, WRONG, possible
from fastsmtp.accounts.settings import LdapSettings
from fastsmtp.accounts.snapshot import SnapshotNames, canonical_senders
from fastsmtp.accounts.sql import logins_of
from fastsmtp.accounts.trouble import Trouble
from fastsmtp.clock import Clock
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import read_secret
from fastsmtp.pool import ThreadPool

_PATIENCE = 5
"""Seconds for a connection, and for each answer."""
_PAGE = 500
_TEMPORARY = {1, 3, 8, 11, 13, 51, 52, 80}
"""Result codes (RFC 4511 §4.1.9) of a bind that tell nothing of the password: trouble, limits, busy, not enough of
protection."""
_BUSY = Unavailable("too many logins wait for LDAP")


class LdapAccounts(Asked):
    """`Authenticator` and names of a directory. ``event`` gets a line for what is wrong."""

    whom = "LDAP"

    def __init__(
        self,
        settings: LdapSettings,
        home: str,
        pool: ThreadPool,
        clock: Clock,
        event: Callable[[str], None],
    ) -> None:
        self.names = SnapshotNames()
        self._settings = settings
        self._home = home
        self._pool = pool
        self._clock = clock
        self._tls: Any = None
        self._secret = settings.password or ""
        self._reading = False
        self._due = 0.0
        self._trouble = Trouble(event)

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Raises `AccountsError` when ldap3 is not installed, or a file that is named cannot be read."""
        try:
            import ldap3
        except ImportError:
            raise AccountsError("accounts.backend: LDAP needs ldap3; install fastsmtp-mta[ldap]") from None
        settings = self._settings
        if settings.password_file is not None:
            try:
                self._secret = read_secret("accounts.ldap.password_file", settings.password_file)
            except SettingsError as error:
                raise AccountsError(error.problems[0]) from None
        try:
            self._tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=settings.ca_file)
        except ldap3.core.exceptions.LDAPException as error:
            raise AccountsError(f"accounts.ldap.ca_file: {error}") from None
        self.tick()

    def tick(self) -> None:
        """Read the names again when it is time to."""
        now = self._clock.monotonic()
        if not self._reading and now >= self._due:
            self._reading = self._pool.submit(self._read, self._have_read, AccountsError)
            if self._reading:
                self._due = now + self._settings.refresh

    # --- `Authenticator` ----------------------------------------------------------------------

    def verify(self, login: str, password: bytes, told: Told) -> Verdict | None:
        """See `Authenticator.verify`. An empty password would be a bind that proves nothing (RFC 4513 §5.1.2)."""
        if not possible(password):
            return IMPOSSIBLE
        return self._later(lambda: self._judge(login, password), told)

    def vouched(self, login: str, told: Told) -> Verdict | None:
        """See `Authenticator.vouched`."""
        return self._later(lambda: self._judge(login, None), told)

    def _later(self, judge: Callable[[], Verdict], told: Told) -> Verdict | None:
        return None if self._pool.submit(judge, told, Unavailable) else _BUSY

    # --- from a thread ------------------------------------------------------------------------

    def _judge(self, login: str, password: bytes | None) -> Verdict:
        """Whether the entry of ``login`` has ``password``; None: whether there is such an entry."""
        name = canonical_login(login, self._home)
        try:
            found = None if name is None else self._entry(name)
            if password is None:
                return UNKNOWN if found is None else found[1]
            try:
                text = password.decode("utf-8")
            except UnicodeDecodeError:
                return WRONG
            # Somebody whom nobody is, so that the time does not tell.
            entry = found[0] if found is not None else f"cn={secrets.token_hex(8)},{self._settings.base}"
            right = self._proven(entry, text)
        except AccountsError as error:
            return Unavailable(str(error))
        if found is None:
            return UNKNOWN
        return found[1] if right else WRONG

    def _entry(self, login: str) -> tuple[str, Identity] | None:
        """The name of the entry of ``login``, and who that is."""
        from ldap3.utils.conv import escape_filter_chars

        settings = self._settings
        local, _, domain = login.rpartition("@")
        wanted = settings.filter
        for word, value in (("{login}", login), ("{user}", local), ("{domain}", domain)):
            wanted = wanted.replace(word, escape_filter_chars(value))
        wished = [settings.senders] if settings.senders else []
        with self._asking() as connection:
            connection.search(settings.base, wanted, attributes=wished, size_limit=2)
            entries = [one for one in connection.response or () if one["type"] == "searchResEntry"]
        if len(entries) > 1:
            raise AccountsError("LDAP: accounts.ldap.filter finds several entries for one login")
        if not entries:
            return None
        values = entries[0]["attributes"].get(settings.senders, []) if settings.senders else []
        texts = values if isinstance(values, list) else [values]
        words = " ".join(one for one in texts if isinstance(one, str))  # what is not UTF-8 comes as octets
        return str(entries[0]["dn"]), Identity(login, tuple(canonical_senders(words)))

    def _proven(self, entry: str, password: str) -> bool:
        connection = self._connection(entry, password)
        with self._failing():
            try:
                self._secure(connection)
                if connection.bind():
                    return True
                code = connection.result["result"]
            finally:
                _end(connection)
        if code in _TEMPORARY:
            raise AccountsError(f"LDAP: a bind ends with result {code}")
        return False

    def _logins(self) -> set[str]:
        settings = self._settings
        found: list[Any] = []
        with self._asking() as connection:
            for one in connection.extend.standard.paged_search(
                settings.base, settings.names, attributes=[settings.attribute], paged_size=_PAGE
            ):
                if one["type"] == "searchResEntry":
                    values = one["attributes"].get(settings.attribute, [])
                    found += values if isinstance(values, list) else [values]
        return logins_of(found, self._home)

    def _read(self) -> set[str] | AccountsError:
        try:
            return self._logins()
        except AccountsError as error:
            return error

    def _have_read(self, found: set[str] | AccountsError) -> None:
        self._reading = False
        if isinstance(found, AccountsError):
            self._trouble.tell(f"accounts stay as they were: {found}")
        else:
            self._trouble.over()
            self.names.replace(found)

    # --- connections --------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        """A connection of ours, bound."""
        connection = self._connection(self._settings.bind, self._secret)
        with self._failing():
            try:
                self._secure(connection)
                if not connection.bind():
                    raise AccountsError(f"LDAP: our own bind ends with result {connection.result['result']}")
                yield connection
            finally:
                _end(connection)

    def _connection(self, entry: str | None, password: str) -> Any:
        import ldap3

        # A server object that was in vain once stays so for minutes: each connection has its own.
        server = ldap3.Server(
            self._settings.url, connect_timeout=_PATIENCE, get_info=ldap3.NONE, tls=self._tls
        )
        return ldap3.Connection(
            server,
            user=entry,
            password=password if entry else None,
            auto_referrals=False,
            receive_timeout=_PATIENCE,
            read_only=True,
            raise_exceptions=False,
        )

    def _secure(self, connection: Any) -> None:
        if self._settings.starttls and not connection.start_tls():
            raise AccountsError("LDAP: STARTTLS was refused")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What ldap3 raises may repeat what was sent: only its kind is told."""
        from ldap3.core.exceptions import LDAPException

        try:
            yield
        except (LDAPException, OSError) as error:
            raise AccountsError(f"LDAP: {type(error).__name__} at {self._settings.url}") from None


def _end(connection: Any) -> None:
    from ldap3.core.exceptions import LDAPException

    with contextlib.suppress(LDAPException, OSError):  # it is over in any case
        connection.unbind()
