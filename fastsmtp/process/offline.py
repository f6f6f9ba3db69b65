"""The queue of a server that does not run: its shards opened by whoever asks, as the server's user."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from fastsmtp.clock import SystemClock
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
from fastsmtp.telemetry.maillog import MailLog


@contextmanager
def opener(settings: Settings) -> Iterator[Mapping[int, QueueDesk]]:
    """All shards of the server with ``settings``, for the loop that runs. Whoever is root becomes the server's user
    for good: what is made in the spool is to be his. Raises `NoQueue`, `NotAllowed`."""
    clock = SystemClock()
    log = MailLog(clock, slot=None)
    routes = RouteNames(lambda: router_of(settings)[0])
    with ExitStack() as stack:
        stack.callback(log.finish)
        try:
            identity = find_user(settings.user)
            if identity is not None:
                drop(identity)
            stack.callback(os.close, take_lock(settings.data_dir))
        except StartError as error:
            if error.code == os.EX_TEMPFAIL:
                raise NoQueue(
                    f"a server runs on {settings.data_dir}, but no worker answers; try again in a moment"
                ) from None
            raise NotAllowed(str(error)) from None
        desks: dict[int, QueueDesk] = {}
        for number in shards(settings.data_dir):
            spool = LmdbSpool(
                settings.data_dir / "spool" / str(number),
                slot=number,
                settings=settings.spool,
                durability=settings.durability,
                post=asyncio.get_running_loop().call_soon_threadsafe,
                log=log,
                clock=clock,
            )
            try:
                spool.start()
            except SpoolError as error:
                raise NoQueue(str(error)) from None
            stack.callback(spool.stop)
            desks[number] = SpoolDesk(spool, clock, routes)
        yield desks
