"""Whether a mailbox may take more, by its quota and by ``maildirsize``. Counting is left to a thread."""

import math
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from fastsmtp.clock import Clock
from fastsmtp.mail.reply import MAILBOX_FULL, MAILBOX_OVER_QUOTA, Reply
from fastsmtp.mailbox import maildirsize
from fastsmtp.mailbox.layout import Layout
from fastsmtp.mailbox.maildir import open_folder
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.threads import make_way

_LEAST_REST = 1.0
_REST = 20
"""A mailbox is not counted for so many times as long as counting it took."""
_AFTER_TROUBLE = 60.0
_MOST_NOTED = 10_000


class Quotas:
    """The mailboxes of ``settings``. ``event`` is told, from any thread, of those that cannot be counted. Its methods
    are for one thread."""

    def __init__(self, settings: MailboxSettings, clock: Clock, event: Callable[[str], None]) -> None:
        self._layout = Layout(settings.path)
        self._over = MAILBOX_OVER_QUOTA if settings.full == "reject" else MAILBOX_FULL
        self._clock = clock
        self._event = event
        self._work: SimpleQueue[tuple[str, int] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._not_before: dict[str, float] = {}

    def refusal(self, mailbox: str, quota: int, size: int) -> Reply | None:
        """See `routing.room.Quotas`. It costs the reading of one small file. Where that is missing, or cannot be
        believed, the mailbox is counted soon: until then mail is taken, or put off for now whatever the settings
        say."""
        try:
            usage = self._usage(mailbox)
        except FileNotFoundError:  # the mailbox begins with its first mail
            return None if size <= quota else self._over
        except OSError:
            return None  # delivery will tell what is wrong with it
        if usage is None:
            self._count_soon(mailbox, quota)
            return None if size <= quota else self._over
        doubtful = usage.doubtful(quota, size, self._clock.now())
        if doubtful:
            self._count_soon(mailbox, quota)
        if usage.room(quota, size):
            return None
        return MAILBOX_FULL if doubtful else self._over

    def stop(self) -> None:
        """Count no more. What is being counted is not waited for."""
        self._work.put(None)

    def _usage(self, mailbox: str) -> maildirsize.Usage | None:
        folder = open_folder(self._layout.path(mailbox), self._layout.root)
        try:
            return maildirsize.read(folder)
        finally:
            os.close(folder)

    def _count_soon(self, mailbox: str, quota: int) -> None:
        if self._clock.monotonic() < self._not_before.get(mailbox, -math.inf):
            return
        if len(self._not_before) >= _MOST_NOTED:
            self._not_before.clear()
        self._not_before[mailbox] = math.inf
        if self._thread is None:
            self._thread = Thread(target=self._run, name="quotas", daemon=True)
            self._thread.start()
        self._work.put((mailbox, quota))

    def _run(self) -> None:
        make_way()
        while (work := self._work.get()) is not None:
            self._count(*work)

    def _count(self, mailbox: str, quota: int) -> None:
        began = self._clock.monotonic()
        rest = _LEAST_REST
        try:
            folder = open_folder(self._layout.path(mailbox), self._layout.root)
            try:
                maildirsize.count(folder, quota)
            finally:
                os.close(folder)
        except OSError as error:
            rest = _AFTER_TROUBLE
            self._event(f"mailbox {mailbox} cannot be counted for its quota: {error.strerror}")
        ended = self._clock.monotonic()
        self._not_before[mailbox] = ended + max(rest, _REST * (ended - began))
