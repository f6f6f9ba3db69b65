"""The requests of a control socket by which mail comes in that SMTP does not bring, and by which its sender logs in.

Verbs: ``mail.login``, ``mail.submit``. A worker answers; whoever asks has the body, inline or in a file.
"""

from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from fastsmtp.control.server import ControlServer

MOST_INLINE = 32 << 10
"""Octets of a body that go with the request."""
MOST_RECIPIENTS = 200
"""Recipients of one request: all their addresses fit into it."""
INCOMING = "web/incoming"
"""Where bodies lie that do not go with the request, below ``data_dir``."""

Text = Annotated[str, Meta(max_length=1000)]
Address = Annotated[str, Meta(min_length=1, max_length=1000)]
Carrier = Literal["HTTP", "HTTPS"]


class LoginAsked(Struct, array_like=True):
    """Of ``mail.login``: is this the password of ``login``? ``encrypted``: the client was under TLS."""

    ip: Text
    encrypted: bool
    login: Text
    password: Text

    def __repr__(self) -> str:
        return f"LoginAsked(ip={self.ip!r}, login={self.login!r})"


class Said(Struct, frozen=True, array_like=True):
    """A reply as SMTP would have given it: ``code``, its enhanced status, empty where there is none, and its text."""

    code: int
    enhanced: str
    text: str


class LoginAnswer(Struct, array_like=True):
    """``reply`` is positive for who has logged in as ``login``; ``senders`` are addresses that the accounts' backend
    named with it."""

    reply: Said
    login: str = ""
    senders: tuple[str, ...] = ()


class Submit(Struct, array_like=True):
    """Of ``mail.submit``. ``login`` and ``login_senders`` as in `LoginAnswer`, or the name of a token, and in
    ``senders`` what it may send as. The message is ``start``, then what is in the file of the name ``file``, if
    there is one, each line ended by CRLF."""

    ip: Text
    carrier: Carrier
    login: Text
    login_senders: tuple[str, ...]
    senders: tuple[str, ...] | None
    sender: Address
    recipients: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=MOST_RECIPIENTS)]
    start: Annotated[bytes, Meta(max_length=MOST_INLINE)]
    size: Annotated[int, Meta(ge=0)]
    utf8: bool = False
    file: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""
    record: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    """The name of a record that gets the queue id before anything is promised; see `fastsmtp.web.replay`."""


class Submitted(Struct, array_like=True):
    """``reply`` is positive when the message is on stable storage, under ``id``; ``recipients`` has the reply to
    each, in their order, where it came so far."""

    reply: Said
    id: str = ""
    recipients: tuple[Said, ...] = ()


class MailDesk(Protocol):
    """Whoever takes mail in a worker. Called on the loop."""

    async def login(self, asked: LoginAsked) -> LoginAnswer:
        """Whose password it is. A wrong one is counted, told to the log, and answered when its time has come."""

    async def submit(self, asked: Submit) -> Submitted:
        """Bring a message in. Raises `Refused`."""


def register(server: ControlServer, desk: MailDesk) -> None:
    """Let ``server`` answer these verbs by ``desk``."""
    server.register("mail.login", LoginAsked, desk.login, waits=True)
    server.register("mail.submit", Submit, desk.submit, waits=True)
