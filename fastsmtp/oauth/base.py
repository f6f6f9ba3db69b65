"""Who a token (RFC 7519) says that somebody is, as the rest of the server asks for it."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from fastsmtp.accounts.base import Refused, Unavailable


class Vouched(Struct, frozen=True, gc=False):
    """The issuer says that the client is ``login``, a text of its own that need not be that of an account."""

    login: str


class TokenVerifier(Protocol):
    """Checks tokens. Does not wait, and does not raise, whatever a client sends."""

    def verify(
        self, token: str, told: Callable[[Vouched | Refused | Unavailable], None]
    ) -> Vouched | Refused | Unavailable | None:
        """Whom ``token`` names; None: it takes time, and comes by ``told`` later, once, on the loop's thread."""
