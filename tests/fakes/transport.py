"""The loop's side of a connection, without a loop: keeps what is written, shows what was asked of it."""

import asyncio
import socket
from typing import Any


class FakeTransport(asyncio.Transport):
    """Reading and writing as a loop's transport promises them. With ``room`` set, what is written beyond so
    many bytes stays in the buffer, and the protocol is told to pause, until `drain`."""

    def __init__(
        self,
        protocol: asyncio.BufferedProtocol,
        *,
        ip: str = "192.0.2.1",
        handle: socket.socket | None = None,
    ):
        super().__init__({"peername": (ip, 4321) if ip else None, "socket": handle})
        self.protocol = protocol
        self.written = bytearray()
        self.writes: list[bytes] = []
        self.room: int | None = None
        self.reading = True
        self.half_closed = False
        self.closing = False
        self.aborted = False
        self._buffered = 0
        self._told_to_pause = False

    # --- what a protocol calls ------------------------------------------------------------------

    def write(self, data: Any) -> None:
        assert data
        assert not self.half_closed, "written behind the end of our side"
        if self.closing:
            return
        self.written += data
        self.writes.append(bytes(data))
        self._buffered += len(data)
        if self.room is not None and self._buffered > self.room and not self._told_to_pause:
            self._told_to_pause = True
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        self.half_closed = True

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        assert not self.closing
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    # --- what a test does -----------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """The client sends ``data``; it is read as far as the protocol reads."""
        assert self.reading, "nobody reads now"
        assert not self.closing
        buffer = self.protocol.get_buffer(-1)
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]  # type: ignore[index]
        self.protocol.buffer_updated(size)
        if data[size:]:
            self.feed(data[size:])

    def drain(self) -> None:
        """The client reads its replies."""
        self._buffered = 0
        if self._told_to_pause:
            self._told_to_pause = False
            self.protocol.resume_writing()

    def take(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self.written)
        self.written.clear()
        self.writes.clear()
        return data

    def lose(self) -> None:
        """The connection is gone."""
        self.protocol.connection_lost(None)
