"""A client that speaks TLS in memory to a connection of a `World`, behind a `FakeTransport`."""

import ssl

from tests.fakes.tls_client import client_context
from tests.fakes.transport import FakeTransport


class TlsSession:
    """TLS over ``transport``, begun at once; `say` sends clear text and gives what came back."""

    def __init__(self, transport: FakeTransport) -> None:
        self.transport = transport
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = client_context().wrap_bio(self._in, self._out, server_hostname="mx.example.org")

    def begin(self, behind: bytes = b"") -> bytes:
        """Do the handshake, with ``behind`` said in the same breath as its end; what the server says then."""
        while True:
            try:
                self.object.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
        return self.say(behind) if behind else self._hear()

    def say(self, data: bytes) -> bytes:
        """Send ``data``; what the server answers."""
        self.object.write(data)
        return self._hear()

    def hear(self) -> bytes:
        """What the server has said of itself."""
        return self._hear()

    def pending(self) -> bytes:
        """Ciphertext that is to be sent, and is not."""
        return self._out.read()

    def end(self) -> None:
        """Say close_notify."""
        try:
            self.object.unwrap()
        except ssl.SSLError:
            pass
        self._exchange()

    def _exchange(self) -> None:
        if self._out.pending:
            self.transport.feed(self._out.read())
        self._in.write(self.transport.take())

    def _hear(self) -> bytes:
        self._exchange()
        heard = b""
        try:
            while part := self.object.read(16384):
                heard += part
        except ssl.SSLWantReadError:
            pass
        return heard
