"""One worker's sessions with everything real but the loop, the sockets and the disk."""

import os
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from fastsmtp.accounts.static import StaticDirectory
from fastsmtp.intake.intake import Intake
from fastsmtp.limits.counter import LimitTable
from fastsmtp.limits.guard import ConnectionGuard
from fastsmtp.limits.pressure import Pressure, PressureBoard
from fastsmtp.limits.rule_settings import rules_in_force
from fastsmtp.limits.settings import LimitSettings, PressureSettings
from fastsmtp.oauth.base import TokenVerifier
from fastsmtp.routing.router import Router
from fastsmtp.routing.settings import ForwardingSettings, RelaySettings
from fastsmtp.routing.srs import Srs
from fastsmtp.routing.tables import build_tables
from fastsmtp.session.auth import Logins
from fastsmtp.session.auth_settings import AuthSettings
from fastsmtp.session.listener_settings import ListenerSettings
from fastsmtp.session.service import SessionService
from fastsmtp.session.session import Verifier
from fastsmtp.session.settings import SessionSettings
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.tls.store import CertificateStore
from tests.fakes.accounts import FakeAuthenticator, FakeNames
from tests.fakes.clock import FakeClock
from tests.fakes.logins import FakePenalties
from tests.fakes.machine import FakeMachine
from tests.fakes.quotas import FakeQuotas
from tests.fakes.spool import MemorySpool
from tests.fakes.transport import FakeTransport

_STAMP = re.compile(r"^\S+ fastsmtp\[\d+/0\] ", re.MULTILINE)


class World:
    """A `SessionService` of ``hostname``, which has ``users`` in ``local.test``; one address stands
    for five at most. With a ``verifier`` corp.test is relayed to, and its recipients are asked for. With
    ``penalties`` logins that fail are counted."""

    def __init__(
        self,
        *,
        post: Callable[[Callable[[], None]], object] | None = None,
        hostname: str = "mx.test",
        banner_delay: float = 0,
        aliases: dict[str, tuple[str, ...]] | None = None,
        users: tuple[str, ...] = ("alice", "bob"),
        verifier: Verifier | None = None,
        listener: dict[str, Any] | None = None,
        certificates: CertificateStore | None = None,
        authenticator: FakeAuthenticator | None = None,
        tokens: TokenVerifier | None = None,
        clear_on_loopback: bool = False,
        penalties: bool = False,
        **limits: Any,
    ) -> None:
        chosen = {"message_size": 100_000, "recipients": 5, "errors": 3, "command_timeout": 300, **limits}
        settings = LimitSettings(**chosen)
        mailboxes = SimpleNamespace(
            domains=("local.test",), users=users, unknown_users="reject", postmaster="alice"
        )
        self.names = FakeNames()
        self.quotas = FakeQuotas()
        self.tables = build_tables(
            StaticDirectory(mailboxes, self.names),
            domains=mailboxes.domains,
            relay=RelaySettings(
                networks=("198.51.100.0/24",),
                domains=("corp.test",) if verifier else (),
                recipients="verify" if verifier else None,
            ),
            routes=(),
            aliases=aliases or {},
            credentials={},
            forwarding=ForwardingSettings(expansion=5),
        )
        self.clock = FakeClock()
        self.spool = MemorySpool(post)
        self._log_fd = os.memfd_create("log")
        self.log = MailLog(self.clock, slot=0, fd=self._log_fd)
        self.guard = ConnectionGuard(1, settings)
        self.machine = FakeMachine()
        router = Router(self.tables, self.clock, Srs(b"secret", "local.test"))
        self.limits = LimitTable(rules_in_force(settings.rules), self.clock).worker(router.trusts)
        self.later: list[tuple[float, Callable[[], None]]] = []
        """Refused logins that wait: how long, and what tells them."""
        self.pressure = Pressure(
            PressureSettings(),
            PressureBoard(1),
            places=[self.machine.disk],
            workers=1,
            event=self.log.event,
            machine=self.machine,
        )
        self.service = SessionService(
            settings=SessionSettings(hostname=hostname, limits=settings, banner_delay=banner_delay),
            listeners=[ListenerSettings(address="127.0.0.1:25", **(listener or {}))],
            intake=Intake(self.spool, hostname=hostname, clock=self.clock),
            router=router,
            guard=self.guard.worker(0),
            limits=self.limits,
            pressure=self.pressure,
            log=self.log,
            clock=self.clock,
            verifier=verifier,
            quotas=self.quotas,
            certificates=certificates,
            logins=Logins(
                AuthSettings(clear_on_loopback=clear_on_loopback),
                authenticator or FakeAuthenticator(mechanisms=frozenset()),
                tokens,
                log=self.log,
                later=lambda delay, call: self.later.append((delay, call)),
                penalties=self.limits if penalties else FakePenalties(),
            ),
        )

    def close(self) -> None:
        """Give the log's descriptor back."""
        os.close(self._log_fd)

    def connect(self, ip: str = "192.0.2.1", **options: Any) -> FakeTransport:
        """A new connection; its greeting, if any, is written but not taken."""
        protocol = self.service.factory(0)()
        transport = FakeTransport(protocol, ip=ip, **options)
        protocol.connection_made(transport)
        return transport

    def logged(self) -> list[str]:
        """The log's lines so far, without time and process."""
        self.log.flush()
        text = os.pread(self._log_fd, 1 << 20, 0).decode("ascii")
        return _STAMP.sub("", text).splitlines()

    def seconds(self, count: float) -> None:
        """``count`` seconds go by, and the worker ticks once."""
        self.clock.pass_by(count)
        self.service.tick()
