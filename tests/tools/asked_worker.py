"""A control socket that answers while a command asks, in a thread of its own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from fastsmtp.control.place import socket_path
from fastsmtp.control.server import ControlServer


class Service(Protocol):
    """What registers the requests that it answers."""

    def register(self, server: ControlServer) -> None:
        """Let ``server`` answer them."""


@contextmanager
def asked_worker(data_dir: Path, *services: Service, slot: int = 0) -> Iterator[None]:
    """The worker of ``slot`` answers for ``services``."""
    loop = asyncio.new_event_loop()
    server = ControlServer(socket_path(data_dir, slot), print)
    for service in services:
        service.register(server)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
