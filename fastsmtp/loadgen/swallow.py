"""One process of a sink: an event loop whose sessions throw mail away, or are slow or rude as asked."""

import asyncio
import socket
from collections.abc import Callable
from typing import Literal, cast

import uvloop

from fastsmtp.loadgen.sinkplan import SinkCounts, SinkPlan
from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import BYE, Reply
from fastsmtp.smtp.dialogue import ServerProtocol
from fastsmtp.smtp.handler import PENDING, Answer, AuthAnswer, Pending
from fastsmtp.smtp.rules import ServerRules
from fastsmtp.tls.layer import CIPHER_BUFFER, TlsError, TlsLayer
from fastsmtp.tls.transport import TlsTransport

SWALLOWED = Reply(250, "0.0", "swallowed")
_ACCEPTED = {"body": SWALLOWED}  # elsewhere the dialogue has words of its own
_BUFFER = 256 * 1024  # what a full buffer of ciphertext comes to fits as well
_RECIPIENTS = 100_000
_ERRORS = 1_000_000


class SinkRules(ServerRules):
    """The server's rules, but a plan may refuse at the greeting and at HELO and EHLO."""

    def __init__(self, plan: SinkPlan, *, secured: bool = False) -> None:
        super().__init__(
            hostname=plan.hostname,
            size=plan.size,
            recipients=_RECIPIENTS,
            errors=_ERRORS,
            starttls=plan.certificates is not None and not secured,
            secured=secured,
        )
        put = object.__setattr__  # frozen, as its base is
        greeting, hello = plan.refusal("connect"), plan.refusal("helo")
        if greeting is not None:
            put(self, "greeting", greeting.wire)
        if hello is not None:
            put(self, "hello", hello.wire)
            put(self, "extended_hello", hello.wire)


class Sink:
    """What the sessions of one process share."""

    def __init__(self, plan: SinkPlan, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.rules = SinkRules(plan)
        self.secured_rules = SinkRules(plan, secured=True)
        self.certificates = plan.certificates
        self.buffer = bytearray(_BUFFER)
        self.cipher = bytearray(CIPHER_BUFFER)
        self.counts = SinkCounts()
        self.refusals = {stage: refusal for stage in plan.refuse if (refusal := plan.refusal(stage))}
        self.delays = plan.delay
        self.drops = frozenset(plan.drop)
        self.plain = not (self.refusals or self.delays or self.drops)

    async def serve(self, listening: socket.socket, backlog: int) -> asyncio.AbstractServer:
        """Accepts connections from ``listening``."""
        return await self.loop.create_server(lambda: SinkSession(self), sock=listening, backlog=backlog)


class SinkSession(asyncio.BufferedProtocol):
    """One connection, and the handler of its own dialogue; after STARTTLS its transport encrypts.

    A stage with a handler method that may answer is delayed by `PENDING`; at the others, what is to be written
    waits, and nothing is read meanwhile.
    """

    __slots__ = (
        "_dropping",
        "_hold",
        "_octets",
        "_protocol",
        "_recipients",
        "_sink",
        "_timer",
        "_tls",
        "_transport",
    )

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._protocol = ServerProtocol(sink.rules, self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tls: TlsLayer | None = None
        self._dropping = False
        self._hold = 0.0
        self._octets = 0
        self._recipients = 0

    # --- from the loop ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sink = self._sink
        sink.counts.connections += 1
        sink.counts.open += 1
        if sink.plain:
            self._transport.write(self._protocol.greeting())
            return
        if "connect" in sink.drops:
            self._drop("connect")
            self._transport.abort()
            return
        self._hold = sink.delays.get("connect", 0.0)
        refused = "connect" in sink.refusals
        if refused:
            self._count(sink.counts.refused, "connect")
        self._write(self._protocol.greeting(), refused)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._sink.buffer if self._tls is None else self._sink.cipher

    def buffer_updated(self, nbytes: int) -> None:
        if self._tls is not None:
            nbytes = self._decrypt(self._tls, nbytes)
        if nbytes:
            self._heard(nbytes)
        if self._protocol.upgrading:
            self._secure()

    def _heard(self, nbytes: int) -> None:
        protocol = self._protocol
        out = protocol.receive(self._sink.buffer, nbytes)
        if self._sink.plain:
            if out:
                self._transport.write(out)  # type: ignore[union-attr]
            if protocol.closing and not protocol.upgrading:
                self._transport.close()  # type: ignore[union-attr]
        else:
            self._went_on(out)

    def eof_received(self) -> bool:
        if not self._protocol.waiting and self._timer is None and self._transport is not None:
            self._transport.close()
        return True

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and self._timer is None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._protocol.end()
        self._sink.counts.open -= 1

    # --- TLS --------------------------------------------------------------------------------------

    def _secure(self) -> None:
        """STARTTLS was answered: what comes now is a handshake, and then a session that begins anew."""
        self._protocol = ServerProtocol(self._sink.secured_rules, self)
        certificates = self._sink.certificates
        if self._transport is not None and certificates is not None:
            self._tls = TlsLayer(certificates)
            self._transport = TlsTransport(self._transport, self._tls)

    def _decrypt(self, tls: TlsLayer, nbytes: int) -> int:
        """The octets of clear text in the buffer; none, and the connection ends, when TLS fails."""
        sink, failed = self._sink, False
        count = 0
        try:
            count = tls.receive(memoryview(sink.cipher)[:nbytes], memoryview(sink.buffer))
        except TlsError:
            failed = True
        if isinstance(self._transport, TlsTransport):
            self._transport.flush()
            if failed or (tls.finished and not count):
                self._transport.close()
        return count

    # --- slow and rude ----------------------------------------------------------------------------

    def _went_on(self, out: bytes) -> None:
        """The dialogue has moved; ``out`` is its answer, unless the plan says otherwise."""
        sink = self._sink
        if self._transport is None:
            return
        goodbye = self._protocol.closing and out.endswith(BYE.wire)
        if goodbye and "quit" in sink.drops:
            self._drop("quit")
        if self._dropping:
            self._transport.abort()
            return
        if goodbye:
            self._hold += sink.delays.get("quit", 0.0)
            refusal = sink.refusals.get("quit")
            if refusal is not None:
                self._count(sink.counts.refused, "quit")
                out = out.removesuffix(BYE.wire) + refusal.wire
        self._write(out, self._protocol.closing and not self._protocol.upgrading)

    def _write(self, out: bytes, close: bool) -> None:
        """Writes ``out``, after the pause that was asked for, and then closes if wished."""
        if self._transport is None:
            return
        if self._hold:
            seconds, self._hold = self._hold, 0.0
            self._transport.pause_reading()
            self._timer = self._sink.loop.call_later(seconds, self._held, out, close)
            return
        if out:
            self._transport.write(out)
        if close:
            self._transport.close()

    def _held(self, out: bytes, close: bool) -> None:
        self._timer = None
        if self._transport is not None:
            self._transport.resume_reading()
        self._write(out, close)

    def _drop(self, stage: str) -> None:
        self._dropping = True
        self._count(self._sink.counts.dropped, stage)

    def _count(self, counts: dict[str, int], stage: str) -> None:
        counts[stage] = counts.get(stage, 0) + 1

    def _stage(self, stage: str) -> Answer:
        """What the plan says at a stage that may answer."""
        sink = self._sink
        if stage in sink.drops:
            self._drop(stage)
            return PENDING  # for ever: the connection is about to be cut
        refusal = sink.refusals.get(stage)
        if refusal is not None:
            self._count(sink.counts.refused, stage)
        seconds = sink.delays.get(stage, 0.0)
        if seconds:
            self._timer = sink.loop.call_later(seconds, self._resume, refusal or _ACCEPTED.get(stage))
            return PENDING
        return refusal

    def _resume(self, answer: Reply | None) -> None:
        self._timer = None
        self._went_on(self._protocol.resume(answer))

    # --- the dialogue's handler -------------------------------------------------------------------

    def on_hello(self, name: str, extended: bool) -> None:
        """HELO or EHLO."""
        sink = self._sink
        if sink.plain:
            return
        if "helo" in sink.drops:
            self._drop("helo")
        if "helo" in sink.refusals:
            self._count(sink.counts.refused, "helo")
        self._hold += sink.delays.get("helo", 0.0)

    def on_starttls(self) -> Reply | None:
        """STARTTLS, which is offered when there is a certificate."""

    def on_auth(self, mechanism: str, initial: bytes | None) -> AuthAnswer:
        """Not offered, so not asked."""

    def on_auth_data(self, response: bytes) -> AuthAnswer:
        """Not offered, so not asked."""

    def on_auth_cancelled(self) -> None:
        """Not offered, so not asked."""

    def on_xclient(self, attributes: dict[str, str]) -> Reply | None:
        """Not offered, so not asked."""

    def on_mail(self, sender: Address, parameters: dict[str, str] | None) -> Answer:
        """MAIL."""
        self._octets = self._recipients = 0
        return None if self._sink.plain else self._stage("mail")

    def on_rcpt(self, recipient: Address, parameters: dict[str, str] | None) -> Answer:
        """RCPT."""
        self._recipients += 1
        return None if self._sink.plain else self._stage("rcpt")

    def on_data(self, chunked: bool) -> Answer:
        """DATA, or the first BDAT."""
        return None if self._sink.plain else self._stage("data")

    def on_body(self, piece: bytes) -> None:
        """Some of the body."""
        self._octets += len(piece)

    def on_body_end(self) -> Reply | Literal[Pending.PENDING]:
        """The end of the body."""
        sink = self._sink
        answer = None if sink.plain else self._stage("body")
        if answer is None or (answer is PENDING and not self._dropping and "body" not in sink.refusals):
            counts = sink.counts
            counts.messages += 1
            counts.recipients += self._recipients
            counts.octets += self._octets
            if answer is None:
                return SWALLOWED
        return answer

    def on_body_refused(self, refusal: Reply) -> None:
        """The body breaks the rules."""
        self._count(self._sink.counts.refused, "body")

    def on_reset(self) -> None:
        """The transaction is over without a message."""


def process(plan: SinkPlan, sock: socket.socket, report: Callable[[SinkCounts], None], lifeline: int) -> None:
    """Serves until ``lifeline`` can be read or is closed; tells its counts twice a second, and at the end."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        sink = Sink(plan, loop)
        ended = asyncio.Event()
        loop.add_reader(lifeline, ended.set)
        server = await sink.serve(sock, 4096)
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), 0.5)
            except TimeoutError:
                report(sink.counts)
        loop.remove_reader(lifeline)
        server.close()
        report(sink.counts)

    uvloop.run(run())
