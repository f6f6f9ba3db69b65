"""What intake sees of a spool. Nothing above this file knows what keeps the messages."""

from collections.abc import Callable
from typing import Protocol

from fastsmtp.mail.envelope import Envelope


class SpoolError(Exception):
    """The spool cannot do what was asked; the text is one line for the operator."""


class SpoolTaken(SpoolError):
    """Another process has it open."""


class SpoolFull(SpoolError):
    """No room: disk, map or reserve. Answered 452 4.3.1; passes by itself when there is room again."""


class SpoolFailed(SpoolError):
    """An I/O error; whether the message is stored is unknown. Answered 451 4.3.0."""


class BodyFile(Protocol):
    """A large body on its way to a file. All methods are called on the loop's thread and never block."""

    on_drain: Callable[[], None] | None
    """Called on the loop's thread when `write` may go on after it returned False."""

    def write(self, piece: bytes) -> bool:
        """Take one piece. False: taken, but stop reading from the client until `on_drain` is called."""

    def abort(self) -> None:
        """Forget it all: nothing is left behind."""


Done = Callable[[SpoolError | None], None]


class Spool(Protocol):
    """The intake's side of a spool. All methods are called on the loop's thread and never block."""

    def new_id(self) -> str:
        """A new queue id."""

    def unhealthy(self) -> SpoolError | None:
        """Why nothing can be accepted now, or None; without I/O, cheap enough to ask at every MAIL."""

    @property
    def inline_limit(self) -> int:
        """Bytes of prefix and body together above which a body belongs into `open_body`."""

    def open_body(self, queue_id: str, prefix: bytes) -> BodyFile:
        """Begin a large body; ``prefix`` (Return-Path and Received) is written ahead of it."""

    def submit(
        self, envelope: Envelope, prefix: bytes, body: bytes | bytearray | BodyFile, done: Done
    ) -> None:
        """Store the message durably, then call ``done`` on the loop's thread: with None when it is on
        stable storage and 250 may be said, with the error otherwise. The ``done`` of all messages of one
        commit are called in one turn of the loop. A `BodyFile` has ``prefix`` already, the same.

        Recipients without a mailbox live elsewhere: they get a record of their own, in the same commit."""
