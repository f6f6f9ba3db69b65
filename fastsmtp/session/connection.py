"""The only inbound file that touches a connection: bytes between the event loop and the protocol.

One read buffer serves all connections of a worker: the loop asks for it right before it reads and hands it
back at once, so an idle connection holds none.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from fastsmtp._core import net
from fastsmtp.defects import describe
from fastsmtp.mail.reply import EARLY_TALK, LOCAL_ERROR, SHUTTING_DOWN, TIMEOUT, Reply
from fastsmtp.session import proxy
from fastsmtp.session.listener import Listener
from fastsmtp.session.session import Session
from fastsmtp.smtp.dialogue import ServerProtocol
from fastsmtp.smtp.handler import Challenge
from fastsmtp.telemetry.dialogue import LONE, Facts, Talk, failed
from fastsmtp.tls.layer import CIPHER_BUFFER, TlsError, TlsFacts, TlsLayer
from fastsmtp.tls.transport import TlsTransport

if TYPE_CHECKING:
    from fastsmtp.session.service import SessionService

LINGER = 5
"""Seconds the bytes of a client that is hung up on are read and thrown away, lest a reset swallow its reply."""

BEGINNING = 60
"""Seconds a handshake may take, or a proxy's header: until then a connection holds most memory and says least."""

# Why reading is paused: any of these bits.
_WAITING, _BODY, _WRITING, _FULL = 1, 2, 4, 8

# How far a connection is: greeting still to be sent; talking; our side is closed; TLS begins; a proxy has still to
# say for whom it comes.
_NEW, _OPEN, _CLOSING, _HANDSHAKE, _PREFACE = range(5)


class Connection(asyncio.BufferedProtocol):
    """One client. The `Wire` of its session."""

    __slots__ = (
        "_eof",
        "_ip",
        "_listener",
        "_paused",
        "_phase",
        "_preface",
        "_protocol",
        "_service",
        "_session",
        "_since",
        "_tls",
        "_transport",
        "talk",
    )

    _transport: asyncio.Transport

    def __init__(self, service: "SessionService", listener: Listener) -> None:
        self._service = service
        self._listener = listener
        self._ip = ""
        self._paused = 0
        self._phase = _NEW
        self._eof = False
        self._since = service.second
        self._session: Session | None = None
        self._protocol: ServerProtocol | None = None
        self._tls: TlsLayer | None = None
        self._preface = b""
        self.talk: Talk | None = None
        """What is kept of what is said here, if anything."""

    # --- from the loop ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or refuse with the reason."""
        self._transport = cast("asyncio.Transport", transport)
        self._service.context.log.meter.connections.add()
        peer = transport.get_extra_info("peername")
        ip = peer[0] if peer else ""
        if self._listener.proxied(ip):
            self._phase = _PREFACE
            self._ip = ip
            self._service.connections.add(self)
        else:
            self._enter(ip)

    def _enter(self, ip: str) -> None:
        service, listener = self._service, self._listener
        enter = service.context.guard.enter if listener.speaks(ip) else service.context.enter
        refused = SHUTTING_DOWN if service.draining else enter(ip)
        if refused is not None:
            service.refused(ip, refused)
            self._phase = _CLOSING
            if not listener.profile.implicit_tls:
                self._transport.write(refused.wire)
            self._transport.close()
            return
        self._ip = ip
        service.connections.add(self)
        self._session = Session(service.context, listener, ip, self)
        self._protocol = ServerProtocol(listener.rules(ip, None), self._session)
        if listener.profile.implicit_tls:
            self._begin_tls()
        elif service.banner_delay:
            self._phase = _NEW
            service.call_later(service.banner_delay, self._greet)
        else:
            self._greet()

    def _greet(self) -> None:
        protocol = self._protocol
        if protocol is None or self._phase != _NEW:
            return
        self._phase = _OPEN
        handle = self._transport.get_extra_info("socket")
        if self._preface or (handle is not None and net.has_input(handle.fileno())):
            # RFC 5321 §4.3.1: the client waits for the greeting
            self._refuse_connection(EARLY_TALK)
            return
        self._transport.write(protocol.greeting())

    def get_buffer(self, sizehint: int) -> bytearray:
        """The worker's one read buffer, or the one for ciphertext."""
        return self._service.buffer if self._tls is None else self._service.cipher

    def buffer_updated(self, nbytes: int) -> None:
        """``nbytes`` of the read buffer are this client's."""
        service = self._service
        if self._tls is not None:
            nbytes = self._decrypt(self._tls, nbytes)
            if not nbytes:
                return
        protocol = self._protocol
        if protocol is None or self._phase != _OPEN:
            if self._phase == _NEW:
                self._phase = _OPEN
                self._refuse_connection(EARLY_TALK)
            elif self._phase == _PREFACE:
                self._read_preface(nbytes)
            return
        self._since = service.second
        try:
            out = protocol.receive(service.buffer, nbytes)
        except Exception as error:
            self._broken(error)
            return
        # the short form of `failed`: most replies come alone
        if (
            self.talk is not None
            or service.dialogues.watched
            or (out and (51 < out[0] < 54 or (len(out) > LONE and failed(out))))
        ):
            self._heard(bytes(memoryview(service.buffer)[:nbytes]), out)
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
        if self.talk is not None:
            self._service.dialogues.ended(self.talk)
        self._service.connections.discard(self)
        if protocol is not None and session is not None:
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

    def answer(self, reply: Reply | Challenge | None) -> None:
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
        if self.talk is not None or (out and (51 < out[0] < 54 or (len(out) > LONE and failed(out)))):
            self._heard(b"", out)
        if out:
            self._transport.write(out)
        if protocol.closing or protocol.holding or self._paused or self._eof or self._service.draining:
            self._after(protocol)

    def become(self, ip: str) -> Reply | None:
        """See `Wire`."""
        context = self._service.context
        refused = context.enter(ip)
        if refused is None:
            context.guard.leave(self._ip)
            self._ip = ip
        return refused

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
        elif self._phase == _HANDSHAKE or self._phase == _PREFACE:
            if silent > min(timeout, BEGINNING):  # there is no way to say so
                self._transport.abort()
        elif protocol is not None and silent > timeout and not (protocol.waiting or self._paused & _BODY):
            # who waits for our disk is not silent
            self.say_goodbye(TIMEOUT)

    def say_goodbye(self, last: Reply) -> None:
        """End the session with ``last``; a reply still owed for a complete message goes first. A command that waits
        is over."""
        protocol, session = self._protocol, self._session
        if self._phase == _HANDSHAKE or self._phase == _PREFACE:
            self._transport.close()
            return
        if protocol is None or session is None or self._phase == _CLOSING:
            return
        if protocol.waiting and not session.asking:
            return
        out = protocol.say_goodbye(last)
        if out:
            if last is not SHUTTING_DOWN:
                self._heard(b"", out)
            self._transport.write(out)
        self._hang_up()

    @property
    def client(self) -> str:
        """Its address."""
        return self._ip

    @property
    def facts(self) -> Facts:
        """What is known of its session."""
        return Facts() if self._session is None else self._session.facts()

    @property
    def busy(self) -> bool:
        """Whether a transaction is under way."""
        protocol = self._protocol
        return protocol is not None and self._phase == _OPEN and protocol.in_transaction

    def abort(self) -> None:
        """Drop the connection now."""
        self._transport.abort()

    # --- TLS ---------------------------------------------------------------------------------------

    def _begin_tls(self) -> None:
        """A handshake comes next. Nothing of what was read so far gets into it."""
        certificates = self._listener.certificates
        if certificates is None:
            raise RuntimeError("TLS was offered without a certificate")
        self._phase = _HANDSHAKE
        self._tls = TlsLayer(certificates, self._service.context.log.meter.now())
        self._transport = TlsTransport(self._transport, self._tls)
        self._unpause(_WAITING)

    def _decrypt(self, tls: TlsLayer, nbytes: int) -> int:
        """``nbytes`` of ciphertext were read; how many octets of clear text lie in the read buffer now."""
        service = self._service
        if self._phase == _CLOSING:
            return 0
        transport = cast("TlsTransport", self._transport)
        try:
            count = tls.receive(memoryview(service.cipher)[:nbytes], memoryview(service.buffer))
        except TlsError as error:
            service.tls_failed(self._ip, str(error))
            self._phase = _CLOSING
            transport.flush()
            transport.close()
            return 0
        if self._phase == _HANDSHAKE and tls.facts is not None:
            meter = service.context.log.meter
            meter.tls.observe(meter.now() - tls.began)
            meter.handshake(tls.facts.version, tls.facts.resumed)
            self._secured(tls.facts)
        transport.flush()
        if tls.finished:
            service.call_later(0, self.eof_received)
        return count

    def _secured(self, facts: TlsFacts) -> None:
        """The handshake is over: a session begins of which nothing is known (RFC 3207 §4.2)."""
        session = self._session
        if session is None:
            return
        self._since = self._service.second
        self._phase = _OPEN
        session.secured(facts)
        greeted = self._protocol is not None and self._protocol.upgrading
        self._protocol = protocol = ServerProtocol(self._listener.rules(self._ip, facts), session)
        if not greeted:
            self._transport.write(protocol.greeting())

    # --- a proxy in front ---------------------------------------------------------------------------

    def _read_preface(self, nbytes: int) -> None:
        service = self._service
        self._preface += bytes(memoryview(service.buffer)[:nbytes])
        try:
            found = proxy.read(self._preface)
        except proxy.ProxyError as error:
            service.context.log.closed(client=self._ip, reason=f"of a proxy: {error}")
            self._phase = _CLOSING
            self._transport.abort()
            return
        if found is None:
            return
        ip, size = found
        rest = self._preface = self._preface[size:]
        self._phase = _NEW
        self._enter(ip or self._ip)
        if rest and self._tls is not None:  # the client's first words belong to the handshake
            self._preface = b""
            while rest:
                piece, rest = rest[:CIPHER_BUFFER], rest[CIPHER_BUFFER:]
                service.cipher[: len(piece)] = piece
                self.buffer_updated(len(piece))

    # --- own --------------------------------------------------------------------------------------

    def _heard(self, piece: bytes, out: bytes) -> None:
        """Keep what is said: from the first refusal on, or because somebody watches."""
        dialogues, talk = self._service.dialogues, self.talk
        if talk is None:
            talk = self.talk = dialogues.begin(self._ip, self.facts)
        elif out and failed(out):
            talk.facts = self.facts
        dialogues.heard(talk, piece, out)
        if not talk.refusals and not dialogues.watched:
            self.talk = None  # whoever watched has gone

    def _after(self, protocol: ServerProtocol) -> None:
        """What follows bytes that were answered: the end, when it is due, or a pause when more came than may be
        answered yet; the rest then waits in the kernel."""
        if protocol.left:
            self._phase = _CLOSING
            self._transport.close()
        elif protocol.upgrading:
            self._begin_tls()
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
        if not self._paused and self._phase != _CLOSING and not self._transport.is_closing():
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
            self._service.context.limits.early(self._ip)
            self._service.refused(self._ip, refusal)
            self._transport.write(protocol.say_goodbye(refusal))
            self._hang_up()

    def _broken(self, error: Exception) -> None:
        """A defect of ours: the client is told to try later, the operator what happened."""
        self._service.context.log.event(f"session with {self._ip} ended: {describe(error)}")
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
