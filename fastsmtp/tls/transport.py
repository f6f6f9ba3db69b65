"""A connection's transport once it speaks TLS: what is written leaves as ciphertext, everything else is the plain
transport's. Reading is the layer's: bytes come from the plain transport and go through `TlsLayer.receive`.
"""

import asyncio
from typing import Any

from fastsmtp.tls.layer import TlsError, TlsLayer


class TlsTransport(asyncio.Transport):
    """Writes by ``layer`` to ``plain``. Nothing may be written before the handshake is over."""

    __slots__ = ("_layer", "_plain")

    def __init__(self, plain: asyncio.Transport, layer: TlsLayer) -> None:
        self._plain = plain
        self._layer = layer

    def flush(self) -> None:
        """Send what the layer owes besides: parts of the handshake, alerts."""
        data = self._layer.take()
        if data:
            self._plain.write(data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``, and what else is owed with it. A session that is broken ends."""
        try:
            self._plain.write(self._layer.write(data))
        except TlsError:
            self._plain.abort()

    def write_eof(self) -> None:
        """Say close_notify, and close our side of the connection."""
        self._say_close()
        self._plain.write_eof()

    def close(self) -> None:
        """Say close_notify, and close the connection once that has left."""
        self._say_close()
        self._plain.close()

    def _say_close(self) -> None:
        self._layer.close()
        self.flush()

    def can_write_eof(self) -> bool:
        """See asyncio."""
        return self._plain.can_write_eof()

    def abort(self) -> None:
        """See asyncio."""
        self._plain.abort()

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._plain.is_closing()

    def pause_reading(self) -> None:
        """See asyncio."""
        self._plain.pause_reading()

    def resume_reading(self) -> None:
        """See asyncio."""
        self._plain.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the plain transport."""
        return self._plain.get_extra_info(name, default)
