"""From the hosts of a place to a session that is ready for a message: connect, greeting, TLS, AUTH.

Hosts are tried in the order given, of each host all addresses, until a session is ready (RFC 5321 §5.1). Nothing that
goes wrong here says anything about a message, so all of it leads to the next address or host.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, Protocol

from fastsmtp.clock import Clock
from fastsmtp.mail.result import printable
from fastsmtp.sasl import client as sasl
from fastsmtp.smtp.outgoing_values import Event, Outcome
from fastsmtp.transport.smtp import dane, tls
from fastsmtp.transport.smtp.connect import Connected, Opener, Race, Unreachable, interleave
from fastsmtp.transport.smtp.connection import Connection, Lines
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.place import Place, Target
from fastsmtp.transport.smtp.policy import Protection
from fastsmtp.transport.smtp.settings import OutboundSettings
from fastsmtp.transport.smtp.tls_report import Result, TlsReport, result_of

MOST_SESSIONS = 12
"""Sessions begun in one attempt to deliver; RFC 5321 §5.1 allows a limit of two or more."""

_NO_MAIL_HERE = 521  # RFC 7504 §3: the host takes no mail at all
NO_TLS = "4.7.4"
"""TLS is required, and not offered."""
_BAD_TLS = "4.7.5"


class Failure(NamedTuple):
    """Why there is no session with one host: ``remote`` as in `DeliveryResult`."""

    remote: str
    outcome: Outcome


class Context(Protocol):
    """What an opening needs of the transport."""

    settings: OutboundSettings
    lines: Lines
    clock: Clock
    opener: Opener
    contexts: tls.Contexts
    report: TlsReport
    hello: bytes
    aside: Executor
    """For what would hold up the loop."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` as a task that is kept until it has ended."""


def ours(enhanced: str, text: str, stage: str) -> Outcome:
    """A reason of our own to try later."""
    return Outcome("deferred", 0, enhanced, printable(text), stage, True)


def label(host: str, address: str, port: int) -> str:
    """The host as results name it: ``mx.far.test[192.0.2.1]:25``; an address literal not twice."""
    return f"{host}:{port}" if host.startswith("[") else f"{host}[{address}]:{port}"


class Opening:
    """The way to one session. ``done`` is called for each `next`, once and never from within it: with a session that
    is ready and belongs to the one who is called, or with None when no host is left. ``failures`` has every reason
    so far."""

    def __init__(self, context: Context, place: Place, done: Callable[[Connection | None], None]) -> None:
        self.failures: list[Failure] = []
        self._context = context
        self._done = done
        self._targets = list(reversed(place.targets))
        self._target: Target
        self._host: Host
        self._needs: Protection
        self._left: list[str] = []
        self._address = ""
        self._sessions = 0
        self._race: Race | None = None
        self._connection: Connection | None = None
        self._clear = False  # TLS was tried with this address, in vain
        self._lax = False  # a certificate was tried with this address, that a policy in testing would refuse
        self._encrypted = False
        self._known = False  # the server knows who we are
        self._mechanism: sasl.Mechanism | None = None
        self._over = False

    def next(self) -> None:
        """Find a session, beginning with the address after the one of the session before."""
        if self._sessions >= MOST_SESSIONS:
            self._left = []
            self._targets.clear()
        while not self._left:
            if not self._targets:
                self._context.opener.call_later(0, self._no_more)
                return
            target = self._target = self._targets.pop()
            self._host, self._needs = target.host, target.needs
            if self._needs.refused:
                refusal = ours(self._needs.enhanced, self._needs.refused, "tls")
                if refusal.enhanced.startswith("5"):
                    refusal = refusal._replace(status="failed")
                self.failures.append(Failure("", refusal))
                continue
            self._left = interleave(self._host.addresses.v6, self._host.addresses.v4)
        self._connect(self._left)

    def cancel(self) -> None:
        """Give up; nobody is told."""
        self._over = True
        if self._race is not None:
            self._race.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.owner = None
            connection.drop("not wanted any more")

    def _no_more(self) -> None:
        if not self._over:
            self._done(None)

    # --- the connection ---------------------------------------------------------------------------

    def _connect(self, addresses: Sequence[str], *, lax: bool = False, clear: bool = False) -> None:
        settings = self._context.settings
        self._lax = lax
        self._clear = clear
        self._race = Race(
            addresses,
            self._host.port,
            self._context.opener,
            self._raced,
            each=settings.connect_timeout,
            total=settings.host_timeout,
        )
        self._race.start()

    def _raced(self, outcome: Connected | Unreachable) -> None:
        self._race = None
        host = self._host
        tried = {address for address, _ in outcome.errors}
        if isinstance(outcome, Unreachable):
            reasons = "; ".join(
                f"{label(host.name, address, host.port)}: {reason}" for address, reason in outcome.errors
            )
            self.failures.append(Failure("", ours("4.4.1", f"connect to {reasons}", "connect")))
            self._left = [address for address in self._left if address not in tried]
            self.next()
            return
        self._left = [one for one in self._left if one != outcome.address and one not in tried]
        self._address = outcome.address
        self._sessions += 1
        remote = label(host.name, self._address, host.port)
        context = self._context
        target = self._target
        connection = Connection(
            context.lines, self, remote, context.hello, lmtp=target.lmtp, encrypted=target.implicit
        )
        self._connection = connection
        self._encrypted = self._known = False
        context.spawn(self._attach(connection, outcome))

    async def _attach(self, connection: Connection, outcome: Connected) -> None:
        loop = asyncio.get_running_loop()
        try:
            if not self._target.implicit:
                await loop.create_connection(lambda: connection, sock=outcome.sock)
                return
            await loop.create_connection(
                lambda: connection,
                sock=outcome.sock,
                ssl=self._ssl_context(),
                server_hostname=self._server_name() or "",
                ssl_handshake_timeout=self._context.settings.greeting_timeout,
            )
        except Exception as error:
            outcome.sock.close()
            self._tls_failed(connection, error)

    # --- the session ------------------------------------------------------------------------------

    def happened(self, connection: Connection, event: int) -> None:
        """See `Owner`."""
        if event == Event.READY:
            self._ready(connection)
        elif event == Event.TLS_GO:
            self._context.spawn(self._upgrade(connection))
        elif event == Event.REFUSED:
            self._refused(connection)
        elif event == Event.WORK:
            self._context.spawn(self._work(connection))
        else:
            trouble = connection.protocol.trouble
            self._fail(connection, trouble or ours("4.4.2", "the connection was lost", "connect"))

    def _ready(self, connection: Connection) -> None:
        """Take the next step, or be done."""
        protocol = connection.protocol
        if (
            self._target.implicit
            and not self._encrypted
            and not self._tls_stands(connection, connection.transport)
        ):
            return
        if not (self._encrypted or self._clear or self._needs.level == "none"):
            if "STARTTLS" in protocol.offer.keywords:
                connection.say(protocol.starttls())
                return
            self._count("starttls-not-supported", "it offers no TLS")
            if self._needs.level != "may":
                why = "TLS is required, and the server does not offer it"
                self._fail(connection, ours(NO_TLS, why, "helo"))
                return
        credentials = self._target.credentials
        if credentials is not None and not self._known:
            mechanism = sasl.choose(protocol.offer.mechanisms, credentials, encrypted=self._encrypted)
            if mechanism is None:
                self._fail(connection, ours("4.7.0", "the server offers no AUTH that may be used", "auth"))
                return
            self._known = True
            self._mechanism = mechanism
            connection.say(protocol.auth(mechanism))
            return
        connection.owner = self._connection = None
        self._done(connection)

    async def _work(self, connection: Connection) -> None:
        """What a mechanism has to compute, beside the loop."""
        mechanism = self._mechanism
        if mechanism is None:
            return
        loop = asyncio.get_running_loop()
        try:
            response = await loop.run_in_executor(self._context.aside, mechanism.work)
        except Exception:  # its text may hold a secret
            connection.drop("internal error", "4.3.0")
            return
        if connection is self._connection:
            connection.say(connection.protocol.worked(response))

    def _refused(self, connection: Connection) -> None:
        refusal = connection.protocol.refusal
        if refusal is None:
            return
        if refusal.stage == "starttls":
            self._count("validation-failure", f"STARTTLS was answered by {refusal.code}")
            if self._needs.level == "may":
                self._clear = True  # RFC 3207 §4.1: the session goes on as before
                self._ready(connection)
                return
        self._fail(connection, refusal)

    def _fail(self, connection: Connection, outcome: Outcome) -> None:
        """This session came to nothing: on to the next."""
        self._connection = None
        connection.retire()
        if outcome.status == "failed" and outcome.code != _NO_MAIL_HERE:
            outcome = outcome._replace(status="deferred", enhanced=f"4{outcome.enhanced[1:]}")
        self.failures.append(Failure(connection.remote, outcome))
        if outcome.stage in ("starttls", "tls") and self._needs.level == "may" and not self._clear:
            # opportunistic TLS that fails must not be worse than none (RFC 7435)
            self._left.insert(0, self._address)
            lax = outcome.stage == "tls" and self._checks_only()
            self._connect([self._address], lax=lax, clear=not lax)
        else:
            self.next()

    # --- TLS --------------------------------------------------------------------------------------

    def _checks_only(self) -> bool:
        """Whether the certificate is looked at without anything depending on it."""
        return self._needs.testing and not self._lax

    def _verifies(self) -> bool:
        return self._needs.level == "verify" or self._checks_only()

    def _ssl_context(self) -> ssl.SSLContext:
        contexts = self._context.contexts
        return contexts.verifying() if self._verifies() else contexts.any_certificate()

    def _server_name(self) -> str | None:
        """The name to ask for, and where it is looked at the one the certificate must have."""
        return (self._needs.names[0] if self._verifies() else self._needs.sni) or None

    async def _upgrade(self, connection: Connection) -> None:
        """The handshake after STARTTLS. Nothing is read between the server's answer and this, and the protocol has
        given up if something came behind the answer (RFC 3207 §6)."""
        transport = connection.transport
        if transport is None:
            return
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                connection,
                self._ssl_context(),
                server_hostname=self._server_name(),
                ssl_handshake_timeout=self._context.settings.greeting_timeout,
            )
        except Exception as error:
            self._tls_failed(connection, error)
            return
        if secured is not None and self._tls_stands(connection, secured):
            connection.secured(secured)

    def _tls_failed(self, connection: Connection, error: Exception) -> None:
        if connection is self._connection:
            why = f"TLS failed: {tls.reason_of(error)}"
            self._count(result_of(error), why)
            self._fail(connection, ours(_BAD_TLS, why, "tls"))

    def _tls_stands(self, connection: Connection, transport: asyncio.Transport | None) -> bool:
        """After the handshake: whether DANE, where it is asked for, is content."""
        if connection is not self._connection or transport is None:
            return False
        self._encrypted = True
        if self._needs.level == "dane":
            peer = transport.get_extra_info("ssl_object")
            chain = dane.chain_of(peer) if peer is not None else []
            if not dane.check(self._needs.tlsa, chain, self._needs.names, self._context.clock.now()):
                self._count("validation-failure")
                why = "TLS failed: the certificate is not the one that the TLSA records name"
                self._fail(connection, ours(_BAD_TLS, why, "tls"))
                return False
        self._count(None)
        return True

    def _count(self, failed: Result | None, why: str = "") -> None:
        """For the reports of RFC 8460; a session that failed and goes on is one that failed."""
        needs, report = self._needs, self._context.report
        if self._lax:
            return
        if failed is None:
            report.success(needs.domain, needs.policy)
            return
        report.failure(needs.domain, needs.policy, failed, self._host.name)
        if needs.testing:
            report.would_refuse(needs.domain, self._host.name, why)
