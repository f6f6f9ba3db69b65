"""The recorder of a process: makes an event of whatever happens, and brings it to the log and to the sinks.

Events are kept in memory and leave together: in a worker on the loop's thread, at once when the loop is idle and
every `SPACING` seconds under load; elsewhere by `flush`, and when many wait. A batch is encoded once, and the same
octets are the JSON log's and the sinks'.

All methods may be called from any thread. None ever raises because of where the log goes, and none but `finish`
waits for it: what cannot be written in time is dropped, counted and told.
"""

import asyncio
import os
import threading
from collections.abc import Sequence
from typing import Literal

from fastsmtp.clock import Clock
from fastsmtp.mail.reply import Reply
from fastsmtp.telemetry.events import (
    VERSION,
    Authenticated,
    Bounced,
    Changed,
    Closed,
    Deferred,
    Delivered,
    Event,
    Expired,
    Failed,
    LoginFailed,
    Lost,
    Notified,
    Received,
    Rejected,
    Routed,
    Sent,
    Server,
    Sink,
    Untold,
    Verified,
    encode,
)
from fastsmtp.telemetry.meter import Meter, unseen
from fastsmtp.telemetry.stream import StreamWriter, Writer
from fastsmtp.telemetry.text import TextForm

SPACING = 0.02
"""Seconds between two batches of a busy worker."""
SLOW = 0.1
"""Seconds until a slow reader is tried again."""
FLUSH_EVENTS = 512
"""Waiting events above which they are flushed where no loop does it."""
KEEP_EVENTS = 1 << 15
"""Events that wait at most while the loop, or a write, hangs."""
FINISH_WAIT = 1.0
"""Seconds that a slow reader gets at the end of the process."""
LONGEST_LOGIN = 320
"""Characters of what a client called itself, at most."""
MOST_RECIPIENTS = 1000
"""Recipients that one event names."""

Result = Literal["sent", "deferred", "bounced", "expired"]
_COUNTED: dict[Result, Literal["delivered", "deferred", "bounced"]] = {
    "sent": "delivered",
    "deferred": "deferred",
    "bounced": "bounced",
    "expired": "bounced",
}


class MailLog:
    """``slot`` is the worker's, None for the master. The log goes to ``writer``, by default as text to the descriptor
    ``fd``."""

    def __init__(
        self,
        clock: Clock,
        *,
        slot: int | None,
        fd: int = 2,
        writer: Writer | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.meter = unseen(clock.monotonic) if meter is None else meter
        """What the process counts; events are counted here."""
        self.now = clock.now
        """The clock of events."""
        self._monotonic = clock.monotonic
        self._slot = slot
        self._pid = os.getpid()
        self._writer = StreamWriter(fd, TextForm()) if writer is None else writer
        self._sinks: list[Sink] = []
        self._events: list[Event] = []
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        self._dropped = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._due = False
        self._flushed_at = 0.0

    def attach(self, sink: Sink) -> None:
        """From now on ``sink`` gets every batch. Where there is a sink, a loop is run on."""
        self._sinks.append(sink)

    def run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, until `finish`, batches leave on ``loop``, whose thread calls this."""
        self._loop = loop
        self._thread = threading.get_ident()
        self._writer.go_aside()

    # --- what happens -------------------------------------------------------------------------

    def received(
        self,
        queue_id: str,
        *,
        sender: str,
        recipients: Sequence[str],
        size: int,
        client: str,
        helo: str,
        protocol: str,
        sync: float = 0.0,
        message_id: str = "",
        login: str = "",
        tls: str = "",
        aliases: Sequence[str] = (),
    ) -> None:
        """See `Received`; ``recipients`` are all of them."""
        self.meter.received(size, len(recipients), sync)
        more = len(recipients) - MOST_RECIPIENTS
        self._put(
            Received(
                VERSION,
                self.now(),
                self._slot,
                self._pid,
                queue_id,
                sender,
                recipients if more <= 0 else recipients[:MOST_RECIPIENTS],
                size,
                client,
                helo,
                protocol,
                sync,
                message_id,
                login,
                tls,
                aliases,
                more if more > 0 else 0,
            )
        )

    def rejected(
        self,
        *,
        client: str,
        stage: str,
        sender: str | None,
        recipient: str | None,
        reply: Reply,
        helo: str = "",
        protocol: str = "",
    ) -> None:
        """See `Rejected`; sender and recipient as far as given."""
        self.meter.rejected(stage, reply)
        words = " ".join(reply.text)
        self._put(
            Rejected(
                *self._head(),
                client,
                stage,
                reply.code,
                reply.status,
                words,
                sender,
                recipient,
                helo,
                protocol,
            )
        )

    def login(self, *, client: str, mechanism: str, login: str, reason: str | None) -> None:
        """Somebody has logged in as ``login``, or not, for ``reason``; then ``login`` is what the client said."""
        self.meter.login(mechanism, reason is None)
        login = login[:LONGEST_LOGIN]
        if reason is None:
            self._put(Authenticated(*self._head(), client, mechanism, login))
        else:
            self._put(LoginFailed(*self._head(), client, mechanism, login, reason))

    def verified(self, *, to: str, relay: str, exists: bool, reply: str) -> None:
        """See `Verified`."""
        self._put(Verified(*self._head(), to, relay, exists, reply))

    def routed(self, queue_id: str, *, to: Sequence[str], route: str, hops: Sequence[str], site: str) -> None:
        """See `Routed`."""
        self._put(Routed(*self._head(), queue_id, to[:MOST_RECIPIENTS], route, hops, site))

    def delivered(self, queue_id: str, *, to: str, mailbox: str, delay: float) -> None:
        """See `Delivered`."""
        self.meter.delivery("local", "delivered", delay)
        self._put(Delivered(VERSION, self.now(), self._slot, self._pid, queue_id, to, mailbox, delay))

    def attempted(
        self,
        queue_id: str,
        what: Result,
        *,
        to: str,
        relay: str,
        code: int = 0,
        enhanced: str = "",
        reply: str,
        delay: float,
        duration: float = 0.0,
        tls: str = "",
        next_at: float = 0.0,
    ) -> None:
        """What became of a recipient elsewhere: see `Attempt`."""
        self.meter.delivery("remote", _COUNTED[what], delay)
        head = (VERSION, self.now(), self._slot, self._pid, queue_id, to, relay, code, enhanced, reply, delay)
        if what == "sent":
            self.meter.sent_over(tls)
            self._put(Sent(*head, duration, tls))
        elif what == "deferred":
            self._put(Deferred(*head, duration, tls, next_at))
        else:
            self._put((Bounced if what == "bounced" else Expired)(*head, duration, tls))

    def notified(self, queue_id: str, *, about: str, to: str, kind: str, recipients: int) -> None:
        """See `Notified`."""
        self.meter.notified(kind)
        self._put(Notified(*self._head(), queue_id, about, to, kind, recipients))

    def untold(self, queue_id: str, *, to: str, reason: str) -> None:
        """See `Untold`."""
        self._put(Untold(*self._head(), queue_id, to, reason))

    def failed(self, queue_id: str, *, to: str, reason: str) -> None:
        """See `Failed`."""
        self.meter.delivery("local", "bounced", 0.0)
        self._put(Failed(*self._head(), queue_id, to, reason))

    def changed(
        self,
        queue_id: str,
        action: Literal["retry", "hold", "release", "reroute", "remove", "bounce"],
        hops: Sequence[str] = (),
    ) -> None:
        """See `Changed`."""
        self._put(Changed(*self._head(), queue_id, action, hops))

    def closed(self, *, client: str, reason: str) -> None:
        """See `Closed`."""
        self._put(Closed(*self._head(), client, reason))

    def event(self, text: str) -> None:
        """Something about the server itself, in words."""
        self._put(Server(*self._head(), text))

    def lost(self, sink: Literal["log", "ledger"], count: int) -> None:
        """``count`` events did not get into ``sink``."""
        self.meter.lost(sink, count)
        self._put(Lost(*self._head(), sink, count))

    def _head(self) -> tuple[int, float, int | None, int]:
        return VERSION, self.now(), self._slot, self._pid

    # --- where it goes ------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits. In a worker it is called on the loop's thread alone."""
        self._due = False
        with self._writing:
            # Taken from the front of a list that is never exchanged: another thread may append meanwhile.
            events = self._events
            count = len(events)
            batch = events[:count]
            del events[:count]
            self._write(batch)
        if self._writer.waiting and self._loop is not None:
            self._wake(SLOW)

    def reopened(self, file: int) -> None:
        """The log's file was opened anew: write to ``file`` from now on, which is closed."""
        self.flush()
        with self._writing:
            self._writer.reopened(file)

    def finish(self) -> None:
        """The last flush of a process: a reader that is slow, but reads, gets up to `FINISH_WAIT` seconds."""
        self._loop = None
        deadline = self._monotonic() + FINISH_WAIT
        self.flush()
        self._writer.come_back(FINISH_WAIT)
        while self._writer.waiting and (left := deadline - self._monotonic()) > 0:
            self._writer.wait(left)
            self.flush()

    def _put(self, event: Event) -> None:
        events = self._events
        if len(events) >= KEEP_EVENTS:
            self._drop(1)
            return
        events.append(event)
        if not self._due:
            self._wake(0.0)

    def _wake(self, delay: float) -> None:
        """Let what waits be written soon."""
        loop = self._loop
        if loop is None:
            if len(self._events) >= FLUSH_EVENTS and not self._writing.locked():
                self.flush()
            return
        self._due = True
        try:
            if threading.get_ident() == self._thread:
                loop.call_later(max(delay, self._flushed_at + SPACING - loop.time()), self._turn)
            else:
                loop.call_soon_threadsafe(self._turn)
        except RuntimeError:  # the loop has ended: `finish` comes
            self._due = False

    def _turn(self) -> None:
        loop = self._loop
        if loop is not None:
            self._flushed_at = loop.time()
            self.flush()

    def _write(self, batch: list[Event]) -> None:
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        if not batch and not dropped and not self._writer.waiting:
            return
        lines = encode(batch) if self._sinks or self._writer.json else b""
        if batch:
            for sink in self._sinks:
                sink.append(lines, len(batch))
        lost = Lost(*self._head(), "log", dropped) if dropped else None
        missing = self._writer.write(batch, lines, lost)
        self._drop(missing.events)
        with self._counting:
            self._dropped += missing.untold

    def _drop(self, count: int) -> None:
        if count:
            self.meter.lost("log", count)
            with self._counting:
                self._dropped += count
