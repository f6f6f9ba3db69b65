"""The client's side of SASL: PLAIN, LOGIN, SCRAM-SHA-256, OAUTHBEARER, XOAUTH2.

A mechanism is what `fastsmtp.smtp.outgoing_values.Mechanism` describes: ``name``, `start`, `step`, `work` and
`complete`. It is used for one exchange. A server that does not keep to the mechanism raises ValueError, whose text is
for people and holds no secret; nor does a ``repr``.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection

from fastsmtp.sasl.prep import saslprep

ITERATIONS = (4096, 1_000_000)
"""Fewest (RFC 7677 §4) and most iterations of SCRAM that a server may ask for. RFC 5802 §9 leaves the latter to the
client: each is work for this side, a million of them a fifth of a second or so."""

_NONCE = re.compile(r"[!-+\--~]{1,512}")  # RFC 5802 §7: printable, no comma


class Credentials:
    """Who logs in: ``user`` with a ``password``, or with an OAuth ``token``."""

    __slots__ = ("password", "token", "user")

    def __init__(self, user: str, *, password: str = "", token: str = "") -> None:
        self.user = user
        self.password = password
        self.token = token

    def __repr__(self) -> str:
        return f"Credentials({self.user!r})"


class Mechanism:
    """What all mechanisms share."""

    name = ""
    __slots__ = ("_credentials",)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __repr__(self) -> str:
        return f"<{self.name} for {self._credentials.user!r}>"

    def start(self) -> bytes | None:
        """The initial response, None when the server speaks first."""
        return None

    def step(self, challenge: bytes) -> bytes | None:
        """The answer to a challenge; None when `work` has to be done for it."""
        raise ValueError("a challenge came where none belongs")

    def work(self) -> bytes:
        """The answer that `step` has not given. Takes long; from any thread."""
        raise NotImplementedError

    def complete(self) -> bool:
        """Whether success may be believed."""
        return True


class Plain(Mechanism):
    """RFC 4616."""

    name = "PLAIN"
    __slots__ = ()

    def start(self) -> bytes:
        """The one message."""
        who = self._credentials
        if "\0" in who.user + who.password:
            raise ValueError("a name or password holds NUL")
        return f"\0{who.user}\0{who.password}".encode()


class Login(Mechanism):
    """LOGIN: never standardised, and all that some servers have. Two questions, whose words do not matter."""

    name = "LOGIN"
    __slots__ = ("_asked",)

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._asked = 0

    def step(self, challenge: bytes) -> bytes:
        """The name, then the password."""
        self._asked += 1
        if self._asked > 2:
            raise ValueError("a third question came")
        return (self._credentials.user if self._asked == 1 else self._credentials.password).encode()

    def complete(self) -> bool:
        """Whether both questions were asked."""
        return self._asked == 2


class Scram(Mechanism):
    """SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677). The server has to prove that it knows the
    password too: without its signature success is not believed."""

    name = "SCRAM-SHA-256"
    __slots__ = ("_asked", "_first", "_nonce", "_password", "_signature", "_step")

    def __init__(self, credentials: Credentials, nonce: str = "") -> None:
        super().__init__(credentials)
        self._nonce = nonce or secrets.token_urlsafe(24)
        self._first = ""
        self._password = b""
        self._asked = ("", "", b"", 0)  # the server's first message, and its nonce, salt and iterations
        self._signature = b""
        self._step = 0

    def start(self) -> bytes:
        """client-first-message (RFC 5802 §7)."""
        user = saslprep(self._credentials.user).replace("=", "=3D").replace(",", "=2C")
        self._first = f"n={user},r={self._nonce}"
        return f"n,,{self._first}".encode()

    def step(self, challenge: bytes) -> bytes | None:
        """Nothing to server-first-message, which is `work`; an empty one to the server's signature."""
        self._step += 1
        try:
            text = challenge.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("a SCRAM message is not UTF-8") from None
        if self._step == 1:
            self._take(text)
            return None
        if self._step == 2:
            self._verify(text)
            return b""
        raise ValueError("a SCRAM message came where none belongs")

    def complete(self) -> bool:
        """Whether the server has proven that it knows the password."""
        return self._step == 2

    def _take(self, first: str) -> None:
        nonce, salt, count = _attributes(first, "r", "s", "i")
        if not nonce.startswith(self._nonce) or nonce == self._nonce or not _NONCE.fullmatch(nonce):
            raise ValueError("the server's SCRAM nonce does not continue ours")
        fewest, most = ITERATIONS
        if not (count.isascii() and count.isdigit() and len(count) < 10 and fewest <= int(count) <= most):
            raise ValueError(f"the server's SCRAM iterations are not between {fewest} and {most}")
        try:
            octets = base64.b64decode(salt, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("the server's SCRAM salt is not base64") from None
        self._password = saslprep(self._credentials.password).encode()
        self._asked = (first, nonce, octets, int(count))

    def work(self) -> bytes:
        """client-final-message."""
        first, nonce, salt, count = self._asked
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, count)
        client_key = _hmac(salted, b"Client Key")
        without_proof = f"c=biws,r={nonce}"
        message = f"{self._first},{first},{without_proof}".encode()
        signature = _hmac(hashlib.sha256(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._signature = _hmac(_hmac(salted, b"Server Key"), message)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def _verify(self, final: str) -> None:
        if final.startswith("e="):
            raise ValueError("the server ended SCRAM with an error")
        (told,) = _attributes(final, "v")
        if not hmac.compare_digest(told.encode(), base64.b64encode(self._signature)):
            raise ValueError("the server's SCRAM signature is wrong: it does not know the password")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _attributes(message: str, *names: str) -> list[str]:
    """The values of the attributes ``names``, which begin ``message`` in this order; others may follow. A mandatory
    extension (``m=``) is refused, as RFC 5802 §5.1 asks."""
    parts = message.split(",")
    if len(parts) < len(names) or any(
        not part.startswith(f"{name}=") for name, part in zip(names, parts, strict=False)
    ):
        raise ValueError("a SCRAM message is malformed")
    return [part[2:] for part in parts[: len(names)]]


class _Bearer(Mechanism):
    """Mechanisms that show a token; a refusal's reasons come as a challenge, to be answered by something empty."""

    __slots__ = ("_failed",)
    _acknowledgement = b""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._failed = False

    def step(self, challenge: bytes) -> bytes:
        """What lets the server go on to its refusal."""
        if self._failed:
            raise ValueError("a challenge came where none belongs")
        self._failed = True
        return self._acknowledgement

    def complete(self) -> bool:
        """Whether there was no challenge."""
        return not self._failed


class OauthBearer(_Bearer):
    """RFC 7628."""

    name = "OAUTHBEARER"
    __slots__ = ()
    _acknowledgement = b"\1"  # RFC 7628 §3.2.3

    def start(self) -> bytes:
        """The one message."""
        user = self._credentials.user.replace("=", "=3D").replace(",", "=2C")
        return f"n,a={user},\1auth=Bearer {self._credentials.token}\1\1".encode()


class Xoauth2(_Bearer):
    """XOAUTH2, as large mailbox providers defined it before OAUTHBEARER."""

    name = "XOAUTH2"
    __slots__ = ()

    def start(self) -> bytes:
        """The one message."""
        return f"user={self._credentials.user}\1auth=Bearer {self._credentials.token}\1\1".encode()


_BY_PASSWORD: tuple[Callable[[Credentials], Mechanism], ...] = (Scram, Plain, Login)
_BY_TOKEN: tuple[Callable[[Credentials], Mechanism], ...] = (OauthBearer, Xoauth2)


def choose(offered: Collection[str], credentials: Credentials, *, encrypted: bool) -> Mechanism | None:
    """The best mechanism among those ``offered`` (in upper case, as EHLO has them); None when none fits. What shows
    a secret to whoever listens is used over TLS alone (RFC 4954 §9): that leaves SCRAM in clear."""
    for make in _BY_TOKEN if credentials.token else _BY_PASSWORD:
        mechanism = make(credentials)
        if mechanism.name in offered and (encrypted or isinstance(mechanism, Scram)):
            return mechanism
    return None
