"""Serves the application on listening sockets (uvicorn's protocol, without uvicorn's server: signals, loop and
processes are the master's and the helper's)."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from email.utils import formatdate

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from fastsmtp.web.protocol import BoundedProtocol

MOST_CONNECTIONS = 512
"""Connections at once; what comes above is answered 503."""
KEEP_ALIVE = 15
"""Seconds that a connection stays open between two requests."""
_BACKLOG = 256
_POLL = 0.02


class HttpServer:
    """Lives on the loop that runs when `start` is called. Without ``context`` it is HTTP in clear.
    ``now``: seconds since 1970 UTC."""

    def __init__(self, app: ASGIApp, context: ssl.SSLContext | None, now: Callable[[], float]) -> None:
        self._now = now
        self._context = context
        # What a stranger sends is no matter for standard error, where these would go.
        for name in ("uvicorn.error", "uvicorn.access"):
            logger = logging.getLogger(name)
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
            logger.setLevel(logging.CRITICAL)
        self._config = Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.AbstractServer] = []

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept from ``sockets``, which are closed at the end."""
        self._date()
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(
                await loop.create_server(self._protocol, sock=sock, ssl=self._context, backlog=_BACKLOG)
            )

    def tick(self) -> None:
        """Once a second."""
        self._date()
        now = asyncio.get_running_loop().time()
        for connection in list(self._state.connections):
            assert isinstance(connection, BoundedProtocol)
            connection.tick(now)

    async def drain(self, grace: float) -> None:
        """Accept no more; requests under way get ``grace`` seconds."""
        loop = asyncio.get_running_loop()
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        deadline = loop.time() + grace
        while (self._state.connections or self._state.tasks) and loop.time() < deadline:
            await asyncio.sleep(_POLL)
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=1.0)

    def _date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(self._now(), usegmt=True).encode("ascii"))]

    def _protocol(self) -> BoundedProtocol:
        return BoundedProtocol(config=self._config, server_state=self._state, app_state={})
