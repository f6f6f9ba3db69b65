"""The only inbound file that touches a connection: bytes between the event loop and the protocol.

One read buffer serves all connections of a worker: the loop asks for it right before it reads and hands it
back at once, so an idle connection holds none.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from fastsmtp._core import net
from fastsmtp.mail.reply import EARLY_TALK, LOCAL_ERROR, SHUTTING_DOWN, TIMEOUT, Reply
from fastsmtp.session.session import Session
from fastsmtp.smtp.dialogue import ServerProtocol

if TYPE_CHECKING:
    from fastsmtp.session.service import SessionService

LINGER = 5
"""Seconds the bytes of a client that is hung up on are read and thrown away, lest a reset swallow its reply."""

# Why reading is paused: any of these bits.
_WAITING, _BODY, _WRITING, _FULL = 1, 2, 4, 8

# How far a connection is: greeting still to be sent; talking; our side is closed.
_NEW, _OPEN, _CLOSING = 0, 1, 2


class Connection(asyncio.BufferedProtocol):
    """One client. The `Wire` of its session."""

    __slots__ = (
        "_eof",
        "_ip",
        "_paused",
        "_phase",
        "_protocol",
        "_service",
        "_session",
        "_since",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, service: "SessionService") -> None:
        self._service = service
        self._ip = ""
        self._paused = 0
        self._phase = _NEW
        self._eof = False
        self._since = service.second
        self._session: Session | None = None
        self._protocol: ServerProtocol | None = None

    # --- from the loop ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse with the reason."""
        service = self._service
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        ip = peer[0] if peer else ""
        refused = SHUTTING_DOWN if service.draining else service.context.guard.enter(ip)
        if refused is not None:
            service.refused(ip, refused)
            self._phase = _CLOSING
            self._transport.write(refused.wire)
            self._transport.close()
            return
        self._ip = ip
        service.connections.add(self)
        self._session = Session(service.context, ip, self)
        self._protocol = ServerProtocol(service.rules, self._session)
        if service.banner_delay:
            service.call_later(service.banner_delay, self._greet)
        else:
            self._greet()

    def _greet(self) -> None:
        protocol = self._protocol
        if protocol is None or self._phase != _NEW:
            return
        self._phase = _OPEN
        handle = self._transport.get_extra_info("socket")
        if handle is not None and net.has_input(handle.fileno()):
            # RFC 5321 §4.3.1: the client waits for the greeting
            self._refuse_connection(EARLY_TALK)
            return
        self._transport.write(protocol.greeting())

    def get_buffer(self, sizehint: int) -> bytearray:
        """The worker's one read buffer."""
        return self._service.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` of the read buffer are this client's."""
        service = self._service
        protocol = self._protocol
        if protocol is None or self._phase != _OPEN:
            if self._phase == _NEW:
                self._phase = _OPEN
                self._refuse_connection(EARLY_TALK)
            return
        self._since = service.second
        try:
            out = protocol.receive(service.buffer, nbytes)
        except Exception as error:
            self._broken(error)
            return
        if out:
            self._transport.write(out)
        if protocol.closing or protocol.holding or service.draining:
            self._after(protocol)

    def eof_received(self) -> bool:
        """The client sends no more, but still gets its replies. True: uvloop must not close by itself."""
        self._eof = True
        protocol = self._protocol
        if protocol is None or not (protocol.waiting or protocol.full):
            self._transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes or goes."""
        self._phase = _CLOSING
        protocol, session = self._protocol, self._session
        self._protocol = self._session = None
        if protocol is not None and session is not None:
            self._service.connections.discard(self)
            self._service.context.guard.leave(self._ip)
            protocol.end()
            session.close()

    def pause_writing(self) -> None:
        """The client does not read its replies: take no more commands."""
        self._pause(_WRITING)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._unpause(_WRITING)
        self._go_on()

    # --- from the session -------------------------------------------------------------------------

    def answer(self, reply: Reply | None) -> None:
        """See `Wire`."""
        protocol = self._protocol
        if protocol is None:
            return
        self._since = self._service.second
        try:
            out = protocol.resume(reply)
        except Exception as error:
            self._broken(error)
            return
        if out:
            self._transport.write(out)
        if protocol.closing or protocol.holding or self._paused or self._eof or self._service.draining:
            self._after(protocol)

    def pause_body(self) -> None:
        """See `Wire`."""
        self._pause(_BODY)

    def resume_body(self) -> None:
        """See `Wire`."""
        self._since = self._service.second
        self._unpause(_BODY)

    # --- from the service -------------------------------------------------------------------------

    def tick(self, second: int, timeout: float) -> None:
        """Once a second: end what has been silent for too long (RFC 5321 §4.5.3.2.7)."""
        silent = second - self._since
        protocol = self._protocol
        if self._phase == _CLOSING:
            if silent > LINGER:
                self._transport.abort()
        elif protocol is not None and silent > timeout and not (protocol.waiting or self._paused & _BODY):
            # who waits for our disk is not silent
            self.say_goodbye(TIMEOUT)

    def say_goodbye(self, last: Reply) -> None:
        """End the session with ``last``; a reply still owed for a complete message goes first. A command that waits
        is over."""
        protocol, session = self._protocol, self._session
        if protocol is None or session is None or self._phase == _CLOSING:
            return
        if protocol.waiting and not session.asking:
            return
        out = protocol.say_goodbye(last)
        if out:
            self._transport.write(out)
        self._hang_up()

    @property
    def busy(self) -> bool:
        """Whether a transaction is under way."""
        protocol = self._protocol
        return protocol is not None and self._phase == _OPEN and protocol.in_transaction

    def abort(self) -> None:
        """Drop the connection now."""
        self._transport.abort()

    # --- own --------------------------------------------------------------------------------------

    def _after(self, protocol: ServerProtocol) -> None:
        """What follows bytes that were answered: the end, when it is due, or a pause when more came than may be
        answered yet; the rest then waits in the kernel."""
        if protocol.left:
            self._phase = _CLOSING
            self._transport.close()
        elif protocol.closing:
            self._hang_up()
        elif self._eof and not (protocol.waiting or protocol.full):
            self._transport.close()
        elif self._service.draining and not protocol.in_transaction:
            self.say_goodbye(SHUTTING_DOWN)
        elif protocol.full:
            self._pause(_FULL)
            self._service.call_later(0, self._go_on)
        elif protocol.waiting:
            if protocol.holding:
                self._pause(_WAITING)
        else:
            self._unpause(_WAITING)

    def _go_on(self) -> None:
        """Take further commands once the replies to those before have left."""
        protocol = self._protocol
        if protocol is None or not protocol.full or self._phase != _OPEN or self._paused & _WRITING:
            return
        self._paused &= ~_FULL
        try:
            out = protocol.proceed()
        except Exception as error:
            self._broken(error)
            return
        if out:
            self._transport.write(out)
        self._after(protocol)
        if not self._paused and self._phase == _OPEN:
            self._transport.resume_reading()

    def _hang_up(self) -> None:
        """Close our side and linger until the client closes its own, or `LINGER` seconds."""
        if self._phase == _CLOSING:
            return
        self._phase = _CLOSING
        self._since = self._service.second
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._paused = 0
        self._transport.resume_reading()
        self._transport.write_eof()

    def _refuse_connection(self, refusal: Reply) -> None:
        protocol = self._protocol
        if protocol is not None:
            self._service.refused(self._ip, refusal)
            self._transport.write(protocol.say_goodbye(refusal))
            self._hang_up()

    def _broken(self, error: Exception) -> None:
        """A defect of ours: the client is told to try later, the operator what happened."""
        self._service.context.log.event(f"internal error in a session with {self._ip}: {error!r}")
        self._transport.write(LOCAL_ERROR.wire)
        self._phase = _CLOSING
        self._transport.close()

    def _pause(self, why: int) -> None:
        if not self._paused and self._phase != _CLOSING:
            self._transport.pause_reading()
        self._paused |= why

    def _unpause(self, why: int) -> None:
        if self._paused & why:
            self._paused &= ~why
            if not self._paused and not self._transport.is_closing():
                self._transport.resume_reading()
