"""TLS of the load generator's side, without I/O: memory BIOs between OpenSSL and the bytes of a connection.

No certificate is verified: what is measured is a server of one's own, most often with a self-signed one.
"""

import ssl

_RECORD = 16 * 1024


class TlsClient:
    """What the connections of one process share: the context, and with ``resume`` the newest ticket of the server."""

    def __init__(self, *, resume: bool) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._resume = resume
        self._session: ssl.SSLSession | None = None

    def layer(self) -> "ClientLayer":
        """For one more connection."""
        return ClientLayer(self._context, self._session)

    def keep(self, layer: "ClientLayer") -> None:
        """What the server has given to ``layer`` serves the next handshakes."""
        if not self._resume:
            return
        session = layer.session
        if session is not None and session.has_ticket:
            self._session = session


class ClientLayer:
    """One connection's. After each call, what `take` gives is to be sent."""

    __slots__ = ("_in", "_object", "_out", "secured")

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, session=session)
        self.secured = False
        """Whether the handshake is over."""

    @property
    def session(self) -> ssl.SSLSession | None:
        """What may be resumed; with TLS 1.3 it comes after the handshake (RFC 8446 §4.6.1)."""
        return self._object.session

    def start(self) -> None:
        """Begin the handshake."""
        self._advance()

    def receive(self, data: memoryview) -> bytes:
        """The clear text of ``data``, which may be none. Raises ssl.SSLError."""
        self._in.write(data)
        if not self.secured and not self._advance():
            return b""
        parts = []
        try:
            while self._in.pending:
                part = self._object.read(_RECORD)
                if not part:
                    break
                parts.append(part)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Encrypt ``data``. Raises ssl.SSLError."""
        done = self._object.write(data)
        while done < len(data):
            done += self._object.write(memoryview(data)[done:])

    def take(self) -> bytes:
        """What is to be sent. Often empty."""
        return self._out.read() if self._out.pending else b""

    def describe(self) -> str:
        """Version, cipher, and whether a session was resumed."""
        cipher = self._object.cipher()
        assert cipher is not None
        how = "resumed" if self._object.session_reused else "full handshake"
        return f"{self._object.version()} {cipher[0]}, {how}"

    def _advance(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.secured = True
        return True
