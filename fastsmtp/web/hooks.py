"""Webhooks: a URL is told what the ledger says, from where it was told last, until it has taken it.

Nothing waits for them: they read the ledger's files as anybody may. What was taken is noted after it was, so that
events come at least once, and in the order of each worker. One at a time: while a URL does not take a request, the
same one is tried again, after pauses that double."""

import asyncio
import fcntl
import hashlib
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import uniform
from typing import Literal, Protocol

import msgspec

from fastsmtp.clock import Clock
from fastsmtp.config.values import Duration
from fastsmtp.control.web import HookStatus
from fastsmtp.defects import describe
from fastsmtp.ledger.line import Line
from fastsmtp.web.post import PostError, post
from fastsmtp.web.settings import WebhookSettings
from fastsmtp.web.signature import key_of, signed

STATE = "web/webhooks"
"""Where is kept how far each has been told, below ``data_dir``."""
MOST_OCTETS = 256 << 10
"""Of the ledger, about, that are told in one request."""
IDLE = 1.0
"""Seconds between two looks at a ledger that has nothing new, and between two tries for the lock."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
_SAVED_EACH = 10.0
"""Seconds after which a position is stored though nobody had to be told anything."""


class Feed(Protocol):
    """The ledger, read on from a position; see `fastsmtp.ledger.follow.Follower`."""

    vanished: int

    @property
    def position(self) -> Mapping[str, int]:
        """Behind what was read last."""

    def read(self, octets: int) -> Sequence[Line]:
        """What has come since. In a thread. Raises OSError."""


class HookMeter(Protocol):
    """Whoever counts; see `fastsmtp.telemetry.meter.Meter`."""

    def webhook(self, result: Literal["delivered", "failed", "given_up"], events: int = 1) -> None:
        """Events were ``delivered``, ``failed`` (to be tried again) or ``given_up``."""


class Hook:
    """One webhook; ``directory`` is that of `STATE`, ``follow`` reads the ledger from a position on, or from now."""

    def __init__(
        self,
        settings: WebhookSettings,
        secret: str,
        follow: Callable[[Mapping[str, int] | None], Feed],
        directory: Path,
        *,
        clock: Clock,
        meter: HookMeter,
        event: Callable[[str], object],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        self._settings = settings
        self._key = key_of(secret)
        self._kinds = frozenset(settings.events)
        self._follow_from = follow
        self._feed: Feed
        self._file = directory / settings.name
        self._clock = clock
        self._meter = meter
        self._event = event
        self._context = context
        self._lock = -1
        self._stored: Mapping[str, int] | None = None
        self._stored_at = 0.0
        self._oldest = 0.0
        self._vanished = 0
        self._status = HookStatus(name=settings.name, url=shown_url(settings.url))

    def status(self) -> HookStatus:
        """As it is now."""
        status = self._status
        status.behind = max(0.0, self._clock.now() - self._oldest) if status.waiting else 0.0
        return status

    async def run(self) -> None:
        """Until it is cancelled. A fault of ours ends nothing."""
        try:
            while True:
                try:
                    await self._follow()
                except Exception as error:
                    self._event(f"webhook {self._settings.name}: {describe(error)}; it begins again")
                    await asyncio.sleep(LONGEST_PAUSE)
        finally:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    async def _follow(self) -> None:
        await self._take_turn()
        self._stored = await asyncio.to_thread(self._load)
        self._feed = await asyncio.to_thread(self._follow_from, self._stored)
        await self._save()
        told_trouble = ""
        while True:
            try:
                lines = await asyncio.to_thread(self._feed.read, MOST_OCTETS)
                told_trouble = ""
            except OSError as error:
                lines = ()
                if str(error) != told_trouble:
                    told_trouble = str(error)
                    self._event(f"webhook {self._settings.name}: the ledger cannot be read: {error.strerror}")
            self._count_lost()
            events = [line for line in lines if line.kind in self._kinds]
            if events:
                await self._tell(events)
                await self._save()
            elif not lines:
                await asyncio.sleep(IDLE)
            if self._clock.monotonic() >= self._stored_at + _SAVED_EACH:
                await self._save()

    def _count_lost(self) -> None:
        vanished = self._feed.vanished - self._vanished
        if vanished > 0:
            self._vanished = self._feed.vanished
            self._status.given_up += vanished
            self._meter.webhook("given_up", vanished)
            self._event(
                f"webhook {self._settings.name}: {vanished} files of the ledger were gone before it took what was in "
                "them; ledger.keep and ledger.max_size say how long they stay"
            )

    # --- telling ------------------------------------------------------------------------------

    async def _tell(self, events: Sequence[Line]) -> None:
        """Returns when they have been taken."""
        status = self._status
        body = b'{"events":[' + b",".join(event.raw for event in events) + b"]}"
        # The same events have the same id, so that who has taken them twice can tell.
        request_id = "msg_" + hashlib.sha256(self._settings.name.encode() + b"\0" + body).hexdigest()[:32]
        status.waiting = len(events)
        self._oldest = events[0].at
        pause = FIRST_PAUSE
        until = self._clock.monotonic() + self._settings.give_up
        while not await self._taken(request_id, body, len(events)):
            # Not all at the same moment that wait for one host.
            seconds = uniform(0.8, 1.2) * pause  # noqa: S311
            if self._clock.monotonic() + seconds > until:
                self._gave_up(len(events))
                break
            status.next_at = self._clock.now() + seconds
            await asyncio.sleep(seconds)
            pause = min(2 * pause, LONGEST_PAUSE)
        status.waiting = 0
        status.next_at = None

    def _gave_up(self, events: int) -> None:
        self._status.given_up += events
        self._meter.webhook("given_up", events)
        self._event(
            f"webhook {self._settings.name}: {events} events were given up after {self._settings.give_up}; the last "
            f"answer was: {self._status.error}"
        )

    async def _taken(self, request_id: str, body: bytes, events: int) -> bool:
        status, settings = self._status, self._settings
        fields = signed(self._key, request_id, int(self._clock.now()), body)
        try:
            await post(settings.url, body, fields, timeout=settings.timeout, context=self._context)
        except PostError as error:
            status.failed += events
            status.attempts += 1
            self._meter.webhook("failed", events)
            if status.failing_since is None:
                status.failing_since = self._clock.now()
            if status.error != str(error):
                self._event(f"webhook {settings.name}: {shown_url(settings.url)}: {error}; it is tried again")
            status.error = str(error)
            return False
        status.delivered += events
        self._meter.webhook("delivered", events)
        if status.failing_since is not None:
            seconds = Duration(int(self._clock.now() - status.failing_since))
            self._event(f"webhook {settings.name}: it takes events again, after {seconds}")
        status.failing_since, status.attempts, status.error = None, 0, ""
        return True

    # --- how far it has come ------------------------------------------------------------------

    async def _take_turn(self) -> None:
        """At a reload the process before this one may still be at it."""
        while self._lock < 0:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._lock = lock
            except BlockingIOError:
                os.close(lock)
                await asyncio.sleep(IDLE)

    def _load(self) -> Mapping[str, int] | None:
        """None: it was never told anything."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            self._event(
                f"webhook {self._settings.name}: {self._file} is damaged; it is told what comes from now on"
            )
            return None

    async def _save(self) -> None:
        self._stored_at = self._clock.monotonic()
        position = self._feed.position
        if position == self._stored:
            return
        try:
            await asyncio.to_thread(self._write, position)
            self._stored = position
        except OSError as error:
            self._event(
                f"webhook {self._settings.name}: {self._file}: {error.strerror}; events may come twice"
            )

    def _write(self, position: Mapping[str, int]) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(position))
        beside.replace(self._file)


def shown_url(url: str) -> str:
    """``url`` without its query, which may hold a secret."""
    return url.partition("?")[0]
