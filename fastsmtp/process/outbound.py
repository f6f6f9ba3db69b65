"""What a worker needs to deliver to other hosts: resolver, policies, connections, and a runner for each shard."""

import asyncio
from pathlib import Path
from random import SystemRandom

import msgspec

from fastsmtp.clock import Clock
from fastsmtp.dns.names import normal
from fastsmtp.dns.resolver import NetworkResolver
from fastsmtp.dns.servers import servers
from fastsmtp.intake.intake import Intake
from fastsmtp.limits.sites import SiteTable
from fastsmtp.mailbox.quota import Quotas
from fastsmtp.process.settings import Settings
from fastsmtp.queue.notices import Notifier
from fastsmtp.queue.plan.clock import QueueClock, Reading
from fastsmtp.queue.remote import RemoteRunner
from fastsmtp.queue.successes import Successes
from fastsmtp.queue.suspects import Suspects
from fastsmtp.queue.ways import Ways
from fastsmtp.routing.router import Router
from fastsmtp.spool.relay import RelayBox
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.deliver import SmtpTransport
from fastsmtp.transport.smtp.guide import Guide
from fastsmtp.transport.smtp.https import HttpsFetcher, web_context
from fastsmtp.transport.smtp.mta_sts import PolicyFiles, StsPolicies
from fastsmtp.transport.smtp.own import Own
from fastsmtp.transport.smtp.policy import Policies
from fastsmtp.transport.smtp.tls_report import TlsReport
from fastsmtp.verify.verifier import Verifier

_SAVED_EACH = 60
"""Seconds between two readings of the clocks that are stored."""


class ClockFile:
    """The queue's time over a restart: a `Reading` of both clocks in the shard's directory. It is not synced: what
    is lost of it, the wall clock has to tell."""

    def __init__(self, file: Path, clock: Clock, log: MailLog) -> None:
        self._file = file
        self._clock = clock
        self._log = log
        self._told = False
        self.time = QueueClock(clock.now(), clock.monotonic(), self._read())

    def save(self) -> None:
        """Store a reading."""
        beside = self._file.with_suffix(".new")
        try:
            beside.write_bytes(
                msgspec.msgpack.encode(self.time.reading(self._clock.now(), self._clock.monotonic()))
            )
            beside.replace(self._file)
        except OSError as error:
            if not self._told:
                self._told = True
                self._log.event(f"cannot write {self._file}: {error.strerror}")

    def _read(self) -> Reading | None:
        try:
            return msgspec.msgpack.decode(self._file.read_bytes(), type=Reading)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            self._log.event(f"{self._file}: {error}; the queue's time is that of the clock")
            return None


class Outbound:
    """Made on the loop's thread, for the worker that has ``row`` in ``sites``, which counts what all workers have;
    mail of its own enters by ``intake``."""

    def __init__(
        self,
        settings: Settings,
        row: int,
        *,
        sites: SiteTable,
        router: Router,
        intake: Intake,
        quotas: Quotas,
        loop: asyncio.AbstractEventLoop,
        log: MailLog,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._row = row
        self._sites = sites
        self._intake = intake
        self._quotas = quotas
        self._loop = loop
        self._log = log
        self._clock = clock
        self._rng = SystemRandom()
        report = self._report = TlsReport(clock, log.event)
        resolver = NetworkResolver(servers(settings.dns.servers), clock, settings.dns)
        sts = None
        if settings.tls_policy.mta_sts:
            files = PolicyFiles(settings.data_dir / "mta-sts", clock)
            try:
                files.open()
            except OSError as error:
                log.event(f"MTA-STS policies are not kept over a restart: {error.filename}: {error.strerror}")
            sts = StsPolicies(resolver, HttpsFetcher(resolver, web_context()), files, report, clock)
        self.transport = SmtpTransport(
            settings.outbound, hostname=settings.hostname, clock=clock, log=log, report=report
        )
        listeners = [(one.endpoint.host, one.endpoint.port) for one in settings.listeners]
        guide = Guide(
            Own({normal(settings.hostname)}, listeners),
            resolver=resolver,
            policies=Policies(settings.tls_policy, resolver, sts, report),
            rng=self._rng,
        )
        self._ways = Ways(router, guide, clock, self.transport.spawn, log.event)
        self.verifier = Verifier(router, self._ways, self.transport, log=log, clock=clock)
        self.notifier = Notifier(
            intake,
            router,
            hostname=settings.hostname,
            postmaster=settings.bounces.postmaster,
            log=log,
            clock=clock,
        )
        self.successes = Successes(self.notifier, clock, post=loop.call_soon_threadsafe, event=log.event)
        self._seconds = 0
        self._clocks: dict[RelayBox, ClockFile] = {}

    def runner(self, box: RelayBox, shard: int, directory: Path, suspects: Suspects) -> RemoteRunner:
        """A runner for ``shard`` in ``directory``; from any thread. It is started on the loop's."""
        clock_file = self._clocks[box] = ClockFile(directory / "clock", self._clock, self._log)
        settings = self._settings
        return RemoteRunner(
            box,
            ways=self._ways,
            transport=self.transport,
            teller=self.notifier,
            log=self._log,
            clock=self._clock,
            time=clock_file.time,
            settings=settings.queue,
            limits=settings.queue.board_limits(settings.workers, shard),
            claims=self._sites.worker(self._row),
            suspects=suspects,
            door=self._intake,
            loop=self._loop,
            rng=self._rng,
            tallies=self._report.snapshot if shard == self._row else list,
            quotas=self._quotas,
        )

    def forget(self, box: RelayBox) -> None:
        """Its shard is given back."""
        clock_file = self._clocks.pop(box, None)
        if clock_file is not None:
            clock_file.save()

    def tick(self) -> None:
        """Once a second."""
        self.transport.tick()
        self.verifier.tick()
        self.successes.tick()
        self._seconds += 1
        if self._seconds % _SAVED_EACH == 1:
            for clock_file in list(self._clocks.values()):
                clock_file.save()

    async def stop(self) -> None:
        """Close all connections; the runners have ended."""
        await self.transport.stop(0)
