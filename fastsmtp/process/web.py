"""What the HTTP process serves: the application on its socket, the webhooks, and a control socket that tells of both.

It is none of the workers: it has no spool and no accounts open, and asks those who have.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastsmtp.clock import Clock
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import read_secret
from fastsmtp.control.server import ControlServer
from fastsmtp.control.web import SOCKET as SOCKET
from fastsmtp.control.web import HookStatus, web_path
from fastsmtp.ledger.follow import Follower
from fastsmtp.ledger.format import DIRECTORY as LEDGER
from fastsmtp.process.errors import StartError
from fastsmtp.process.settings import Settings
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.tls.store import CertificateStore, renew
from fastsmtp.transport.smtp.https import web_context
from fastsmtp.web.access import Access, Token
from fastsmtp.web.accounts import AccountApi
from fastsmtp.web.bodies import MailBox
from fastsmtp.web.health import HealthApi
from fastsmtp.web.hooks import STATE, Hook
from fastsmtp.web.hub import Hub
from fastsmtp.web.limits import LimitApi
from fastsmtp.web.operation import Operation
from fastsmtp.web.queue import QueueApi
from fastsmtp.web.replay import KEYS, sweep
from fastsmtp.web.sending import SendApi
from fastsmtp.web.server_state import ServerApi
from fastsmtp.web.sessions import SessionApi
from fastsmtp.web.settings import SHORTEST
from fastsmtp.web.signature import key_of
from fastsmtp.web.trace import TraceApi

if TYPE_CHECKING:
    from fastsmtp.web.server import HttpServer

_NEEDED = ("starlette", "uvicorn", "httptools")
_SWEEP_EACH = 3600.0


def problems(settings: Settings) -> list[str]:
    """Why it cannot start with these settings, one line each: what is not installed, and secrets that cannot be
    used."""
    found = []
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if settings.http.address is not None and missing:
        found.append(f"http: HTTP needs {', '.join(missing)}: pip install 'fastsmtp-mta[web]'")
    if settings.webhooks and not settings.ledger.enabled:
        found.append("webhooks: they read the ledger; set ledger.enabled = true")
    for read in (tokens, secrets):
        try:
            read(settings)
        except SettingsError as error:
            found += error.problems
    return found


def tokens(settings: Settings) -> list[Token]:
    """Those of the settings. Raises `SettingsError`."""
    made = []
    for i, one in enumerate(settings.http.tokens):
        secret = one.token or _secret(f"http.tokens[{i}].token_file", one.token_file)
        made.append(Token(one.name, secret, frozenset(one.may), one.senders))
    return made


def secrets(settings: Settings) -> list[str]:
    """What webhooks are signed with, in the order of the settings. Raises `SettingsError`."""
    made = []
    for i, one in enumerate(settings.webhooks):
        secret = one.secret or _secret(f"webhooks[{i}].secret_file", one.secret_file)
        try:
            key_of(secret)
        except ValueError as error:
            raise SettingsError([f"webhooks[{i}].secret: {error}"]) from None
        made.append(secret)
    return made


def _secret(key: str, file: str | None) -> str:
    assert file is not None
    secret = read_secret(key, file)
    if len(secret) < SHORTEST:
        raise SettingsError([f"{key}: the first line of {file} is shorter than {SHORTEST} characters"])
    return secret


def operations(
    settings: Settings, hub: Hub, table: MetricTable, clock: Clock, hooks: Sequence[Hook] = ()
) -> list[Operation]:
    """What can be asked by HTTP."""
    trace = TraceApi(settings.data_dir, settings.ledger)
    parts = (
        HealthApi(table, clock.monotonic),
        SendApi(
            hub,
            MailBox(settings.data_dir, clock.now),
            settings.data_dir,
            settings.limits.message_size,
            trace.was_received,
            clock.now,
        ),
        QueueApi(hub),
        trace,
        AccountApi(hub),
        LimitApi(hub),
        SessionApi(hub),
        ServerApi(hub, hooks),
    )
    return [one for part in parts for one in part.operations()]


class WebServices:
    """See the module. ``table`` is where all processes count."""

    def __init__(
        self,
        settings: Settings,
        certificates: CertificateStore | None,
        table: MetricTable,
        clock: Clock,
        log: MailLog,
    ) -> None:
        self._settings = settings
        self._certificates = certificates
        self._table = table
        self._clock = clock
        self._log = log
        self._meter = log.meter = Meter(table.claim(), clock.monotonic)
        self._server: HttpServer | None = None
        self._control = ControlServer(web_path(settings.data_dir), log.event)
        self._hooks: list[Hook] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._wrong_tokens = 0

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on ``sockets``; none: there are only webhooks. Raises `StartError`."""
        found = problems(self._settings)
        if found:
            raise StartError(found[0], os.EX_CONFIG)
        try:
            self._make_hooks()
            if sockets:
                await self._serve(sockets)
        except SettingsError as error:
            raise StartError(error.problems[0], os.EX_CONFIG) from None
        except OSError as error:
            raise StartError(f"http: {error.filename or 'socket'}: {error.strerror}", os.EX_OSERR) from None
        self._control.register("web.status", type(None), self._status)
        try:
            await self._control.start()
        except OSError as error:
            self._log.event(f"http: cannot listen at its control socket: {error.strerror}")
        for hook in self._hooks:
            self._tasks.append(asyncio.create_task(hook.run()))
        self._tasks.append(asyncio.create_task(self._sweep()))

    def tick(self) -> None:
        """A second has passed."""
        self._control.tick()
        if self._server is not None:
            self._server.tick()
        if self._wrong_tokens > 1:
            self._log.event(f"http: {self._wrong_tokens - 1} more wrong tokens within a second")
        self._wrong_tokens = 0
        self._meter.webhook_waiting.set(sum(hook.status().waiting for hook in self._hooks))

    def renew(self, certificate: int, file: int) -> None:
        """See `HelperServices.renew`."""
        renew(self._certificates, certificate, file, self._log.event)

    async def drain(self, grace: float) -> None:
        """Accept no more; requests under way get ``grace`` seconds."""
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            await self._server.drain(grace)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Nothing is answered any more."""
        await self._control.stop()

    # --- what it consists of ------------------------------------------------------------------

    async def _serve(self, sockets: Sequence[socket.socket]) -> None:
        from fastsmtp.web.app import App
        from fastsmtp.web.server import HttpServer

        settings = self._settings
        hub = Hub(settings.data_dir)
        access = Access(settings.http, tokens(settings), hub, self._refused)
        MailBox(settings.data_dir, self._clock.now).open()
        (settings.data_dir / KEYS).mkdir(mode=0o700, parents=True, exist_ok=True)
        offered = operations(settings, hub, self._table, self._clock, self._hooks)
        app = App(offered, access, event=self._log.event, counted=self._meter.http_request)
        context = None
        if settings.http.tls:
            assert self._certificates is not None
            context = self._certificates.context()
        self._server = HttpServer(app.asgi, context, self._clock.now)
        await self._server.start(sockets)

    def _make_hooks(self) -> None:
        settings = self._settings
        for one, secret in zip(settings.webhooks, secrets(settings), strict=True):
            hook = Hook(
                one,
                secret,
                partial(Follower, settings.data_dir / LEDGER),
                settings.data_dir / STATE,
                clock=self._clock,
                meter=self._meter,
                event=self._log.event,
                context=web_context,
            )
            self._hooks.append(hook)

    def _refused(self, ip: str) -> None:
        self._wrong_tokens += 1
        if self._wrong_tokens == 1:
            self._log.event(f"http: a wrong token from {ip}")

    async def _status(self, argument: None) -> list[HookStatus]:
        return [hook.status() for hook in self._hooks]

    async def _sweep(self) -> None:
        while True:
            await asyncio.to_thread(sweep, self._settings.data_dir / KEYS, self._clock.now())
            await asyncio.sleep(_SWEEP_EACH)
