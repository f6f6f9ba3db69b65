"""One connection of the load generator."""

import asyncio
from typing import TYPE_CHECKING

from fastsmtp.smtp.client_dialogue import ClientProtocol
from fastsmtp.smtp.events import Event

if TYPE_CHECKING:
    from fastsmtp.loadgen.sender import Sender

_SENT, _READY, _REFUSED, _OVER = int(Event.SENT), int(Event.READY), int(Event.REFUSED), int(Event.OVER)


class Session(asyncio.BufferedProtocol):
    """In clear. ``intended`` is when its message under way was to begin, None between messages."""

    __slots__ = ("began", "client", "intended", "octets", "overdue", "sender", "task", "transport")

    def __init__(self, sender: "Sender", intended: float, now: float) -> None:
        self.sender = sender
        self.client = ClientProtocol(
            sender.hello, pipelining=sender.plan.pipelining, chunking=sender.plan.chunking
        )
        self.intended: float | None = intended
        self.began = now
        self.octets = 0
        self.overdue = False
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def stage(self) -> str:
        """What is waited for."""
        return self.client.stage

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.task = None
        self.sender.connected()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.sender.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.heard(self.sender.buffer, nbytes)

    def heard(self, data: bytes | bytearray, size: int) -> None:
        """The first ``size`` octets of ``data`` are what the server says."""
        client = self.client
        out = client.receive(data, size)
        if out:
            self.write(out)
        event = client.event
        if event:
            self._happened(event)

    def write(self, data: bytes) -> None:
        """Says ``data``."""
        if self.transport is not None:
            self.transport.write(data)

    def _happened(self, event: int) -> None:
        sender = self.sender
        if self.client.refusals:
            sender.note(self.client.refusals)
        if event == _OVER:
            if self.transport is not None:
                self.transport.close()
            return
        if event == _READY and self.intended is not None:
            self.begin(self.intended, self.began)
            return
        if event == _SENT and self.intended is not None:
            sender.accepted(self.intended, self.octets)
        elif event == _REFUSED:
            sender.tally.failed += 1
        self.intended = None
        sender.free(self)

    def begin(self, intended: float, now: float) -> None:
        """Sends a message."""
        self.intended = intended
        self.began = now
        mail, rcpts, self.octets, body = self.sender.letter()
        self.write(self.client.send(mail, rcpts, body))

    def connection_lost(self, exc: Exception | None) -> None:
        refusals = self.refusals_at_end()
        self.transport = None
        if not self.overdue:
            self.sender.note(refusals)
        self.sender.ended(self)

    def refusals_at_end(self) -> list[tuple[str, bytes]]:
        """What the end of the connection means, as stage and reply line."""
        self.client.end()
        return self.client.refusals
