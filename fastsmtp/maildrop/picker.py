"""Takes mail out of the maildrop, in whichever process of the server has its lock.

A file is renamed to have its queue id in its name before the message can be stored, and removed after it was. So of
a process that dies at any moment nothing is lost; and what was stored by then is known by its queue id, which the
next one asks for before it brings the file in again.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Protocol

from fastsmtp.clock import Clock
from fastsmtp.maildrop.directory import Directory, Opened, Unfit, Waiting
from fastsmtp.maildrop.watch import drain, watch

LOOK = 5.0
"""Seconds after which the directory is looked through although nothing was heard of it."""
LOCK = 1.0
"""Seconds between two tries to get the lock."""
AGAIN = 15.0
"""Seconds until a message is tried again that could not be taken."""
AT_ONCE = 8
"""Messages that are brought in at once."""
_MINUTE = 60.0

Named = Callable[[str], Awaitable[None]]
"""Is told under which queue id a message is brought in, before it can be stored."""


class Gate(Protocol):
    """How messages of the maildrop come in."""

    async def bring(self, opened: Opened, uid: int, named: Named) -> str:
        """Bring it in, for the user ``uid``; empty when it is stored, else why it cannot be taken now. Raises
        `Unfit`, OSError."""

    async def known(self, queue_id: str) -> bool:
        """Whether a message was stored as ``queue_id``."""


class _Pace:
    """Counts what users have sent within a minute."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self._since = monotonic()
        self._counts: dict[int, int] = {}

    def allows(self, uid: int) -> bool:
        """Whether one more of this user is taken now."""
        if self._monotonic() >= self._since + _MINUTE:
            self._since = self._monotonic()
            self._counts.clear()
        return not self._most or not uid or self._counts.get(uid, 0) < self._most

    def count(self, uid: int) -> None:
        """One was taken."""
        self._counts[uid] = self._counts.get(uid, 0) + 1


class Picker:
    """Lives on the loop that runs when it is started. ``most`` is the octets of a message, ``rate`` messages of a
    user in a minute (0: any number), ``facts`` what is told to those who drop mail."""

    def __init__(
        self,
        path: str,
        gate: Gate,
        *,
        most: int,
        rate: int,
        facts: dict[str, str],
        event: Callable[[str], object],
        clock: Clock,
    ) -> None:
        self._path = path
        self._gate = gate
        self._most = most
        self._facts = facts
        self._event = event
        self._clock = clock
        self._pace = _Pace(rate, clock.monotonic)
        self._later: dict[str, float] = {}
        self._told = ""
        self._heard = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take mail from now on, as soon as no other process does."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """What is in hand is brought to its end; the rest waits for another process."""
        self._ending.set()
        self._heard.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self._ending.is_set():
            try:
                directory = await asyncio.to_thread(Directory, self._path)
            except OSError as error:
                self._complain(error)
                await self._pause(LOCK)
                continue
            try:
                if await asyncio.to_thread(directory.acquire):
                    await self._serve(directory)
            except OSError as error:
                self._complain(error)
            finally:
                directory.close()
            await self._pause(LOCK)

    async def _serve(self, directory: Directory) -> None:
        """Take mail from a directory that is ours until the end. Raises OSError."""
        await asyncio.to_thread(directory.tell, self._facts)
        loop = asyncio.get_running_loop()
        try:
            bell = watch(self._path)
        except OSError as error:
            self._event(
                f"maildrop: mail is seen within {LOOK:g} seconds and not at once: inotify: {error.strerror}"
            )
            bell = -1
        else:
            loop.add_reader(bell, self._ring, bell)
        try:
            while not self._ending.is_set():
                self._heard.clear()
                if not await self._round(directory):
                    await self._pause(LOOK)
        finally:
            if bell >= 0:
                loop.remove_reader(bell)
                os.close(bell)

    def _ring(self, bell: int) -> None:
        drain(bell)
        self._heard.set()

    async def _pause(self, seconds: float) -> None:
        """Until something is heard, or the end; ``seconds`` at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            pass

    async def _round(self, directory: Directory) -> bool:
        """Look once, and take what is there; whether anything was taken. Raises OSError."""
        now = self._clock.monotonic()
        self._later = {name: at for name, at in self._later.items() if at > now}
        found = await asyncio.to_thread(directory.waiting, self._clock.now(), self._wanted)
        if not found:
            return False
        # So many can be left by whoever was here before; more are made up, and each takes a while to be found out.
        held = [one for one in found if one.entered][:AT_ONCE]
        found = [one for one in found if not one.entered] + held
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(waiting: Waiting) -> bool:
            async with turn:
                return await self._one(directory, waiting)

        return any(await asyncio.gather(*map(one, found)))

    def _wanted(self, name: str, uid: int) -> bool:
        return name[:32] not in self._later and self._pace.allows(uid)

    async def _one(self, directory: Directory, waiting: Waiting) -> bool:
        """Take one, if it can be; whether it is gone from the directory."""
        if self._ending.is_set() or not self._pace.allows(waiting.uid):
            return False
        self._pace.count(waiting.uid)
        name = waiting.name
        try:
            if waiting.entered:
                if await self._gate.known(waiting.entered):
                    await asyncio.to_thread(directory.remove, name)
                    return True
                name = await asyncio.to_thread(directory.leave, name)
            opened = await asyncio.to_thread(directory.open, name, self._most)
        except FileNotFoundError:
            return True  # its owner has taken it back
        except Unfit as error:
            return await self._refuse(directory, name, waiting.uid, error)
        except OSError as error:
            return self._put_off(name, f"{error.strerror}")

        async def named(queue_id: str) -> None:
            nonlocal name
            name = await asyncio.to_thread(directory.enter, name, queue_id)

        try:
            why = await self._gate.bring(opened, waiting.uid, named)
            if why:
                await asyncio.to_thread(directory.leave, name)
                return self._put_off(name, why)
            await asyncio.to_thread(directory.remove, name)
        except Unfit as error:
            return await self._refuse(directory, name, waiting.uid, error)
        except OSError as error:
            return self._put_off(name, f"{error.strerror}")
        finally:
            opened.close()
        return True

    async def _refuse(self, directory: Directory, name: str, uid: int, error: Unfit) -> bool:
        what = "kept as damaged" if error.damaged else "removed"
        self._event(f"maildrop: {name[:32]} of user {uid} is {what}: {error}")
        try:
            await asyncio.to_thread(directory.set_aside if error.damaged else directory.remove, name)
        except OSError as problem:
            return self._put_off(name, f"{problem.strerror}")
        return True

    def _put_off(self, name: str, why: str) -> bool:
        self._later[name[:32]] = self._clock.monotonic() + AGAIN
        if why != self._told:
            self._told = why
            self._event(f"maildrop: mail waits there: {why}")
        return False

    def _complain(self, error: OSError) -> None:
        why = f"{error.filename or self._path}: {error.strerror}"
        if why != self._told:
            self._told = why
            self._event(f"maildrop: no mail is taken: {why}; check maildrop.path")
