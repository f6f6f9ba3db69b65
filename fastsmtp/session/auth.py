"""Logging in: from the mechanism a client names, over challenges, to who it is.

Between the dialogue, which knows lines and base64, the mechanisms of `sasl`, which ask nobody, and the accounts.
Nothing here waits: a step that takes time is None, and comes by a call-back. A client hears the same whatever is
wrong with its login; the reason stands in the log.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec import Struct

from fastsmtp.accounts.base import Authenticator, Identity, Refused, ScramKeys, Unavailable, Verdict
from fastsmtp.accounts.names import canonical_login
from fastsmtp.defects import describe
from fastsmtp.mail.reply import (
    AUTH_MALFORMED,
    AUTH_NEEDS_TLS,
    AUTH_REFUSED,
    AUTH_UNAVAILABLE,
    AUTH_UNKNOWN,
    Reply,
)
from fastsmtp.oauth.base import TokenVerifier, Vouched
from fastsmtp.sasl.bearer_server import OauthBearerServer, Xoauth2Server
from fastsmtp.sasl.scram_server import ScramServer
from fastsmtp.sasl.server import (
    Failed,
    KeysWanted,
    LoginServer,
    Malformed,
    Next,
    PlainServer,
    Proven,
    ServerMechanism,
    Token,
)
from fastsmtp.session.auth_settings import AuthSettings
from fastsmtp.telemetry.maillog import MailLog

T = TypeVar("T")
Step = bytes | Identity | Reply
"""A challenge, who has logged in, or why not."""

PLUS = "SCRAM-SHA-256-PLUS"
TOKENS = frozenset({"OAUTHBEARER", "XOAUTH2"})

_UNKNOWN = "no such account"
_BARRED = "too many logins have failed from its address"


class Channel(Struct, frozen=True, gc=False):
    """What a connection is like: ``loopback`` when the client is on this machine, ``end_point`` the channel binding
    ``tls-server-end-point`` (RFC 5929 §4.1), None when there is none."""

    ip: str
    encrypted: bool
    loopback: bool
    end_point: bytes | None


class Penalties(Protocol):
    """Whoever counts logins that fail. ``ip`` is the client's address, ``login`` what it said, which may be anything,
    or nothing where it did not come so far. A login that succeeds forgives nothing: who has one account might guess
    at others."""

    def barred(self, ip: str) -> Reply | None:
        """A reply (421 4.7.0 with the reason) for a client that may not try to log in now."""

    def failed(self, ip: str, login: str) -> float:
        """One more in vain; returns the seconds to wait before it is told so."""


class Logins:
    """The logins of one worker. ``later`` calls something in so many seconds. Without ``tokens`` none count."""

    def __init__(
        self,
        settings: AuthSettings,
        authenticator: Authenticator,
        tokens: TokenVerifier | None,
        *,
        log: MailLog,
        later: Callable[[float, Callable[[], None]], None],
        penalties: Penalties,
    ) -> None:
        served = authenticator.mechanisms | (TOKENS if tokens is not None else frozenset())
        self._bound = tuple(dict.fromkeys(name for name in settings.mechanisms if name in served))
        self._unbound = tuple(name for name in self._bound if name != PLUS)
        self._clear_on_loopback = settings.clear_on_loopback
        self.authenticator = authenticator
        self.tokens = tokens
        self.log = log
        self.later = later
        self.penalties = penalties

    def offered(self, channel: Channel) -> tuple[str, ...]:
        """Mechanisms for the AUTH keyword (RFC 4954 §3), best first as the settings have them."""
        if channel.encrypted:
            return self._unbound if channel.end_point is None else self._bound
        return self._unbound if self._clear_on_loopback and channel.loopback else ()

    def begin(self, channel: Channel, mechanism: str, told: Callable[[Step], None]) -> "Login | Reply":
        """An exchange; ``told`` hears each step that takes time. A reply when there is to be none."""
        name, offered = mechanism.upper(), self.offered(channel)
        if name not in offered:
            return AUTH_UNKNOWN if channel.encrypted or name not in self._bound else AUTH_NEEDS_TLS
        return self.penalties.barred(channel.ip) or Login(self, channel, name, PLUS in offered, told)


class Login:
    """One exchange. After `start`, `receive` is called with each message of the client, base64 undone, as long as
    the step before was a challenge."""

    __slots__ = ("_authorization", "_began", "_identity", "_ip", "_login", "_logins", "_mechanism", "_name",
                 "_refused", "_told")  # fmt: skip

    def __init__(
        self, logins: Logins, channel: Channel, name: str, plus_offered: bool, told: Callable[[Step], None]
    ) -> None:
        self._logins = logins
        self._began = logins.log.meter.now()
        self._ip = channel.ip
        self._name = name
        self._told: Callable[[Step], None] | None = told
        self._mechanism = _mechanism(name, channel.end_point, plus_offered)
        self._login = ""
        self._authorization = ""
        self._identity: Identity | None = None  # whose keys SCRAM uses
        self._refused = ""  # why a token was, while the client is still to acknowledge that

    def start(self, initial: bytes | None) -> Step | None:
        """The first step, with the initial response or without one; None: it comes by ``told``."""
        return self._mechanism.start() if initial is None else self.receive(initial)

    def receive(self, message: bytes) -> Step | None:
        """The next step; None: it comes by ``told``."""
        return self._sure(lambda: self._go_on(self._mechanism.receive(message)))

    def forget(self) -> None:
        """The client has gone, or has cancelled: ``told`` hears no more."""
        self._told = None

    def _go_on(self, said: Next) -> Step | None:
        accounts = self._logins.authenticator
        if isinstance(said, bytes):
            return said
        if isinstance(said, Failed):
            return self._fail(self._why(said), AUTH_REFUSED)
        if isinstance(said, KeysWanted):
            self._login = said.login
            keys = accounts.scram(said.login, self._later(self._keys))
            return None if keys is None else self._keys(keys)
        self._authorization = said.authorization
        if isinstance(said, Token):
            return self._token(said.token)
        self._login = said.login
        if isinstance(said, Proven):
            return self._judge(self._identity or Refused(_UNKNOWN))
        verdict = accounts.verify(said.login, said.password, self._later(self._judge))
        return None if verdict is None else self._judge(verdict)

    def _why(self, failed: Failed) -> str:
        if isinstance(self._mechanism, ScramServer) and self._identity is None and self._login:
            return _UNKNOWN
        return self._refused or failed.reason

    def _keys(self, keys: ScramKeys | Unavailable) -> Step | None:
        if isinstance(keys, Unavailable):
            return self._judge(keys)
        assert isinstance(self._mechanism, ScramServer)
        self._identity = keys.identity
        return self._mechanism.challenge(keys.salt, keys.iterations, keys.stored_key, keys.server_key)

    def _token(self, token: str) -> Step | None:
        tokens = self._logins.tokens
        assert tokens is not None
        self._login = self._authorization
        if not token:
            return self._bearer(Refused("no token, as of a client that asks what is wanted"))
        found = tokens.verify(token, self._later(self._vouched))
        return None if found is None else self._vouched(found)

    def _vouched(self, found: Vouched | Refused | Unavailable) -> Step | None:
        """The token is good: whose account is it?"""
        if not isinstance(found, Vouched):
            return self._bearer(found)
        self._login = found.login
        verdict = self._logins.authenticator.vouched(found.login, self._later(self._bearer))
        return None if verdict is None else self._bearer(verdict)

    def _bearer(self, verdict: Verdict) -> Step | None:
        """As `_judge`, but a refusal comes as a challenge first (RFC 7628 §3.2.2)."""
        if isinstance(verdict, Identity) and not self._may_act(verdict):
            verdict = Refused(_OTHER)
        if not isinstance(verdict, Refused):
            return self._judge(verdict)
        self._refused = verdict.reason
        assert isinstance(self._mechanism, OauthBearerServer | Xoauth2Server)
        return self._mechanism.refuse()

    def _judge(self, verdict: Verdict) -> Step | None:
        if isinstance(verdict, Refused):
            return self._fail(verdict.reason, AUTH_REFUSED)
        if isinstance(verdict, Unavailable):
            self._tell_log(verdict.reason)
            return AUTH_UNAVAILABLE
        if not self._may_act(verdict):
            return self._fail(_OTHER, AUTH_REFUSED)
        self._login = verdict.login
        self._tell_log(None)
        return verdict

    def _may_act(self, identity: Identity) -> bool:
        """Whether the client acts as nobody but itself (RFC 4422 §3.4.1)."""
        wanted = self._authorization
        return wanted in ("", self._login, identity.login) or canonical_login(wanted) == identity.login

    def _fail(self, reason: str, reply: Reply) -> Step | None:
        self._tell_log(reason)
        # One account has any number of spellings: a soft hyphen is nothing (RFC 3454 table B.1).
        account = canonical_login(self._login) or self._login
        seconds = self._logins.penalties.failed(self._ip, account)
        if seconds <= 0:
            return reply
        self._logins.later(seconds, lambda: self._hear(reply))
        return None

    def _tell_log(self, reason: str | None) -> None:
        meter = self._logins.log.meter
        meter.auth.observe(meter.now() - self._began)
        self._logins.log.login(client=self._ip, mechanism=self._name, login=self._login, reason=reason)

    def _later(self, judge: Callable[[T], Step | None]) -> Callable[[T], None]:
        """For an answer that takes time: what comes of it is told."""
        return lambda found: self._hear(self._sure(lambda: judge(found)))

    def _sure(self, work: Callable[[], Step | None]) -> Step | None:
        """The step that ``work`` comes to. A fault of ours is no refusal: the client may try again. Many exchanges
        may have begun before an address was barred: right or wrong, they hear nothing else from then on."""
        barred = self._logins.penalties.barred(self._ip)
        if barred is not None:
            self._tell_log(_BARRED)
            return barred
        try:
            return work()
        except Malformed as error:
            return self._fail(str(error), AUTH_MALFORMED)
        except Exception as error:
            self._tell_log(describe(error))
            return AUTH_UNAVAILABLE

    def _hear(self, step: Step | None) -> None:
        if step is not None and self._told is not None:
            self._told(step)


_OTHER = "the client wants to act as somebody else"


def _mechanism(name: str, end_point: bytes | None, plus_offered: bool) -> ServerMechanism:
    if name in ("SCRAM-SHA-256", PLUS):
        return ScramServer(end_point=end_point if name == PLUS else None, plus_offered=plus_offered)
    return _OTHERS[name]()


_OTHERS: dict[str, Callable[[], ServerMechanism]] = {
    "PLAIN": PlainServer,
    "LOGIN": LoginServer,
    "OAUTHBEARER": OauthBearerServer,
    "XOAUTH2": Xoauth2Server,
}
