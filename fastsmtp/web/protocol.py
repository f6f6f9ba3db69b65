"""HTTP/1.1 on a connection (uvicorn, httptools), with the bounds that those leave open: how long a header may take,
and how large it may be."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIME = 10.0
"""Seconds for the header of a request, from the connection or its first octet."""
REST_TIME = 60.0
"""Seconds after a response: for it to be taken, for the rest of a body that nobody reads, for the next request."""
MOST_HEAD = 32 << 10
"""Octets of a request's line and fields, and of what comes of a request behind its body or between pieces of it; what
comes in one piece with the last of them is not counted."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `tick` is called once a second."""

    transport: asyncio.Transport

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._until: float | None = None
        self._head = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._until = self.loop.time() + HEAD_TIME
        super().connection_made(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._head = 0
        if self._until is None or self.cycle is not None:
            self._until = self.loop.time() + HEAD_TIME
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its header is there: from here on the application looks at the time."""
        self._in_head = False
        self._head = 0
        self._until = None
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field; nobody asks for those behind a body."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._head = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """It was answered."""
        self._until = self.loop.time() + REST_TIME
        super().on_response_complete()

    def tick(self, now: float) -> None:
        """End the connection when its time is over; ``now`` is the loop's."""
        if self._until is not None and now > self._until:
            self.transport.abort()
