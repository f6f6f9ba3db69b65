"""The server's side of OAUTHBEARER (RFC 7628) and XOAUTH2: the client shows a token.

Why a token is refused is told as a challenge, in JSON; the client acknowledges it, and is refused then.
"""

import re

from fastsmtp.sasl.gs2 import header
from fastsmtp.sasl.server import Failed, Malformed, Token, text

LONGEST_TOKEN = 8192
"""Octets of a token."""

_PAIR = re.compile(rb"(?P<key>[A-Za-z]+)=(?P<value>[!-~ \t\r\n]*)")  # RFC 7628 §3.1
_BEARER = re.compile(r"bearer +(?P<token>[A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750 §2.1


class _BearerServer:
    """What both share: one message, then perhaps the acknowledgement of a refusal."""

    __slots__ = ("_over",)
    _name = ""
    _refusal = b""

    def __init__(self) -> None:
        self._over = False

    def start(self) -> bytes:
        """See `ServerMechanism.start`."""
        return b""

    def receive(self, message: bytes) -> Token | Failed:
        """See `ServerMechanism.receive`. What acknowledges a refusal does not matter."""
        if self._over:
            return Failed("the token was refused")
        return self._read(message)

    def refuse(self) -> bytes:
        """The challenge that says that the token is no good."""
        self._over = True
        return self._refusal

    def _read(self, message: bytes) -> Token:
        raise NotImplementedError

    def _token(self, value: str) -> str:
        if not value:
            return ""
        found = _BEARER.fullmatch(value)
        if found is None or len(value) > LONGEST_TOKEN:
            raise Malformed(f"{self._name}: no bearer token that can be read")
        return found["token"]

    def _pairs(self, message: bytes) -> dict[str, str]:
        """``key=value`` with a 0x01 behind each and another behind all."""
        parts = message.split(b"\1")
        if len(parts) < 2 or parts[-2:] != [b"", b""]:
            raise Malformed(f"{self._name}: the message has no end")
        pairs: dict[str, str] = {}
        for part in parts[:-2]:
            found = _PAIR.fullmatch(part)
            if found is None:
                raise Malformed(f"{self._name}: what is not key=value")
            key = found["key"].decode()
            if key in pairs:
                raise Malformed(f"{self._name}: a key that stands twice")
            pairs[key] = found["value"].decode()
        return pairs


class OauthBearerServer(_BearerServer):
    """RFC 7628. ``host`` and ``port`` are not looked at: the token's audience says whom it is for."""

    __slots__ = ()
    _name = "OAUTHBEARER"
    _refusal = b'{"status":"invalid_token"}'  # RFC 7628 §3.2.2

    def _read(self, message: bytes) -> Token:
        gs2 = header(message, self._name)
        if gs2.flag == "p":
            raise Malformed("OAUTHBEARER: channel binding, which it does not have")
        rest = message[len(gs2.octets) :]
        if not rest.startswith(b"\1"):
            raise Malformed("OAUTHBEARER: something between the GS2 header and the first key")
        pairs = self._pairs(rest[1:])
        if "auth" not in pairs:
            raise Malformed("OAUTHBEARER: no token")
        return Token(self._token(pairs["auth"]), gs2.authorization)


class Xoauth2Server(_BearerServer):
    """XOAUTH2, as large mailbox providers defined it before OAUTHBEARER: ``user`` and token, both needed."""

    __slots__ = ()
    _name = "XOAUTH2"
    _refusal = b'{"status":"401","schemes":"bearer"}'

    def _read(self, message: bytes) -> Token:
        user, separator, rest = message.partition(b"\1")
        pairs = self._pairs(rest) if separator else {}
        if not user.startswith(b"user=") or len(user) < len(b"user=x") or not pairs.get("auth"):
            raise Malformed("XOAUTH2: no user, or no token")
        return Token(self._token(pairs["auth"]), text(user.removeprefix(b"user="), self._name))
