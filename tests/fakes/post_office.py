"""A spool and its delivery in a directory, without a server around them."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from fastsmtp.clock import Clock, SystemClock
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.queue.local import LocalRunner
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.lmdb import LmdbSpool
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.spool.tables import DATABASES, STATE
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.maildir import MaildirTransport

SMALL = SpoolSettings(map_size=64 << 20, reserve=1 << 20, ahead=1 << 20, inline_limit=8192, journal=8 << 20)
PREFIX = b"Return-Path: <sender@example.org>\r\nReceived: by mx.example.org\r\n"


class LeapingClock:
    """The machine's clock, some time ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time() + self.ahead

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic() + self.ahead

    def pass_by(self, seconds: float) -> None:
        """Leap."""
        self.ahead += seconds


def nothing(step: str) -> None:
    """No fault."""


def until(condition: Callable[[], Any], seconds: float = 60.0, each: Callable[[], Any] | None = None) -> Any:
    """What ``condition`` gives once it is true; fails after a time."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        if each is not None:
            each()
        else:
            time.sleep(0.002)
    return result


class PostOffice:
    """``base/spool`` and ``base/mail``. The loop is `turn`: what was posted runs there."""

    def __init__(
        self,
        base: Path,
        *,
        settings: SpoolSettings = SMALL,
        mailboxes: MailboxSettings | None = None,
        durability: Any = "full",
        clock: Clock | None = None,
        fault: Callable[[str], None] = nothing,
        board: memoryview | None = None,
        syncfs: bool | None = None,
        hold: bool = False,
    ) -> None:
        self.base = base
        self.clock = clock or SystemClock()
        self.posted: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._fd = os.open(base / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.log = MailLog(self.clock, slot=0, fd=self._fd)
        self.spool = LmdbSpool(
            base / "spool",
            slot=0,
            settings=settings,
            durability=durability,
            post=self.posted.put,
            log=self.log,
            clock=self.clock,
            fault=fault,
        )
        chosen = mailboxes or MailboxSettings()
        chosen = msgspec.structs.replace(chosen, path=str(base / "mail") + "/{domain}/{user}")
        self.mailboxes = MaildirTransport(
            chosen, hostname="mx.example.org", log=self.log, clock=self.clock, syncfs=syncfs
        )
        self.board = SuspectBoard(board if board is not None else memoryview(bytearray(SuspectBoard.BYTES)))
        self.runner = LocalRunner(
            self.spool, self.mailboxes, self.log, self.clock, self.board, hold=hold, fault=fault
        )
        self.answers: dict[str, SpoolError | None] = {}
        self.delivering = False

    def open(self) -> "PostOffice":
        """Start the spool only."""
        self.spool.start()
        return self

    def deliver(self, *, crashed: bool = False) -> "PostOffice":
        """Start delivery."""
        self.runner.start(crashed=crashed)
        self.delivering = True
        return self

    def close(self) -> None:
        """Stop in order."""
        if self.delivering:
            self.runner.stop()
        self.spool.stop()
        self.turn()
        self.log.flush()
        os.close(self._fd)

    def turn(self, timeout: float | None = None) -> None:
        """Run what was posted."""
        try:
            while True:
                self.posted.get(timeout is not None, timeout)()
                timeout = None
        except Empty:
            pass

    def submit(
        self,
        body: bytes,
        *recipients: str,
        elsewhere: Sequence[str] = (),
        large: bool = False,
        sender: str = "sender@example.org",
    ) -> str:
        """Submit one message to ``user@domain`` recipients, here and ``elsewhere``; its id."""
        queue_id = self.spool.new_id()
        envelope = Envelope(
            queue_id,
            sender,
            [Recipient(address, "") for address in elsewhere]
            + [Recipient(address, address) for address in recipients],
            "192.0.2.1",
            "client.example.org",
            "ESMTP",
            self.clock.now(),
        )
        content: Any = body
        if large:
            content = self.spool.open_body(queue_id, PREFIX)
            for start in range(0, len(body), 16384):
                content.write(body[start : start + 16384])
        self.spool.submit(envelope, PREFIX, content, lambda error: self.answers.__setitem__(queue_id, error))
        return queue_id

    def accepted(self, *ids: str) -> None:
        """Wait until these are answered, well."""
        until(lambda: all(i in self.answers for i in ids), each=lambda: self.turn(0.01))
        for i in ids:
            assert self.answers[i] is None, self.answers[i]

    def settle(self, *changes: Defer | Finish) -> None:
        """Settle relay mail, and wait for it."""
        answers: list[SpoolError | None] = []
        self.spool.relay.settle(changes, answers.append)
        until(lambda: bool(answers), each=lambda: self.turn(0.01))
        assert answers == [None]

    def content(self, queue_id: str) -> bytes | None:
        """What another host would get; None when there is no such relay mail."""
        with self.spool.relay.reading(queue_id) as mail:
            if mail is None:
                return None
            if mail.path is None:
                assert mail.view is not None
                return bytes(mail.view)
            return mail.path.read_bytes()[mail.offset : mail.offset + mail.length]

    def outbox_wake(self) -> None:
        """Let delivery look at the clock."""
        self.spool.outbox.wake()

    def settled(self) -> None:
        """Wait until the spool holds nothing any more."""
        until(lambda: not self.left(), each=lambda: self.turn(0.005))

    def left(self) -> dict[str, int]:
        """By database: what the spool holds."""
        tables = self.spool._tables
        counts = {name.decode(): sum(1 for _ in tables.keys(name)) for name in DATABASES if name != STATE}
        bodies = len(os.listdir(self.base / "spool/body"))
        return {name: count for name, count in {**counts, "files": bodies}.items() if count}

    def files(self, mailbox: str, folder: str = "new") -> list[Path]:
        """The files of a mailbox."""
        user, _, domain = mailbox.rpartition("@")
        path = self.base / "mail" / domain / user / folder
        return sorted(path.iterdir()) if path.is_dir() else []

    def lines(self) -> list[str]:
        """The log."""
        self.log.flush()
        return (self.base / "log").read_text().splitlines()
