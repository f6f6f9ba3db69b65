"""The queue of a server that does not run: its shards opened by whoever asks, as the server's user."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from fastsmtp.clock import Clock, SystemClock
from fastsmtp.control.client import NotAllowed
from fastsmtp.control.desk import SpoolDesk
from fastsmtp.control.office import NoQueue
from fastsmtp.control.place import shards
from fastsmtp.control.queue import QueueDesk
from fastsmtp.process.errors import StartError
from fastsmtp.process.lock import take_lock
from fastsmtp.process.privileges import drop, find_user
from fastsmtp.process.route_names import RouteNames
from fastsmtp.process.routing import router_of
from fastsmtp.process.settings import Settings
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.reindex import Reindexed, reindex
from fastsmtp.telemetry.maillog import MailLog


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """The lock of data_dir; whoever is root is the server's user from now on. Raises `NoQueue`, `NotAllowed`."""
    try:
        identity = find_user(settings.user)
        if identity is not None:
            drop(identity)
        lock = take_lock(settings.data_dir)
    except StartError as error:
        if error.code == os.EX_TEMPFAIL:
            raise NoQueue(
                f"a server runs on {settings.data_dir}, but no worker answers; try again in a moment"
            ) from None
        raise NotAllowed(str(error)) from None
    try:
        yield
    finally:
        os.close(lock)


def reindexed(settings: Settings, seen: Callable[[int, int], object]) -> dict[int, Reindexed]:
    """Make the indexes of all shards again, while no server runs; by their numbers. Raises `NoQueue`, `NotAllowed`,
    `StartError`."""
    clock = SystemClock()
    log = MailLog(clock, slot=None)
    done = {}
    with _alone(settings):
        for number in shards(settings.data_dir):
            spool = _spool(settings, number, lambda call: call(), log, clock)
            try:
                spool.start()
                spool.stop()  # now the tree has all
                done[number] = reindex(settings.data_dir / "spool" / str(number), settings.spool, seen)
            except SpoolError as error:
                raise StartError(str(error), os.EX_IOERR) from None
    log.finish()
    return done


@contextmanager
def opener(settings: Settings) -> Iterator[Mapping[int, QueueDesk]]:
    """All shards of the server with ``settings``, for the loop that runs. Whoever is root becomes the server's user
    for good: what is made in the spool is to be his. Raises `NoQueue`, `NotAllowed`."""
    clock = SystemClock()
    log = MailLog(clock, slot=None)
    routes = RouteNames(lambda: router_of(settings)[0])
    with ExitStack() as stack:
        stack.callback(log.finish)
        stack.enter_context(_alone(settings))
        desks: dict[int, QueueDesk] = {}
        for number in shards(settings.data_dir):
            spool = _spool(settings, number, asyncio.get_running_loop().call_soon_threadsafe, log, clock)
            try:
                spool.start()
            except SpoolError as error:
                raise NoQueue(str(error)) from None
            stack.callback(spool.stop)
            desks[number] = SpoolDesk(spool, clock, routes)
        yield desks


def _spool(
    settings: Settings,
    number: int,
    post: Callable[[Callable[[], None]], object],
    log: MailLog,
    clock: Clock,
) -> LmdbSpool:
    return LmdbSpool(
        settings.data_dir / "spool" / str(number),
        slot=number,
        settings=settings.spool,
        durability=settings.durability,
        post=post,
        log=log,
        clock=clock,
    )
