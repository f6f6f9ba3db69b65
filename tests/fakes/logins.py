"""What logins are asked through: a log that is a list, penalties that a test sets, tokens and keys of nobody."""

from collections.abc import Callable
from typing import Any

from joserfc.jwk import KeySet

from fastsmtp.accounts.base import Refused, Unavailable
from fastsmtp.mail.reply import Reply
from fastsmtp.oauth.base import Vouched
from fastsmtp.session.auth import Channel, Login, Logins, Step
from fastsmtp.session.auth_settings import AuthSettings
from fastsmtp.telemetry.meter import unseen
from tests.fakes.accounts import FakeAuthenticator

END_POINT = bytes(range(32))
TLS = Channel("192.0.2.7", True, False, END_POINT)
UNBOUND = Channel("192.0.2.7", True, False, None)


class Book:
    """A log that keeps what it is told of logins."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, str | None]] = []
        self.meter = unseen(lambda: 0.0)

    def login(self, *, client: str, mechanism: str, login: str, reason: str | None) -> None:
        """See `MailLog.login`."""
        self.lines.append((client, mechanism, login, reason))


class FakePenalties:
    """`Penalties` that a test sets; keeps what failed."""

    def __init__(self, seconds: float = 0.0, barred: Reply | None = None) -> None:
        self.seconds = seconds
        self.reply = barred
        self.told: list[tuple[str, str]] = []

    def barred(self, ip: str) -> Reply | None:
        """See `Penalties.barred`."""
        return self.reply

    def failed(self, ip: str, login: str) -> float:
        """See `Penalties.failed`."""
        self.told.append((ip, login))
        return self.seconds


Found = Vouched | Refused | Unavailable


class FakeTokens:
    """A `TokenVerifier`: the token ``good`` is Alice's. ``later``: answers come when the test says so."""

    def __init__(self, login: str = "alice@example.org", *, later: bool = False) -> None:
        self.login = login
        self.waiting: list[Callable[[], None]] = []
        self._later = later

    def verify(self, token: str, told: Callable[[Found], None]) -> Found | None:
        """See `TokenVerifier.verify`."""
        found: Found = Refused("token: no good")
        if token == "good":
            found = Vouched(self.login)
        if token == "unknown":
            found = Unavailable("no keys")
        if not self._later:
            return found
        self.waiting.append(lambda: told(found))
        return None


class World:
    """Logins with fakes all around; ``steps`` are those that came later, ``delays`` what is to be called then."""

    def __init__(
        self,
        authenticator: FakeAuthenticator | None = None,
        *,
        tokens: FakeTokens | None = None,
        penalties: FakePenalties | None = None,
        **settings: Any,
    ) -> None:
        self.accounts = authenticator or FakeAuthenticator()
        self.book = Book()
        self.steps: list[Step] = []
        self.delays: list[tuple[float, Callable[[], None]]] = []
        self.logins = Logins(
            AuthSettings(**settings),
            self.accounts,
            tokens,
            log=self.book,  # type: ignore[arg-type]
            later=lambda seconds, call: self.delays.append((seconds, call)),
            penalties=penalties or FakePenalties(),
        )

    def begin(self, mechanism: str, channel: Channel = TLS) -> Login:
        """An exchange, which there must be."""
        login = self.logins.begin(channel, mechanism, self.steps.append)
        assert isinstance(login, Login)
        return login

    @property
    def reasons(self) -> list[str | None]:
        """Of the log's lines."""
        return [reason for *_, reason in self.book.lines]


class FakeKeys:
    """`Keys` that are renewed when a test says so."""

    def __init__(self, current: KeySet | None, *, renews: bool = False) -> None:
        self.current = current
        self.renews = renews
        self.waiting: list[Callable[[], None]] = []

    def renew(self, done: Callable[[], None]) -> bool:
        """See `Keys.renew`."""
        if self.renews:
            self.waiting.append(done)
        return self.renews
