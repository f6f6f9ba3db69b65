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


class Handler(Protocol):
    """One event a command, one per slice of body."""

    def on_hello(self, name: str, extended: bool) -> None:
        """HELO or EHLO with a well-formed name; a transaction under way is over (RFC 5321 §4.1.4)."""

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
