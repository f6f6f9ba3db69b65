"""The only outbound file that touches a connected socket: bytes between the event loop and the client's protocol.

A message over a kept connection costs neither a task nor a timer: replies come in by call-backs, and one sweep a
second looks who has waited for too long. One read buffer serves all connections of a process, as it does inbound.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Final, Protocol, cast

from msgspec import Struct

from fastsmtp.smtp.outgoing_dialogue import OutgoingProtocol
from fastsmtp.smtp.outgoing_plan import Recipient
from fastsmtp.smtp.outgoing_values import Event
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.settings import OutboundSettings

READ_BUFFER = 64 * 1024
"""Octets of the one read buffer."""
PIECE = 64 * 1024
"""Octets of a body file that are read at once."""
HIGH_WATER = 256 * 1024
"""Octets that wait for a slow server until no more of a body is read."""
PIECES_AT_ONCE = 16
"""Pieces after which other connections have their turn."""
FAREWELL = 5.0
"""Seconds for the answer to QUIT; then the connection is dropped."""

_MANY = ("rcpt", "body")
"""Stages at which more than one answer may be due."""
_TOGETHER = 10
"""How often the time for one answer all of them together have."""

_NOTHING: Final = int(Event.NOTHING)
_BODY: Final = int(Event.BODY)
_OVER: Final = int(Event.OVER)


class FileContent(Struct, frozen=True, gc=False):
    """A message that lies in the open file ``fd``: ``length`` octets from ``offset`` on. The file must stay open, and
    as it is, until the delivery is done."""

    fd: int
    offset: int
    length: int


Content = bytes | bytearray | memoryview | FileContent
"""A message: its octets, for a small one, or where they lie."""


class Owner(Protocol):
    """Whoever a connection works for."""

    def happened(self, connection: "Connection", event: int) -> None:
        """One of `Event` but NOTHING and BODY; OVER comes once, as the last one."""


class Lines:
    """What all connections of a process share: the read buffer, the coarse clock, the time-outs, the log."""

    def __init__(self, settings: OutboundSettings, log: MailLog, now: float) -> None:
        self.log = log
        self.buffer = bytearray(READ_BUFFER)
        self.now = now
        """Monotonic seconds as of the latest `tick`: what time-outs are counted from."""
        self.connections: set[Connection] = set()
        self.block = float(settings.block_timeout)
        begin, command = float(settings.greeting_timeout), float(settings.command_timeout)
        self.patience = dict.fromkeys(("connect", "helo", "starttls", "tls", "auth"), begin)
        self.patience |= dict.fromkeys(("rset", "mail", "rcpt"), command)
        self.patience |= {"data": float(settings.data_timeout), "body": float(settings.end_timeout)}
        self.patience["quit"] = FAREWELL

    def tick(self, now: float) -> None:
        """Once a second: give up what has waited for too long."""
        self.now = now
        for connection in [one for one in self.connections if one.deadline < now]:
            connection.too_late()


class Connection(asyncio.BufferedProtocol):
    """One session with one server. ``remote`` is how results and logs name the server; ``owner`` hears what happens,
    and may be changed between events. ``paused``: the server does not take what is written, for now."""

    __slots__ = (
        "_at",
        "_content",
        "_end",
        "_latest",
        "_lines",
        "_lmtp",
        "_over",
        "_stage",
        "_transport",
        "deadline",
        "idle_since",
        "opened",
        "owner",
        "paused",
        "protocol",
        "remote",
        "tls",
        "uses",
        "waited",
    )

    def __init__(
        self,
        lines: Lines,
        owner: Owner | None,
        remote: str,
        hello: bytes,
        *,
        lmtp: bool = False,
        encrypted: bool = False,
    ) -> None:
        self.owner = owner
        self.remote = remote
        self.tls = ""
        """Version and cipher, once TLS has begun."""
        self.protocol = OutgoingProtocol(hello, lmtp=lmtp, encrypted=encrypted)
        self.opened = lines.now
        self.idle_since = lines.now
        self.uses = 0
        self._lmtp = lmtp
        self._stage = "connect"  # that the deadline is for
        self._latest = 0.0
        self.waited = lines.patience["connect"]
        self.deadline = lines.now + self.waited
        self._lines = lines
        self._transport: asyncio.Transport | None = None
        self._content: FileContent | None = None
        self._at = self._end = 0
        self.paused = False
        self._over = False

    @property
    def final(self) -> bool:
        """Whether the server delivers into mailboxes and tells nobody of it: it speaks LMTP, without DSN."""
        return self._lmtp and "DSN" not in self.protocol.offer.keywords

    # --- from the loop ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours now, after the handshake where TLS comes first; the server speaks."""
        self._use(cast("asyncio.Transport", transport))
        if self._over:
            self._abort()
        else:
            self._lines.connections.add(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        """The one read buffer."""
        return self._lines.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` of the read buffer came from this server."""
        if self._over:
            return
        protocol = self.protocol
        try:
            out = protocol.receive(self._lines.buffer, nbytes)
        except Exception as error:
            self._broken(error)
            return
        if out:
            self._write(out)
            self._stage = ""
        self._look(protocol.event)

    def eof_received(self) -> bool:
        """The server sends no more, so there is nothing to wait for."""
        self._fail("the server closed the connection", "4.4.2")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes or goes."""
        self._lines.connections.discard(self)
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else "the connection was lost"
        self._fail(why[:100], "4.4.2")
        self._transport = None

    def pause_writing(self) -> None:
        """The server is slow to take what was written."""
        self.paused = True
        self._wait(self._lines.block)

    def resume_writing(self) -> None:
        """It has taken it: go on with the body, or wait for the answer to its end."""
        self.paused = False
        if self._over:
            return
        self._wait(self._lines.patience.get(self.protocol.stage, self._lines.block))
        if self._content is not None:
            self._pump()

    # --- from the owner ---------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether a transaction may be begun."""
        transport = self._transport
        return (
            not self._over
            and transport is not None
            and not transport.is_closing()
            and self.protocol.stage == "idle"
            and not self.protocol.spent
        )

    @property
    def transport(self) -> asyncio.Transport | None:
        """The loop's end, None before it is connected and after it is gone."""
        return self._transport

    def begin(
        self, sender: str, recipients: Sequence[Recipient], params: dict[str, str] | None, content: Content
    ) -> None:
        """Begin a transaction; ``owner`` hears ``DONE`` or ``OVER`` of it, also from within this call."""
        protocol = self.protocol
        self.uses += 1
        try:
            if type(content) is FileContent:
                self._content = content
                self._at, self._end = content.offset, content.offset + content.length
                out = protocol.begin(sender, recipients, params, content.length)
            else:
                body = cast("bytes | bytearray | memoryview", content)
                out = protocol.begin(sender, recipients, params, len(body), body)
        except Exception as error:
            self._broken(error)
            return
        if out:
            self._write(out)
        self._stage = ""
        self._look(protocol.event)

    def probe(self, recipients: Sequence[Recipient]) -> None:
        """Ask for ``recipients`` without sending mail; ``owner`` hears ``DONE`` or ``OVER``, also from within this
        call."""
        self.uses += 1
        try:
            out = self.protocol.probe(recipients)
        except Exception as error:
            self._broken(error)
            return
        self.say(out)

    def say(self, out: bytes) -> None:
        """Write what the protocol gave for a step of the opening: STARTTLS, AUTH."""
        if out:
            self._write(out)
        self._stage = ""
        self._look(self.protocol.event)

    def secured(self, transport: asyncio.Transport) -> None:
        """The handshake after STARTTLS has succeeded; ``transport`` takes the place of the one before."""
        if self._over:
            transport.abort()
            return
        self._use(transport)
        self.say(self.protocol.tls_done())

    def retire(self) -> None:
        """Say goodbye when the session allows it, and close; the owner hears no more."""
        self.owner = None
        if self._over:
            return
        if self.protocol.stage != "idle" or self._transport is None or self._transport.is_closing():
            self.drop("not needed any more")
            return
        self.say(self.protocol.quit())

    def drop(self, why: str, enhanced: str = "4.4.2") -> None:
        """Close at once; what is under way fails by ``why``."""
        self._fail(why, enhanced)

    def too_late(self) -> None:
        """Nothing came, or nothing was taken, for as long as it is waited."""
        if self.protocol.stage == "idle":
            self.deadline = float("inf")  # the pool's matter
            return
        what = "took nothing" if self.paused else "said nothing"
        self._fail(f"the server {what} for {self.waited:g} s", "4.4.2")

    # --- own --------------------------------------------------------------------------------------

    def _use(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(HIGH_WATER)
        self._transport = transport
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            cipher = secured.cipher()
            self.tls = f"{secured.version()} {cipher[0] if cipher else ''}".strip()

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _wait(self, seconds: float) -> None:
        self.waited = seconds
        self.deadline = self._lines.now + seconds

    def _wait_on(self) -> None:
        """For the rest of the answers to what was written. A server that sends an answer bit by bit wins no time by
        it; where many answers are due, each may take its time, but not all of them together."""
        stage = self.protocol.stage
        patience = self._lines.patience[stage]
        if stage != self._stage:
            self._stage = stage
            self._latest = self._lines.now + _TOGETHER * patience
        elif stage not in _MANY:
            return
        if not self.paused:
            self.waited = patience
            self.deadline = min(self._lines.now + patience, self._latest)

    def _look(self, event: int) -> None:
        """After each step of the protocol."""
        if event == _NOTHING:
            self._wait_on()
        elif event == _BODY:
            self._pump()
        else:
            self._content = None
            if event == _OVER:
                self._close()
            if self.owner is not None:
                self.owner.happened(self, event)

    def _pump(self) -> None:
        """Hand in pieces of the body while the server takes them."""
        protocol = self.protocol
        content = self._content
        if content is None:
            return
        for _ in range(PIECES_AT_ONCE):
            if self.paused or not protocol.open:
                break
            piece = self._read(content.fd)
            if piece is None:
                break
            self._at += len(piece)
            try:
                parts = protocol.body(piece, self._at == self._end)
            except Exception as error:
                self._broken(error)
                return
            for part in parts:
                self._write(part)
            if protocol.event:
                self._look(protocol.event)
                return
        else:
            asyncio.get_running_loop().call_soon(self._pump)
        if protocol.event == _OVER:
            self._look(_OVER)
        else:
            self._wait(self._lines.block if self.paused or protocol.open else self._lines.patience["body"])

    def _read(self, fd: int) -> bytes | None:
        """The next piece; None when it cannot be had, which ends the session."""
        size = min(PIECE, self._end - self._at)
        try:
            piece = os.pread(fd, size, self._at)
        except OSError as error:
            self.protocol.abandon(f"the message cannot be read: {error.strerror}")
            return None
        if len(piece) < size:
            self.protocol.abandon("the message's file is shorter than it was")
            return None
        return piece

    def _fail(self, why: str, enhanced: str) -> None:
        if self._over:
            return
        self.protocol.end(why, enhanced)
        self._look(_OVER)

    def _broken(self, error: Exception) -> None:
        """A defect of ours: the message is tried again, the operator told what happened."""
        self._lines.log.event(f"internal error in a session with {self.remote}: {error!r}")
        self._fail("internal error", "4.3.0")

    def _close(self) -> None:
        """The session is over. Nothing that is still to be written matters, and the server may not take it."""
        self._over = True
        self._lines.connections.discard(self)
        self._abort()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
