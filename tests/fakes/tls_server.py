"""A server of lines behind `TlsLayer`, in a thread with a loop of its own: what comes is sent back behind ``250``."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastsmtp.tls.layer import CIPHER_BUFFER, CLEAR_BUFFER, TlsError, TlsFacts, TlsLayer
from fastsmtp.tls.store import CertificateStore


class LineServer:
    """Listens on ``port`` of 127.0.0.1. ``met`` has the facts of each handshake, ``reasons`` why others failed."""

    def __init__(self, store: CertificateStore) -> None:
        self.store = store
        self.port = 0
        self.met: list[TlsFacts] = []
        self.reasons: list[str] = []
        self.cipher = memoryview(bytearray(CIPHER_BUFFER))
        self.clear = memoryview(bytearray(CLEAR_BUFFER))
        self.loop = asyncio.new_event_loop()

    def replace(self, change: Callable[[CertificateStore], None]) -> None:
        """``change`` the store on the server's thread, and wait for it."""
        done = threading.Event()

        def run() -> None:
            change(self.store)
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(20)


class _Connection(asyncio.BufferedProtocol):
    _transport: asyncio.Transport

    def __init__(self, server: LineServer) -> None:
        self._server = server
        self._tls = TlsLayer(server.store)
        self._met = False
        self._line = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._server.cipher

    def buffer_updated(self, nbytes: int) -> None:
        server, tls = self._server, self._tls
        try:
            count = tls.receive(server.cipher[:nbytes], server.clear)
        except TlsError as error:
            server.reasons.append(str(error))
            self._transport.write(tls.take())
            self._transport.close()
            return
        if tls.facts is not None and not self._met:
            self._met = True
            server.met.append(tls.facts)
        self._transport.write(tls.take())
        *lines, self._line = (self._line + bytes(server.clear[:count])).split(b"\n")
        for line in lines:
            self._transport.write(tls.write(b"250 " + line.rstrip(b"\r") + b"\r\n"))
        if tls.finished:
            tls.close()
            self._transport.write(tls.take())
            self._transport.close()


@contextmanager
def line_server(store: CertificateStore) -> Iterator[LineServer]:
    """A running one."""
    made = LineServer(store)
    listens = threading.Event()

    async def serve() -> None:
        server = await made.loop.create_server(lambda: _Connection(made), "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        listens.set()

    def live() -> None:
        made.loop.run_until_complete(serve())
        made.loop.run_forever()
        made.loop.close()

    thread = threading.Thread(target=live)
    thread.start()
    assert listens.wait(20)
    try:
        yield made
    finally:
        made.loop.call_soon_threadsafe(made.loop.stop)
        thread.join(20)
