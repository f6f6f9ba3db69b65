"""TLS of one connection without I/O: ciphertext in, clear text out, and the other way round.

The bytes of a connection are read into the worker's buffers as without TLS, and this stands between them and the
dialogue. It is begun with nothing in it, so what a client sent in clear after STARTTLS cannot reach the session
(RFC 3207 §4.2). An idle connection holds OpenSSL's state and no buffer to speak of: what comes in is handed to
OpenSSL in pieces, since a memory BIO keeps the size it once had.
"""

import hashlib
import ssl
from typing import Any, cast

from msgspec import Struct

from fastsmtp.tls.pair import Facts
from fastsmtp.tls.store import CertificateStore, ServerObject

CIPHER_BUFFER = 64 * 1024
"""Octets to read from a connection at once."""

CLEAR_BUFFER = CIPHER_BUFFER + 16 * 1024
"""Octets that so many may come to: a record may have lain there before."""

HANDSHAKE = 32 * 1024
"""Octets that a client may send for a handshake, certificates included; OpenSSL alone would keep 128 KB of them."""

_PIECE = 16 * 1024
_RECORD = 16 * 1024


class TlsError(Exception):
    """The session cannot go on; the text is for the log. `TlsLayer.take` may have an alert for the client."""


class TlsFacts(Struct, frozen=True):
    """A session as it came out of the handshake."""

    version: str
    """Such as ``TLSv1.3``."""
    cipher: str
    bits: int
    resumed: bool
    server_name: str | None
    """The host the client asked for."""
    certificate: Facts | None
    """Ours, which holds the channel binding."""
    client_subject: str | None
    """Of the client's certificate, which a known authority has signed."""
    client_fingerprint: str | None
    """SHA-256 of it, in hexadecimal."""


class TlsLayer:
    """The server's side of one connection, which ``began`` at that time. After `receive` and `close`, what `take`
    gives is sent."""

    __slots__ = ("_handshake_octets", "_in", "_object", "_out", "began", "facts", "finished")

    def __init__(self, store: CertificateStore, began: float = 0.0) -> None:
        self.began = began
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        handshake = store.context().wrap_bio(self._in, self._out, server_side=True)
        assert isinstance(handshake, ServerObject)
        self._object = handshake
        self._handshake_octets = 0
        self.facts: TlsFacts | None = None
        """None until the handshake is over."""
        self.finished = False
        """Whether the client has said that it sends no more."""

    def receive(self, data: memoryview, clear: memoryview) -> int:
        """Take in ``data``, `CIPHER_BUFFER` octets at most, and write what it says into ``clear``, which has
        `CLEAR_BUFFER`. Returns the number of octets there. Raises `TlsError`."""
        written = 0
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._in.write(piece)
            try:
                if self.facts is None:
                    self._handshake_octets += len(piece)
                    self._object.do_handshake()
                    self.facts = _facts(self._object)
                while self._in.pending:
                    count = cast("int", self._object.read(_RECORD, clear[written:]))
                    if not count:
                        self.finished = True
                        return written
                    written += count
            except ssl.SSLWantReadError:
                if self.facts is None and self._handshake_octets > HANDSHAKE:
                    raise TlsError(f"TLS handshake: it goes on after {HANDSHAKE} octets") from None
            except ssl.SSLZeroReturnError:
                self.finished = True
                return written
            except ssl.SSLError as error:
                raise TlsError(reason_of(error, handshake=self.facts is None)) from None
        return written

    def write(self, data: bytes | bytearray | memoryview) -> bytes:
        """``data`` as ciphertext, with whatever else was to be sent. Raises `TlsError`."""
        try:
            done = self._object.write(data)
            while done < len(data):
                done += self._object.write(memoryview(data)[done:])
        except ssl.SSLError as error:
            raise TlsError(reason_of(error, handshake=self.facts is None)) from None
        return self._out.read()

    def take(self) -> bytes:
        """What is to be sent besides: parts of the handshake, alerts. Often empty."""
        return self._out.read() if self._out.pending else b""

    def close(self) -> None:
        """Say that no more comes from us (close_notify, RFC 8446 §6.1); the client may still send. Nothing before the
        handshake is over, or after a failure."""
        if self.facts is None:
            return
        try:
            self._object.unwrap()
        except ssl.SSLError:
            pass  # the client has not said so yet, or the session is broken


def reason_of(error: ssl.SSLError, *, handshake: bool) -> str:
    """What went wrong, in a few words for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"client certificate: {error.verify_message}"
    reason = error.reason or str(error)
    words = _REASONS.get(reason) or reason.lower().replace("_", " ")
    return f"TLS handshake: {words}" if handshake else f"TLS: {words}"


_REASONS = {
    "WRONG_VERSION_NUMBER": "what came is not TLS",
    "HTTP_REQUEST": "an HTTP request came",
    "HTTPS_PROXY_REQUEST": "an HTTP request came",
    "UNSUPPORTED_PROTOCOL": "the client speaks no version that is allowed",
    "NO_SHARED_CIPHER": "no cipher in common with the client",
    "CALLBACK_FAILED": "the name of the host that the client asks for is not ASCII",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client showed no certificate",
}


def _facts(session: ServerObject) -> TlsFacts:
    cipher = session.cipher()
    assert cipher is not None
    der = session.getpeercert(binary_form=True)
    shown: Any = (session.getpeercert() or {}).get("subject", ()) if der else ()
    names = [f"{key}={value}" for part in shown for key, value in part]
    return TlsFacts(
        version=session.version() or "",
        cipher=cipher[0],
        bits=cipher[2],
        resumed=bool(session.session_reused),
        server_name=session.server_name,
        certificate=session.pair.facts if session.pair else None,
        client_subject=", ".join(names) if der else None,
        client_fingerprint=hashlib.sha256(der).hexdigest() if der else None,
    )
