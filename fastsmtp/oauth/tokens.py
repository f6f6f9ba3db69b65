"""Tokens as JWT (RFC 7519) of one issuer, checked by its public keys. Needs `joserfc`, the extra `oauth`."""

from collections.abc import Callable
from typing import Any, Protocol

from joserfc import jws, jwt
from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry

from fastsmtp.accounts.base import Refused, Unavailable
from fastsmtp.clock import Clock
from fastsmtp.defects import describe
from fastsmtp.oauth.base import Vouched
from fastsmtp.oauth.settings import OauthSettings

LEEWAY = 60
"""Seconds by which the issuer's clock may differ from ours."""
_LONGEST_HEADER = 4096
_MOST_TRIED = 8
"""Keys that are tried for a token that names none."""

_NO_KEYS = Unavailable("the issuer's keys are not known")
_UNKNOWN_KEY = Refused("token: signed with a key that is not among the issuer's")
_NOT_READABLE = Refused("token: cannot be read")

Found = Vouched | Refused | Unavailable


class Keys(Protocol):
    """The issuer's public keys."""

    @property
    def current(self) -> KeySet | None:
        """The keys as far as they are known; None: they are not."""

    def renew(self, done: Callable[[], None]) -> bool:
        """A token names a key that is not among them. Whether they are fetched now: then ``done`` is called after
        that, once, however it went."""


class JwtVerifier:
    """A `TokenVerifier`. A token costs 40 to 80 microseconds, on the loop's thread."""

    def __init__(self, settings: OauthSettings, keys: Keys, clock: Clock) -> None:
        self._settings = settings
        self._keys = keys
        self._registry = JWSRegistry(algorithms=settings.algorithms, strict_check_header=False)
        self._registry.max_header_length = _LONGEST_HEADER
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock.now()),
            leeway=LEEWAY,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
        )

    def verify(self, token: str, told: Callable[[Found], None]) -> Found | None:
        """See `TokenVerifier.verify`."""
        found = self._judge(token)
        if found in (_NO_KEYS, _UNKNOWN_KEY) and self._keys.renew(lambda: told(self._judge(token))):
            return None
        return found

    def _judge(self, token: str) -> Found:
        keys = self._keys.current
        if keys is None:
            return _NO_KEYS
        try:
            candidates = _candidates(keys, self._header(token))
            return self._vouched(self._read(token, candidates)) if candidates else _UNKNOWN_KEY
        except ClaimError as error:
            return Refused(f"token: {error.error} ({error.claim})")
        except JoseError as error:
            return Refused(f"token: {error.error}")  # its text could quote the token
        except (ValueError, TypeError, RecursionError):
            return _NOT_READABLE
        except Exception as error:
            return Unavailable(describe(error))

    def _header(self, token: str) -> dict[str, Any]:
        return jws.extract_compact(token.encode(), registry=self._registry).headers()

    def _read(self, token: str, candidates: list[Key]) -> dict[str, Any]:
        """What the token claims, by the first key that fits. Raises JoseError."""
        algorithms = self._settings.algorithms
        for key in candidates[:-1]:
            try:
                return jwt.decode(token, key, algorithms=algorithms, registry=self._registry).claims
            except JoseError:
                continue
        return jwt.decode(token, candidates[-1], algorithms=algorithms, registry=self._registry).claims

    def _vouched(self, claims: dict[str, Any]) -> Vouched | Refused:
        self._claims.validate(claims)
        login = claims.get(self._settings.claim)
        if not isinstance(login, str) or not login:
            return Refused("token: the claim that names the login is missing")
        if self._settings.claim == "email" and claims.get("email_verified", True) is not True:
            return Refused("token: the issuer has not verified the address")
        return Vouched(login)


def _candidates(keys: KeySet, header: dict[str, Any]) -> list[Key]:
    """Keys that may have made the signature: those of the name that the token gives, otherwise all."""
    kid = header.get("kid")
    return [key for key in keys if kid is None or key.kid == kid][:_MOST_TRIED]
