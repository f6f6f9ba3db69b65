"""A connection of the load generator that is secured by TLS, in which somebody may log in."""

import asyncio
import ssl
from typing import TYPE_CHECKING

from fastsmtp.loadgen.client_tls import ClientLayer, TlsClient
from fastsmtp.loadgen.opening import Opening, Stage
from fastsmtp.loadgen.session import Session

if TYPE_CHECKING:
    from fastsmtp.loadgen.sender import Sender


class SecuredSession(Session):
    """What the plan says of TLS and login comes first; then it is a session as in clear."""

    __slots__ = ("_layer", "_opening", "_tls")

    def __init__(self, sender: "Sender", intended: float, now: float, tls: TlsClient) -> None:
        super().__init__(sender, intended, now)
        plan = sender.plan
        self._tls = tls
        self._layer: ClientLayer | None = None
        self._opening = Opening(
            sender.hello, implicit=plan.tls == "tls", starttls=plan.tls == "starttls", login=plan.login
        )

    @property
    def stage(self) -> str:
        return super().stage if self._opening.stage is Stage.DONE else self._opening.stage.name.lower()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._opening.stage is Stage.TLS:
            self._start_tls()

    def buffer_updated(self, nbytes: int) -> None:
        data = memoryview(self.sender.buffer)[:nbytes]
        layer = self._layer
        if layer is None:
            self._open(bytes(data))
            if self._opening.stage is Stage.TLS:
                self._start_tls()
            return
        before = layer.secured
        try:
            clear = layer.receive(data)
            if layer.secured and not before:
                self.sender.secured(layer.describe())
                self._say(self._opening.secured())
            if clear:
                self._heard_clear(clear)
        except ssl.SSLError as error:
            self._broken(error)
        self._flush()

    def write(self, data: bytes) -> None:
        if self._layer is None:
            super().write(data)
            return
        try:
            self._layer.write(data)
        except ssl.SSLError as error:
            self._broken(error)
        self._flush()

    def refusals_at_end(self) -> list[tuple[str, bytes]]:
        opening = self._opening
        if opening.stage is Stage.DONE:
            return super().refusals_at_end()
        opening.end()
        assert opening.refusal is not None
        return [opening.refusal]

    def _start_tls(self) -> None:
        self._layer = self._tls.layer()
        self._layer.start()
        self._flush()

    def _heard_clear(self, clear: bytes) -> None:
        if self._opening.stage is not Stage.DONE:
            self._open(clear)
            return
        if self.client.stage == "body":  # whatever tickets there were have come before this reply
            assert self._layer is not None
            self._tls.keep(self._layer)
        self.heard(clear, len(clear))

    def _open(self, data: bytes) -> None:
        """Goes on with the opening; once it is over, the session's own protocol is told what the server has said."""
        opening = self._opening
        self._say(opening.receive(data))
        if opening.stage is Stage.OVER:
            self._close()
        elif opening.stage is Stage.DONE:
            self.client.receive(opening.greeting)  # its EHLO has been said
            self.heard(opening.offer, len(opening.offer))

    def _say(self, out: bytes) -> None:
        if out:
            self.write(out)

    def _broken(self, error: ssl.SSLError) -> None:
        """TLS has failed: an end like any other, with the reason where the session has not begun yet."""
        if self._opening.stage is Stage.TLS:
            self._opening.fail((error.reason or str(error)).lower().replace("_", " "))
        self._flush()
        self._close()

    def _flush(self) -> None:
        out = self._layer.take() if self._layer is not None else b""
        if out and self.transport is not None:
            self.transport.write(out)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()
