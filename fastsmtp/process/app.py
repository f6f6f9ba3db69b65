"""The composition root: the only file that knows every part of the server.

`serve` prepares what must exist before the first fork (limits, directories, lock, sockets, shared memory),
prints where things are once all workers serve, and runs the master. What one worker consists of stands in
services.py.
"""

import functools
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fastsmtp.clock import Clock, SystemClock
from fastsmtp.limits.counter import LimitTable
from fastsmtp.limits.guard import ConnectionGuard
from fastsmtp.limits.pressure import PressureBoard
from fastsmtp.limits.rule_settings import rules_in_force
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.limits.sites import SiteTable
from fastsmtp.process.banner import banner
from fastsmtp.process.credentials import Credentials
from fastsmtp.process.errors import StartError
from fastsmtp.process.lock import take_lock
from fastsmtp.process.master import Master
from fastsmtp.process.messages import Birth
from fastsmtp.process.privileges import (
    acting_as,
    find_user,
    keep_memory_private,
    make_directory,
    raise_file_limit,
)
from fastsmtp.process.routing import SettingsSource
from fastsmtp.process.services import MailServices
from fastsmtp.process.settings import Settings, mailbox_root
from fastsmtp.process.shared import Heartbeats, regions
from fastsmtp.process.sockets import Accept, Listener, close_all, kernel_backlog, listen_all
from fastsmtp.process.supervisor import Supervisor
from fastsmtp.process.worker import LOOP, Worker
from fastsmtp.queue.suspects import Suspects
from fastsmtp.routing.reload import Signature
from fastsmtp.routing.srs import SECRET_FILE, make_secret, read_secret
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.place import LogPlace
from fastsmtp.tls.settings import TlsSettings

if TYPE_CHECKING:
    from fastsmtp.process.keys import KeyKeeper

OWN_FILES = 200
"""Open files that a worker needs besides its connections and their bodies: listeners, spool, mailboxes."""


def serve(settings: Settings, file: Path | None, read: Signature = None) -> int:
    """Run the server until it is told to stop; returns the exit code. ``settings`` came from ``file``, which is
    watched for changes of routing, and was as ``read`` says right before. Raises `StartError` when it cannot start;
    what only a worker finds out stands in the log."""
    _fill_standard_files()
    clock = SystemClock()
    place = log_place(settings)
    log = place.log(clock, None)
    try:
        return _serve(settings, file, read, clock, log, place)
    finally:
        log.finish()


def log_place(settings: Settings) -> LogPlace:
    """Where the log goes. Raises `StartError`."""
    try:
        return LogPlace(settings.log, settings.hostname)
    except OSError as error:
        raise StartError(
            f"log.to: cannot open {error.filename}: {error.strerror}; name another file, or `stderr`"
        ) from None


def _serve(
    settings: Settings, file: Path | None, read: Signature, clock: Clock, log: MailLog, place: LogPlace
) -> int:
    identity = find_user(settings.user)
    keys = key_keeper(settings.tls, clock, log)
    credentials = Credentials(settings)
    settings = credentials.fill(settings)
    make_directory(settings.data_dir, "data_dir", identity)
    spool = settings.data_dir / "spool"
    with acting_as(identity):
        lock = take_lock(settings.data_dir)
        secret = srs_secret(settings.data_dir)
        make_directory(spool, "data_dir", None)
        leftovers = leftover_shards(spool, settings.workers)
    if identity is not None:
        keep_memory_private()
    backlog = kernel_backlog()
    accept: Accept = settings.accept
    wanted = [(listener.endpoint, listener.protocol) for listener in settings.listeners]
    listeners = listen_all(wanted, accept, settings.workers, backlog)
    make_directory(mailbox_root(settings), "mailboxes.path", identity)
    if os.geteuid() == 0 and settings.user is None:
        log.event(
            "WARNING: the server runs as root, which it never needs after binding; "
            "start it as an ordinary user, or set `user` in a settings file"
        )
    files = raise_file_limit()
    limits = fitting(settings.limits, files - outbound_files(settings, files), log)
    if leftovers:
        names = ", ".join(map(str, leftovers))
        log.event(f"spool shards {names} are of more workers than there are now: they are drained")
    metrics = MetricTable(clock.now())
    log.meter = Meter(metrics.claim(), clock.monotonic)
    beats = Heartbeats(settings.workers)
    guard = ConnectionGuard(settings.workers, limits)
    sites = SiteTable(
        settings.workers,
        settings.queue.connections_per_site,
        settings.queue.messages_per_site_per_minute,
        clock,
    )
    shards = [*range(settings.workers), *leftovers]
    build = functools.partial(
        MailServices,
        settings=msgspec.structs.replace(settings, limits=limits),
        source=SettingsSource(file, settings, secret, credentials, read),
        guard=guard,
        limits=LimitTable(rules_in_force(limits.rules), clock, loopback_exempt=limits.loopback_exempt),
        pressure=PressureBoard(shards),
        sites=sites,
        suspects=regions(shards, SuspectBoard.BYTES),
        remote_suspects=regions(shards, Suspects.BYTES),
        certificates=None if keys is None else keys.store,
        metrics=metrics,
        clock=clock,
    )

    def worker_main(birth: Birth) -> int:
        worker = Worker(
            birth,
            build=build,
            listeners=listeners,
            backlog=backlog,
            beats=beats,
            grace=settings.shutdown_grace,
            clock=clock,
            log=place.log(clock, birth.slot),
        )
        return worker.run(identity)

    def worker_died(slot: int) -> None:
        guard.clear(slot)
        sites.clear(slot)
        log.meter.worker_exits.add()

    def close_listeners() -> None:
        for listener in listeners:
            close_all(listener.sockets)

    master = Master(
        Supervisor(settings.workers, leftovers, settings.shutdown_grace, watching=accept == "reuseport"),
        worker_main,
        beats=beats,
        clock=clock,
        log=log,
        announce=functools.partial(_announce, settings, listeners),
        stopping=close_listeners,
        worker_died=worker_died,
        reopen=place.reopen,
        renewals=lambda at_once: () if keys is None else keys.look(at_once=at_once),
    )
    # The workers share what is there now; a collector that writes into every object would copy it all.
    gc.collect()
    gc.freeze()
    try:
        return master.run()
    finally:
        close_listeners()
        os.close(lock)


def key_keeper(settings: TlsSettings, clock: Clock, log: MailLog) -> "KeyKeeper | None":
    """Who looks after the certificates, when there are any: only then is the library that reads them loaded. Raises
    `StartError`."""
    if not settings.certificates:
        return None
    from fastsmtp.process.keys import KeyKeeper

    return KeyKeeper(settings, clock, log.event)


def srs_secret(data_dir: Path) -> bytes:
    """The secret of rewritten senders, made at the first start. Raises `StartError`."""
    file = data_dir / SECRET_FILE
    try:
        secret = read_secret(file)
        if secret is None:
            secret = make_secret(file)
    except ValueError as error:
        raise StartError(str(error), os.EX_DATAERR) from None
    except OSError as error:
        raise StartError(f"cannot read or make {file}: {error.strerror}", os.EX_CANTCREAT) from None
    return secret


def leftover_shards(spool: Path, workers: int) -> list[int]:
    """The numbers of shards that no slot below ``workers`` owns."""
    try:
        names = os.listdir(spool)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StartError(f"cannot read {spool}: {error.strerror}; check data_dir", os.EX_CANTCREAT) from None
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and int(name) >= workers)


def outbound_files(settings: Settings, files: int) -> int:
    """Open files of one worker that connections to other hosts may take: three for each that it may have to sites
    that work, at most a quarter of ``files``."""
    return min(3 * -(-settings.queue.connections // settings.workers), files // 4)


def fitting(limits: LimitSettings, files: int, log: MailLog) -> LimitSettings:
    """The limits with no more connections than a single worker could have to hold with ``files`` open, a
    quarter of which is kept for large bodies on their way: 421 is said where accepting would fail."""
    room = max(1, (files - OWN_FILES) * 3 // 4)
    if limits.connections <= room:
        return limits
    log.event(
        f"WARNING: limits.connections is {limits.connections}, but only {files} files may be open, "
        f"a quarter of them by large messages: {room} connections are allowed; "
        "raise the limit (LimitNOFILE of the unit, ulimit -n)"
    )
    return msgspec.structs.replace(limits, connections=room)


def _announce(settings: Settings, listeners: tuple[Listener, ...]) -> None:
    text = banner(settings, listeners, LOOP)
    try:
        os.write(1, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # that nobody reads it is no reason to stop


def _fill_standard_files() -> None:
    """Open /dev/null where standard input, output or error is closed, lest a socket takes its number and gets
    what is printed."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
