"""Who asks, and what he may: networks, tokens, and the passwords of accounts."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from fastsmtp.config.values import Network, parse_ip, parse_network
from fastsmtp.control.mail import LoginAnswer, LoginAsked
from fastsmtp.mail.reply import AUTH_UNKNOWN
from fastsmtp.routing.account_words import parse_sender
from fastsmtp.web.hub import Hub
from fastsmtp.web.problem import Problem, later
from fastsmtp.web.settings import HttpSettings, Right

REALM = "fastsmtp"
_LONGEST = 4096
_MOST_TEXT = 1000


class Client(Struct, frozen=True):
    """Where a request comes from; ``private``: nobody else reads it on its way, by TLS or on this machine."""

    ip: str
    tls: bool
    private: bool


class User(Struct, frozen=True, kw_only=True):
    """Who has proven himself: a token of ``name``, with its ``senders``, or the account ``name``, whose further
    addresses by the backend are in ``login_senders``."""

    name: str
    rights: frozenset[Right]
    senders: tuple[str, ...] | None = None
    login_senders: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells him from all others."""
        return f"{'account' if self.senders is None else 'token'} {self.name}"


class Token(Struct, frozen=True):
    """One of the settings, with its ``secret`` read."""

    name: str
    secret: str
    rights: frozenset[Right]
    senders: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Token({self.name!r})"


class Access:
    """Looks at requests. ``refused`` is told of a wrong token: the client's address."""

    def __init__(
        self, settings: HttpSettings, tokens: Sequence[Token], hub: Hub, refused: Callable[[str], object]
    ) -> None:
        self._networks: list[Network] = [parse_network(text) for text in settings.networks]
        self._tokens = [(_digest(token.secret.encode()), _user(token)) for token in tokens]
        self._hub = hub
        self._refused = refused

    def admits(self, ip: str) -> bool:
        """Whether somebody at ``ip`` may ask at all."""
        address = parse_ip(ip)
        return address is not None and any(address in network for network in self._networks)

    async def user(self, client: Client, authorization: str, right: Right) -> User:
        """Who shows ``authorization`` (RFC 9110 §11.6.2), and has ``right``. Raises `Problem`."""
        if not authorization:
            raise _unauthorized("this needs a token or an account", right)
        if not client.private:
            raise Problem(
                403, "tokens and passwords are taken under TLS only, or from this machine; set http.tls"
            )
        scheme, _, rest = authorization[:_LONGEST].partition(" ")
        rest = rest.strip()
        if scheme.lower() == "bearer":
            found = self._by_token(rest)
            if found is None:
                self._refused(client.ip)
                raise _unauthorized("this token is not known here", right)
        elif scheme.lower() == "basic" and right == "send":
            found = await self._by_password(client, rest)
        else:
            raise _unauthorized(f"this is asked with {_schemes(right)}", right)
        if right not in found.rights:
            raise Problem(403, f'this token may not: it lacks "{right}" in http.tokens.may')
        return found

    def _by_token(self, token: str) -> User | None:
        """Whose it is. All are looked at, in the same time whatever is wrong with it."""
        digest, found = _digest(token.encode("utf-8", "surrogateescape")), None
        for known, user in self._tokens:
            if hmac.compare_digest(digest, known):
                found = user
        return found

    async def _by_password(self, client: Client, text: str) -> User:
        """RFC 7617, in UTF-8."""
        try:
            login, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            colon = ""
        if not colon or len(login) > _MOST_TEXT or len(password) > _MOST_TEXT:
            raise _unauthorized("this is not what Basic asks for (RFC 7617)", "send")
        asked = LoginAsked(client.ip, client.private, login, password)
        answer: LoginAnswer = await self._hub.any("mail.login", asked, LoginAnswer)
        if answer.login:
            return User(name=answer.login, rights=frozenset(("send",)), login_senders=answer.senders)
        if answer.reply.code == 421:
            raise Problem(429, answer.reply.text, headers={"Retry-After": "60"})
        if answer.reply.code < 500:
            raise later(answer.reply.text)
        if answer.reply.code == AUTH_UNKNOWN.code:
            raise Problem(
                403, "nobody can log in with a password here; see auth.mechanisms and accounts.backend"
            )
        raise _unauthorized("name or password is wrong", "send")


def _user(token: Token) -> User:
    senders = tuple(map(parse_sender, token.senders))
    return User(name=token.name, rights=token.rights, senders=senders)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _schemes(right: Right) -> Literal["Bearer", "Bearer or Basic"]:
    return "Bearer or Basic" if right == "send" else "Bearer"


def _unauthorized(detail: str, right: Right) -> Problem:
    schemes = [f'Bearer realm="{REALM}"']
    if right == "send":
        schemes.append(f'Basic realm="{REALM}", charset="UTF-8"')
    return Problem(401, detail, headers={"WWW-Authenticate": ", ".join(schemes)})
