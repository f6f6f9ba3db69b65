"""Whether a mailbox may take more, by its quota and by ``maildirsize``. Counting is left to a thread."""

import math
import os
from collections.abc import Callable
from typing import NamedTuple

from fastsmtp.clock import Clock
from fastsmtp.mail.reply import MAILBOX_FULL, MAILBOX_OVER_QUOTA, Reply
from fastsmtp.mailbox import maildirsize
from fastsmtp.mailbox.layout import Layout
from fastsmtp.mailbox.maildir import open_folder
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.pool import ThreadPool

_LEAST_REST = 1.0
_REST = 20
"""A mailbox is not counted for so many times as long as counting it took."""
_AFTER_TROUBLE = 60.0
MOST_WAITING = 10_000
"""Mailboxes that wait to be counted, and that it is noted of when they were."""


class _Counted(NamedTuple):
    """How many seconds it took, and why it could not be done."""

    took: float
    trouble: str = ""


class Quotas:
    """The mailboxes of ``settings``, counted by ``pool``, which has nothing else to do. ``event`` is told of those
    that cannot be counted. All is for the loop's thread."""

    def __init__(
        self, settings: MailboxSettings, pool: ThreadPool, clock: Clock, event: Callable[[str], None]
    ) -> None:
        self._layout = Layout(settings.path)
        self._over = MAILBOX_OVER_QUOTA if settings.full == "reject" else MAILBOX_FULL
        self._pool = pool
        self._clock = clock
        self._event = event
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
        self._pool.stop(wait=False)

    def _usage(self, mailbox: str) -> maildirsize.Usage | None:
        folder = open_folder(self._layout.path(mailbox), self._layout.root)
        try:
            return maildirsize.read(folder)
        finally:
            os.close(folder)

    def _count_soon(self, mailbox: str, quota: int) -> None:
        if self._clock.monotonic() < self._not_before.get(mailbox, -math.inf):
            return
        if len(self._not_before) >= MOST_WAITING:
            self._not_before.clear()
        counting = self._pool.submit(
            lambda: self._count(mailbox, quota),
            lambda counted: self._have_counted(mailbox, counted),
            lambda defect: _Counted(0.0, defect),
        )
        if counting:
            self._not_before[mailbox] = math.inf

    def _count(self, mailbox: str, quota: int) -> _Counted:
        began = self._clock.monotonic()
        trouble = ""
        try:
            folder = open_folder(self._layout.path(mailbox), self._layout.root)
            try:
                maildirsize.count(folder, quota)
            finally:
                os.close(folder)
        except OSError as error:
            trouble = error.strerror or type(error).__name__
        return _Counted(self._clock.monotonic() - began, trouble)

    def _have_counted(self, mailbox: str, counted: _Counted) -> None:
        least = _LEAST_REST
        if counted.trouble:
            least = _AFTER_TROUBLE
            self._event(f"mailbox {mailbox} cannot be counted for its quota: {counted.trouble}")
        self._not_before[mailbox] = self._clock.monotonic() + max(least, _REST * counted.took)
