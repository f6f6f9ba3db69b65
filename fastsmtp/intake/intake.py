"""A message from its first byte to the spool's promise.

Small bodies gather in memory and go to the spool in one piece; one that outgrows the spool's inline limit
flows into a file from then on, so that no message stands in memory whole.
"""

from collections.abc import Callable

from fastsmtp._core import header
from fastsmtp.clock import Clock
from fastsmtp.intake.hops import HopCounter, may_circle
from fastsmtp.intake.submitted import missing_fields
from fastsmtp.intake.trace_fields import TraceFields
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.reply import SPOOL_FAILED, SPOOL_FULL, TOO_MANY_HOPS, Reply
from fastsmtp.spool.base import BodyFile, Spool, SpoolError, SpoolFull

START = 65_536
"""Octets of a message that are kept for a notice about it."""


def reply_to(error: SpoolError) -> Reply:
    """What a client is told of a spool's trouble."""
    return SPOOL_FULL if isinstance(error, SpoolFull) else SPOOL_FAILED


Finished = Callable[["Incoming", Reply | None], None]


class Incoming:
    """One message on its way in. All methods are called on the loop's thread and never block."""

    __slots__ = (
        "_body",
        "_complete_as",
        "_counter",
        "_file",
        "_hops",
        "_prefix",
        "_resume",
        "_spool",
        "envelope",
        "keep_start",
        "message_id",
        "size",
        "start",
    )

    def __init__(
        self, spool: Spool, envelope: Envelope, prefix: bytes, resume: Callable[[], None], hops: int
    ) -> None:
        self.envelope = envelope
        self.size = 0
        """Octets of the body so far."""
        self.message_id = ""
        """That of its header, without brackets, once the message is complete."""
        self.keep_start = False
        """Whether `start` is wanted."""
        self.start = b""
        """The first `START` octets, trace fields included, once the message is complete."""
        self._spool = spool
        self._prefix = prefix
        self._resume = resume
        self._body: bytes | bytearray = b""
        self._file: BodyFile | None = None
        self._hops = hops
        self._counter: HopCounter | None = None
        self._complete_as = ""

    def complete(self, hostname: str) -> None:
        """Add Message-ID and Date where the message has none; ``hostname`` stands in the former. Before its body."""
        self._complete_as = hostname

    @property
    def length(self) -> int:
        """Octets with the trace fields, as far as the body has come."""
        return len(self._prefix) + self.size

    def write(self, piece: bytes) -> bool:
        """The next bytes of the body. False: taken, but read no more until ``resume`` is called."""
        self.size += len(piece)
        if self._file is not None:
            if self._counter is not None and not self._counter.ended:
                self._counter.feed(piece)
            return self._file.write(piece)
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body) + piece
        if len(self._prefix) + self.size <= self._spool.inline_limit:
            return True
        gathered, self._body = bytes(self._body), b""
        if self._complete_as:
            self._add_fields(gathered, whole=False)
        if self.keep_start:
            self.start = (self._prefix + gathered)[:START]
        self.message_id = header.message_id(self._prefix, gathered)
        self._count(gathered)
        self._file = self._spool.open_body(self.envelope.id, self._prefix)
        self._file.on_drain = self._resume
        return self._file.write(gathered)

    def finish(self, done: Finished) -> Reply | None:
        """The body is complete: ``done`` is called on the loop's thread with this message and None once it is on
        stable storage, or with the reply that refuses it. When it is refused at once that reply is returned, and
        ``done`` is not called."""
        file = self._file
        if file is None:
            if self._complete_as:
                self._add_fields(self._body, whole=True)
            self.message_id = header.message_id(self._prefix, self._body)
            self._count(self._body)
            if self.keep_start:
                self.start = (self._prefix + self._body)[:START]
        if self._counter is not None and self._counter.count > self._hops:
            self.abort()
            return TOO_MANY_HOPS
        if file is not None:
            file.on_drain = None

        def told(error: SpoolError | None) -> None:
            done(self, None if error is None else reply_to(error))

        self._spool.submit(self.envelope, self._prefix, self._body if file is None else file, told)
        return None

    def abort(self) -> None:
        """Nothing comes of it, and nothing is left behind."""
        if self._file is not None:
            self._file.on_drain = None
            self._file.abort()

    def _add_fields(self, start: bytes | bytearray, *, whole: bool) -> None:
        envelope = self.envelope
        self._prefix += missing_fields(
            start, envelope.id, self._complete_as, envelope.received_at, whole=whole
        )

    def _count(self, start: bytes | bytearray) -> None:
        """Begin to count its hops, where there can be too many."""
        if may_circle(start, self._hops):
            self._counter = HopCounter()
            self._counter.feed(start)


class Intake:
    """The door. ``hostname`` stands in Received; with more than ``hops`` of these a message goes in circles."""

    def __init__(self, spool: Spool, *, hostname: str, clock: Clock, hops: int = 100) -> None:
        self._hostname = hostname
        self._spool = spool
        self._clock = clock
        self._hops = hops
        self._fields = TraceFields(hostname)

    def refusal(self) -> Reply | None:
        """The reply to a message that cannot be taken now, or None; cheap enough to ask at every MAIL."""
        error = self._spool.unhealthy()
        return None if error is None else reply_to(error)

    def begin(
        self,
        *,
        sender: str,
        recipients: list[Recipient],
        client_ip: str,
        helo: str,
        protocol: str,
        parameters: dict[str, str] | None,
        resume: Callable[[], None],
        tls: str = "",
        hidden: bool = False,
        complete: bool = False,
    ) -> Incoming | Reply:
        """A message's envelope is complete and its body about to come; the reply when it cannot be taken. ``tls`` and
        ``hidden``: see `TraceFields.make`; ``complete``: a missing Message-ID or Date is added."""
        refused = self.refusal()
        if refused is not None:
            return refused
        envelope = Envelope(
            self._spool.new_id(),
            sender,
            recipients,
            client_ip,
            helo,
            protocol,
            self._clock.now(),
            parameters,
        )
        fields = self._fields.make(envelope, tls, hidden)
        incoming = Incoming(self._spool, envelope, fields, resume, self._hops)
        if complete:
            incoming.complete(self._hostname)
        return incoming
