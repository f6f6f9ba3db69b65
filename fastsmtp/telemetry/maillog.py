"""The mail log: one line for each event in a message's life, as ``key=value`` text.

A line reads ``2026-11-24T05:35:00.123Z fastsmtp[71/0] received id=… from=<a@b> to=<c@d> size=4096 …``, the
bracket naming process and worker slot. Whatever a client said cannot begin a line or a key of its own: a
value with a blank, a quote, a control or a non-ASCII byte stands in double quotes with backslash escapes.

Lines are kept in memory and leave together by `flush` (outlet.py), which the worker calls at short intervals;
when many wait it happens by itself. All methods may be called from any thread. None ever raises because of where
the log goes, and none but `finish` waits for it: what cannot be written in time is dropped and counted.
"""

import os
import threading
import time
from collections.abc import Sequence
from typing import Literal

from fastsmtp.clock import Clock
from fastsmtp.mail.reply import Reply
from fastsmtp.telemetry.outlet import Outlet

FLUSH_LINES = 512
"""Waiting lines above which a line's writer flushes itself."""
KEEP_BYTES = 1 << 20
"""What is kept at most for a reader that is slower than the log."""
KEEP_LINES = 16 * FLUSH_LINES
"""Lines that wait at most while another thread writes."""
FINISH_WAIT = 1.0
"""Seconds that a slow reader gets at the end of the process."""
LONGEST_LOGIN = 320
"""Characters of what a client called itself, at most."""
_NAMED = 10


class MailLog:
    """Writes events to the file descriptor ``fd``; ``slot`` is the worker's, None for the master."""

    __slots__ = ("_at", "_counting", "_dropped", "_lines", "_lock", "_monotonic", "_now", "_outlet",
                 "_rest", "_who")  # fmt: skip

    def __init__(self, clock: Clock, *, slot: int | None, fd: int = 2) -> None:
        self._now = clock.now
        self._monotonic = clock.monotonic
        self._outlet = Outlet(fd)
        self._who = f"Z fastsmtp[{os.getpid()}/{'master' if slot is None else slot}] "
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._rest = b""
        self._counting = threading.Lock()
        self._dropped = 0
        self._at = (-1, "")

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
    ) -> None:
        """A message was accepted and is on stable storage; ``size`` in bytes, ``protocol`` as in Received."""
        to = recipients[0] if len(recipients) == 1 else _several(recipients)
        line = f"from=<{sender}> to=<{to}> size={size} client={client} helo={helo} with={protocol}"
        if not (line.isascii() and line.isprintable() and line.count(" ") == 5 and '"' not in line):
            line = (
                f"from={quoted(f'<{sender}>')} to={quoted(f'<{to}>')} size={size} client={quoted(client)} "
                f"helo={quoted(helo)} with={protocol}"
            )
        self._put(f"received id={queue_id} {line}")

    def rejected(
        self, *, client: str, stage: str, sender: str | None, recipient: str | None, reply: Reply
    ) -> None:
        """A command was refused: ``stage`` is its verb or ``connect``; sender and recipient as far as
        given."""
        line = f"rejected stage={stage} client={quoted(client)}"
        if sender is not None:
            line += f" from={quoted(f'<{sender}>')}"
        if recipient is not None:
            line += f" to={quoted(f'<{recipient}>')}"
        self._put(f'{line} reply="{reply.code} {reply.status} {" ".join(reply.text)}"')

    def login(self, *, client: str, mechanism: str, login: str, reason: str | None) -> None:
        """Somebody has logged in as ``login``, or not, for ``reason``; then ``login`` is what the client said."""
        line = f"client={quoted(client)} mechanism={mechanism} login={quoted(login[:LONGEST_LOGIN])}"
        self._put(f"authenticated {line}" if reason is None else f"login-failed {line} reason={quoted(reason)}")

    def unverified(self, *, to: str, relay: str, reply: str) -> None:
        """The host ``relay``, asked whether a recipient exists, refused it or gave no answer, with its words or the
        reason in ``reply``."""
        self._put(
            f"unverified to={quoted(f'<{to}>')} relay={quoted(relay or 'none')} reply={quoted(reply)}"
        )

    def delivered(self, queue_id: str, *, to: str, mailbox: str, delay: float) -> None:
        """The message stands in a mailbox, durable; ``delay`` in seconds since it was received."""
        line = f"to=<{to}> mailbox={mailbox} delay={delay:.2f}"
        if not (line.isascii() and line.isprintable() and line.count(" ") == 2 and '"' not in line):
            line = f"to={quoted(f'<{to}>')} mailbox={quoted(mailbox)} delay={delay:.2f}"
        self._put(f"delivered id={queue_id} {line}")

    def attempted(
        self,
        queue_id: str,
        what: Literal["sent", "deferred", "bounced"],
        *,
        to: str,
        relay: str,
        reply: str,
        delay: float,
    ) -> None:
        """What became of a recipient elsewhere: taken by the host ``relay``, put off, or given up, with the remote's
        words or the reason in ``reply``; ``delay`` in seconds since it was received."""
        line = f'to=<{to}> relay={relay} delay={delay:.2f} reply="{reply}"'
        plain = line.isascii() and line.isprintable() and '"' not in to + relay + reply
        if not (plain and "\\" not in reply and relay and " " not in to + relay):
            line = f"to={quoted(f'<{to}>')} relay={quoted(relay or 'none')} delay={delay:.2f} reply={quoted(reply)}"
        self._put(f"{what} id={queue_id} {line}")

    def notified(self, queue_id: str, *, about: str, to: str, kind: str, recipients: int) -> None:
        """A notification of ours was stored under an id of its own, ``about`` another message."""
        self._put(
            f"notified id={queue_id} about={about} to={quoted(f'<{to}>')} kind={kind} recipients={recipients}"
        )

    def failed(self, queue_id: str, *, to: str, reason: str) -> None:
        """A delivery did not succeed and will not be tried again."""
        self._put(f"failed id={queue_id} to={quoted(f'<{to}>')} reason={quoted(reason)}")

    def event(self, text: str) -> None:
        """Something about the server itself, in words."""
        self._put(f"event {_one_line(text)}")

    def flush(self) -> None:
        """Write what waits. A slow reader's rest is kept up to `KEEP_BYTES`, beyond that lines are
        dropped."""
        with self._lock:
            # Taken from the front of a list that is never exchanged: another thread may append meanwhile.
            count = len(self._lines)
            data = self._rest
            if count:
                data += "".join(self._lines[:count]).encode("ascii")
                del self._lines[:count]
            if data:
                self._rest = self._write(data)

    def finish(self) -> None:
        """The last flush of a process: a reader that is slow, but reads, gets up to `FINISH_WAIT` seconds."""
        deadline = self._monotonic() + FINISH_WAIT
        self.flush()
        while self._rest and (left := deadline - self._monotonic()) > 0:
            self._outlet.wait(left)
            self.flush()

    def _put(self, text: str) -> None:
        now = self._now()
        second = int(now)
        at, stamp = self._at  # one tuple: a thread never sees a new second beside an old stamp
        if at != second:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._at = (second, stamp)
        lines = self._lines
        waiting = len(lines)
        if waiting >= KEEP_LINES:
            self._drop(1)
            return
        lines.append(f"{stamp}{int((now - second) * 1000):03d}{self._who}{text}\n")
        if waiting + 1 >= FLUSH_LINES and not self._lock.locked():
            self.flush()

    def _drop(self, lines: int) -> None:
        with self._counting:
            self._dropped += lines

    def _write(self, data: bytes) -> bytes:
        """Write ``data``; returns what the reader is to get later."""
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            data += f"fastsmtp: {dropped} log lines were dropped\n".encode("ascii")
        try:
            rest = data[self._outlet.write(data) :]
        except OSError:
            self._drop(dropped + data.count(b"\n") - (dropped > 0))  # less the line that says so
            return b""
        if len(rest) <= KEEP_BYTES:
            return rest
        # Cut behind a line's end: the line that is half out is finished, or its rest would spoil the next.
        keep = rest.rindex(b"\n", 0, KEEP_BYTES) + 1
        self._drop(dropped + rest.count(b"\n", keep) - (dropped > 0))
        return rest[:keep]


def quoted(value: str) -> str:
    """``value`` as it may stand behind a key: unchanged when plain, else in quotes with escapes."""
    if value and value.isascii() and value.isprintable() and " " not in value and '"' not in value:
        return value
    return '"' + _one_line(value).replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode("ascii")


def _several(recipients: Sequence[str]) -> str:
    """The first recipients as one value; a message to a thousand does not make a line of 300 KB."""
    named = ">,<".join(recipients[:_NAMED])
    more = len(recipients) - _NAMED
    return f"{named}>,<and-{more}-more" if more > 0 else named
