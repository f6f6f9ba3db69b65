"""What a server session asks of whoever drives it. No method may block; a decision that must wait gives `PENDING`."""

from enum import Enum
from typing import Final, Literal, Protocol

from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import Reply


class Pending(Enum):
    """The type of `PENDING`."""

    PENDING = "pending"


PENDING: Final[Literal[Pending.PENDING]] = Pending.PENDING
"""The answer comes later, by ``resume(reply)``; until then no further event is handed out."""

Answer = Reply | None | Literal[Pending.PENDING]
"""None: go on as the protocol would; a 2xx reply to MAIL or RCPT: the same in other words; any other: refused
with it."""


class Challenge:
    """What a mechanism asks of the client: ``data`` goes out in base64 behind 334 (RFC 4954 §4)."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


AuthAnswer = Answer | Challenge
"""None, or a 2xx reply: authenticated. A challenge: the client's next line comes by ``on_auth_data``. Any other
reply: refused with it, and the exchange is over."""


class Handler(Protocol):
    """One event a command, one per slice of body."""

    def on_hello(self, name: str, extended: bool) -> None:
        """HELO or EHLO with a well-formed name; a transaction under way is over (RFC 5321 §4.1.4)."""

    def on_starttls(self) -> Reply | None:
        """STARTTLS (RFC 3207). None: 220 goes out and the protocol is over; after the handshake a new one begins."""

    def on_auth(self, mechanism: str, initial: bytes | None) -> AuthAnswer:
        """AUTH with a mechanism that is offered and its initial response, decoded, if any (RFC 4954 §4)."""

    def on_auth_data(self, response: bytes) -> AuthAnswer:
        """The answer to a challenge, decoded."""

    def on_auth_cancelled(self) -> None:
        """The exchange under way is over without outcome: the client cancelled it, broke its rules, or has gone."""

    def on_xclient(self, attributes: dict[str, str]) -> Reply | None:
        """XCLIENT: what another server says of the client it speaks for. None: the session begins anew, as that of
        who has logged in when ``LOGIN`` names somebody."""

    def on_mail(self, sender: Address, parameters: dict[str, str] | None) -> Answer:
        """MAIL: a transaction begins (RFC 5321 §4.1.1.2)."""

    def on_rcpt(self, recipient: Address, parameters: dict[str, str] | None) -> Answer:
        """RCPT: one more recipient (RFC 5321 §4.1.1.3)."""

    def on_data(self, chunked: bool) -> Answer:
        """The body is about to come, by DATA or by a first BDAT. Refused, the transaction is over."""

    def on_body(self, piece: bytes) -> None:
        """The next bytes of the body, dots unstuffed."""

    def on_body_end(self) -> Reply | Literal[Pending.PENDING]:
        """The body is complete and well-formed. The transaction is over with the reply."""

    def on_body_refused(self, refusal: Reply) -> None:
        """The body is at fault: forget the transaction. ``refusal`` goes out once its end is read."""

    def on_reset(self) -> None:
        """The transaction under way is over, without a message (RSET, a new hello, QUIT, DATA refused, end of
        connection). A transaction ends once: by this, by `on_body_end` or by `on_body_refused`."""
