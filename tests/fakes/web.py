"""The HTTP process and one worker in one loop, over real sockets, and a client that says what it wants."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fastsmtp.accounts.settings import AccountSettings, HashSettings
from fastsmtp.clock import SystemClock
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.limits.counter import LimitTable
from fastsmtp.limits.guard import ConnectionGuard
from fastsmtp.limits.pressure import PressureBoard
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.limits.sites import SiteTable
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.process.routing import SettingsSource
from fastsmtp.process.services import MailServices
from fastsmtp.process.settings import Settings, default_settings
from fastsmtp.process.shared import Regions
from fastsmtp.process.web import WebServices
from fastsmtp.queue.suspects import Suspects
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.tls.store import CertificateStore
from fastsmtp.web.settings import HttpSettings, TokenSettings

ADMIN = "admin-token-0123456789"
SHOP = "shop-token-0123456789"


class Response(NamedTuple):
    """What was answered; ``fields`` by lower-case names."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def web_settings(directory: Path, **changes: Any) -> Settings:
    """A server of local.test with embedded accounts and two tokens, below ``directory``; nothing goes to other
    hosts."""
    settings = default_settings(directory)
    wanted: dict[str, Any] = {
        "spool": SpoolSettings(map_size=64 << 20, reserve=4 << 20, ahead=1 << 20),
        "mailboxes": MailboxSettings(
            domains=("local.test",), users=("bob",), path=str(directory / "mail/{domain}/{user}")
        ),
        "accounts": AccountSettings(
            backend="embedded", hash=HashSettings(memory=8192, passes=1), scram_iterations=0
        ),
        "limits": LimitSettings(message_size=2_000_000, loopback_exempt=True),
        "delivery": msgspec.structs.replace(settings.delivery, hold=True),
        "ledger": LedgerSettings(),
        "http": HttpSettings(
            address="127.0.0.1:0",
            tokens=(
                TokenSettings(name="ops", token=ADMIN, may=("admin",)),
                TokenSettings(name="shop", token=SHOP, senders=("@shop.test",)),
            ),
        ),
        **changes,
    }
    return msgspec.structs.replace(settings, **wanted)


class WebServer:
    """What `serving` gives: the address, and both processes' services."""

    def __init__(self, settings: Settings, port: int, worker: MailServices, web: WebServices) -> None:
        self.settings = settings
        self.port = port
        self.worker = worker
        self.web = web

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        basic: str = "",
        kind: str = "application/json",
        fields: Mapping[str, str] | None = None,
    ) -> Response:
        """One request; ``body`` as octets, or what becomes JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Host": "localhost", "Connection": "close", **(fields or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if basic:
            sent["Authorization"] = f"Basic {base64.b64encode(basic.encode()).decode()}"
        if body is not None:
            sent |= {"Content-Type": kind, "Content-Length": str(len(data))}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in sent.items()
        )
        return await self.say(head.encode() + b"\r\n" + data)

    async def say(self, data: bytes) -> Response:
        """Send these octets, and read one response."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(20):
                return await read_response(reader)
        finally:
            writer.transport.abort()


async def read_response(reader: asyncio.StreamReader) -> Response:
    """One response with its body."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Response(int(first.split(" ")[1]), fields, body)


@asynccontextmanager
async def serving(
    settings: Settings, certificates: CertificateStore | None = None
) -> AsyncIterator[WebServer]:
    """A worker of slot 0 and the HTTP process, started; stopped at the end."""
    clock, loop = SystemClock(), asyncio.get_running_loop()
    table = MetricTable(clock.now())
    quiet = os.open(os.devnull, os.O_WRONLY)
    log = MailLog(clock, slot=0, fd=quiet)
    log.run_on(loop)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    (settings.data_dir / "spool").mkdir(exist_ok=True)
    worker = MailServices(
        0,
        loop,
        log,
        row=0,
        settings=settings,
        source=SettingsSource(None, settings, None),
        guard=ConnectionGuard(1, settings.limits),
        pressure=PressureBoard(1),
        limits=LimitTable((), clock),
        sites=SiteTable(1, 20, 0, clock),
        suspects=Regions(1, SuspectBoard.BYTES),
        remote_suspects=Regions(1, Suspects.BYTES),
        certificates=None,
        metrics=table,
        clock=clock,
    )
    worker.start(crashed=False)
    await worker.listen()
    worker.open()
    web = WebServices(settings, certificates, table, clock, log)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        try:
            await web.start([sock])
            yield WebServer(settings, sock.getsockname()[1], worker, web)
        finally:
            await web.drain(1.0)
            await web.stop()
            await worker.drain(1.0)
            await asyncio.to_thread(worker.stop)
            log.finish()
            os.close(quiet)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """The first line, the fields by lower-case names, and the body of a request."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    return first, fields, await reader.readexactly(int(fields.get("content-length", "0")))
