"""A server's start: directory, lock and secret, then the master with what makes its generations.

What a generation consists of stands in generation.py, one worker in services.py.
"""

import os
from pathlib import Path

from fastsmtp.clock import Clock, SystemClock
from fastsmtp.config.signature import Signature
from fastsmtp.limits.probes import hold_less
from fastsmtp.process.errors import StartError
from fastsmtp.process.generation import GenerationMaker, wanted_of
from fastsmtp.process.heritage import Heritage, activate
from fastsmtp.process.lock import take_lock
from fastsmtp.process.master import Master
from fastsmtp.process.notify import Notify
from fastsmtp.process.privileges import acting_as, find_user, keep_memory_private, make_directory
from fastsmtp.process.settings import Settings
from fastsmtp.process.sockets import SocketPool, kernel_backlog
from fastsmtp.process.successor import Predecessor
from fastsmtp.routing.srs import SECRET_FILE, make_secret, read_secret
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.metrics_table import MetricTable
from fastsmtp.telemetry.place import LogPlace


def serve(
    settings: Settings, file: Path | None, read: Signature = None, heritage: Heritage | None = None
) -> int:
    """Run the server until it is told to stop; returns the exit code. ``settings`` came from ``file``, which is
    watched for changes of routing, and was as ``read`` says right before. With a ``heritage`` it takes the place of
    another master. Raises `StartError` when it cannot start;
    what only a worker finds out stands in the log."""
    _fill_standard_files()
    clock = SystemClock()
    place = log_place(settings)
    log = place.log(clock, None)
    try:
        return _serve(settings, file, read, clock, log, place, heritage)
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
    settings: Settings,
    file: Path | None,
    read: Signature,
    clock: Clock,
    log: MailLog,
    place: LogPlace,
    heritage: Heritage | None,
) -> int:
    hold_less()
    identity = find_user(settings.user)
    make_directory(settings.data_dir, "data_dir", identity)
    spool = settings.data_dir / "spool"
    with acting_as(identity):
        lock = take_lock(settings.data_dir) if heritage is None else lock_of(heritage, settings)
        secret = srs_secret(settings.data_dir)
        make_directory(spool, "data_dir", None)
    if identity is not None:
        keep_memory_private()
    backlog = kernel_backlog()
    pool = SocketPool(backlog)
    if heritage is not None:
        heritage.fill(pool)
    for note in activate(os.environ, wanted_of(settings, ()), pool):
        log.event(note)
    maker = GenerationMaker(
        settings,
        file,
        read,
        identity=identity,
        secret=secret,
        pool=pool,
        backlog=backlog,
        clock=clock,
        log=log,
        place=place,
        lock=lock,
        metrics=MetricTable(clock.now()) if heritage is None else heritage.metric_table(clock.now()),
        follows=0 if heritage is None else heritage.generation,
    )
    try:
        return Master(
            maker,
            rows=maker.tables.rows,
            beats=maker.tables.beats,
            clock=clock,
            log=log,
            notify=Notify(os.environ),
            predecessor=None if heritage is None else Predecessor(heritage.channel),
        ).run()
    finally:
        pool.close()
        os.close(lock)


def lock_of(heritage: Heritage, settings: Settings) -> int:
    """The lock that was handed over. Raises `StartError` when it is another directory's."""
    if Path(heritage.data_dir) != settings.data_dir:
        raise StartError(
            f"data_dir: an upgrade cannot change it from {heritage.data_dir} to {settings.data_dir}; restart"
        )
    return heritage.lock


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


def _fill_standard_files() -> None:
    """Open /dev/null where standard input, output or error is closed, lest a socket takes its number and gets
    what is printed."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
