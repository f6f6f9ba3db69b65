"""A TLS client in memory, against a `TlsLayer`: no socket, no thread."""

import ssl
from typing import Any

from fastsmtp.tls.layer import CIPHER_BUFFER, CLEAR_BUFFER, TlsLayer
from fastsmtp.tls.store import CertificateStore


def client_context(version: str = "1.3", **options: Any) -> ssl.SSLContext:
    """A client's context that believes every certificate and speaks one ``version`` only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    number = {
        "1.1": ssl.TLSVersion.TLSv1_1,
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    context.minimum_version = context.maximum_version = number
    for name, value in options.items():
        setattr(context, name, value)
    return context


class TlsClient:
    """One client with the ``layer`` of the server it speaks to; ``heard`` is the clear text that came to the
    server."""

    def __init__(
        self,
        store: CertificateStore,
        context: ssl.SSLContext | None = None,
        name: str | None = "mx.example.org",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.layer = TlsLayer(store)
        self.heard = b""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._clear = memoryview(bytearray(CLEAR_BUFFER))
        self.object = (context or client_context()).wrap_bio(
            self._in, self._out, server_hostname=name, session=session
        )

    def handshake(self) -> "TlsClient":
        """To its end on both sides."""
        done = False
        while not done or self.layer.facts is None:
            try:
                self.object.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            self.pump()
        return self

    def flight(self) -> bytes:
        """The client's next bytes of the handshake, which are not given to the server."""
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self._out.read()

    def pump(self) -> None:
        """Give the server what the client wants to send, and the client what comes back."""
        while data := self._out.read(CIPHER_BUFFER):
            self.feed(data)
        self._in.write(self.layer.take())

    def feed(self, data: bytes) -> None:
        """Bytes for the server."""
        count = self.layer.receive(memoryview(data), self._clear)
        self.heard += bytes(self._clear[:count])

    def send(self, data: bytes) -> None:
        """Clear text for the server."""
        self.object.write(data)
        self.pump()

    def ciphertext(self, data: bytes) -> bytes:
        """What `send` would give to the server."""
        while data:
            data = data[self.object.write(data) :]
        return self._out.read()

    def answer(self, data: bytes) -> bytes:
        """The server writes ``data``; what the client then reads."""
        self._in.write(self.layer.write(data))
        return self.read()

    def receive(self, data: bytes) -> None:
        """Bytes for the client."""
        self._in.write(data)

    def read(self) -> bytes:
        """Clear text that has come to the client."""
        heard = b""
        try:
            while part := self.object.read(16384):
                heard += part
        except ssl.SSLWantReadError:
            pass
        return heard
