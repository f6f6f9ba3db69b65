"""The server's side of SASL: what all mechanisms share, and the two that show the password, PLAIN and LOGIN.

A mechanism takes the client's messages and says what comes next; it asks nobody. It is used for one exchange. What
it says for people to read holds nothing that a client has sent, and neither does a ``repr`` hold a secret.
"""

from typing import Protocol

from msgspec import Struct

LONGEST_NAME = 1024
"""Octets of a name, to log in with or to act as. RFC 4616 §2 asks for 255 characters at least."""


class Malformed(Exception):
    """The client does not keep to the mechanism. The text says in which way, and holds no secret."""


class Password(Struct, frozen=True, gc=False):
    """To be verified. ``authorization`` is whom to act as, often empty."""

    login: str
    password: bytes
    authorization: str

    def __repr__(self) -> str:
        return f"Password(login={self.login!r})"


class KeysWanted(Struct, frozen=True, gc=False):
    """`ScramServer.challenge` goes on with the keys of ``login``."""

    login: str


class Token(Struct, frozen=True, gc=False):
    """To be verified; ``authorization`` is whom the client says it is for, which may be empty. ``token`` may be empty
    too, of a client that asks what is wanted (RFC 7628 §3.1)."""

    token: str
    authorization: str

    def __repr__(self) -> str:
        return f"Token(authorization={self.authorization!r})"


class Proven(Struct, frozen=True, gc=False):
    """The client knows the password, and has been shown that the server does."""

    login: str
    authorization: str


class Failed(Struct, frozen=True, gc=False):
    """The exchange is over, in vain; ``reason`` is for the log alone."""

    reason: str


Next = bytes | Password | KeysWanted | Token | Proven | Failed
"""What comes next; octets are a challenge to be sent."""


class ServerMechanism(Protocol):
    """One exchange."""

    def start(self) -> bytes:
        """The challenge to a client that came without an initial response."""

    def receive(self, message: bytes) -> Next:
        """The client's next message; an initial response is its first. Raises `Malformed`, and is not to be called
        after that, or after the exchange is over."""


class PlainServer:
    """RFC 4616."""

    __slots__ = ()

    def start(self) -> bytes:
        """See `ServerMechanism.start`."""
        return b""

    def receive(self, message: bytes) -> Password:
        """See `ServerMechanism.receive`."""
        parts = message.split(b"\0")
        if len(parts) != 3:
            raise Malformed("PLAIN: not three parts with NUL between them")
        authorization, login, password = parts
        if not login or not password:
            raise Malformed("PLAIN: the name or the password is missing")
        return Password(text(login, "PLAIN"), password, text(authorization, "PLAIN"))


class LoginServer:
    """LOGIN: never standardised, and all that some clients can. An initial response is the name."""

    __slots__ = ("_login",)

    def __init__(self) -> None:
        self._login = ""

    def start(self) -> bytes:
        """See `ServerMechanism.start`."""
        return b"Username:"

    def receive(self, message: bytes) -> bytes | Password:
        """See `ServerMechanism.receive`."""
        if not message:
            raise Malformed("LOGIN: the name or the password is missing")
        if not self._login:
            self._login = text(message, "LOGIN")
            return b"Password:"
        return Password(self._login, message, "")


def text(octets: bytes, mechanism: str) -> str:
    """A name in UTF-8, without NUL and not over-long. Raises `Malformed`."""
    if len(octets) > LONGEST_NAME:
        raise Malformed(f"{mechanism}: a name longer than {LONGEST_NAME} octets")
    try:
        name = octets.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{mechanism}: a name that is not UTF-8") from None
    if "\0" in name:
        raise Malformed(f"{mechanism}: a name that holds NUL")
    return name
