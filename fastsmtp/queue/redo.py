"""State S4 after a crash: what an intent began is brought to its end, before anything else is delivered.

Every file of an intent stood synced in ``tmp/`` when it was committed. So for each: still in ``tmp/`` → move it;
gone → it was moved. Only what cleans ``tmp/`` can take a file before it is moved, and the cleaners wait 36
hours: of an older intent, a file found in none of the three directories is delivered again, a double rather
than a loss. So is one whose whole mailbox is gone. A mailbox that cannot be looked into blocks its units until
it can.
"""

import contextlib
import os

from fastsmtp.clock import Clock
from fastsmtp.mailbox.layout import Layout
from fastsmtp.mailbox.maildir import Maildir, file_name, open_maildir
from fastsmtp.spool.outbox import Outbox, Survivors, Unit, pending_of
from fastsmtp.spool.record import Intent, Letter
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.maildir import lf_size

TMP_CLEANED_AFTER = 36 * 3600.0
_MOST_OPEN = 200


class Redo:
    """Finishes the intents of an earlier run. ``blocked``: the units of those it could not finish yet."""

    def __init__(self, outbox: Outbox, log: MailLog, clock: Clock) -> None:
        self.blocked: set[bytes] = set()
        self._outbox = outbox
        self._log = log
        self._clock = clock
        self._left: list[tuple[bytes, Intent]] = []
        self._open: dict[bytes, Maildir | None] = {}

    def begin(self) -> None:
        """Finish all intents that stand in the spool; nothing is being delivered yet. Raises `SpoolError`."""
        self._left = self._outbox.intents()
        self.again()

    def keep(self, key: bytes, intent: Intent) -> None:
        """An intent of this run whose moves may not be durable: see `again`."""
        self._left.append((key, intent))
        self.blocked |= {unit.key for unit in intent.units}

    def again(self) -> None:
        """Try once more what was blocked."""
        left, self._left = self._left, []
        self.blocked = set()
        for key, intent in left:
            try:
                self._finish(key, intent)
            except OSError as error:
                self._log.event(f"delivery begun before a crash cannot be finished yet: {error}")
                self._left.append((key, intent))
                self.blocked |= {unit.key for unit in intent.units}
            finally:
                self._close()

    def _finish(self, key: bytes, intent: Intent) -> None:
        layout = Layout(intent.path)
        old = self._clock.now() - intent.at > TMP_CLEANED_AFTER
        settled: list[tuple[Unit, Survivors]] = []
        touched: set[bytes] = set()
        count = 0
        for noted in intent.units:
            unit = self._outbox.load(noted.key)
            if unit is None:
                continue
            missing = {tuple(pair) for pair in noted.missing}
            survivors: Survivors = {}
            for index, letter in enumerate(unit.letters):
                size = self._size(unit, letter, intent.lf)
                for number in pending_of(letter):
                    envelope = letter.envelope
                    path = layout.path(envelope.recipients[number].mailbox)
                    name = file_name(envelope.received_at, envelope.id, number, intent.host, size)
                    if (index, number) in missing or not self._moved(path, name, old):
                        survivors.setdefault(index, []).append(number)
                    else:
                        touched.add(path)
                        count += 1
            settled.append((unit, survivors))
        for path in touched:
            maildir = self._maildir(path)
            if maildir is not None:
                os.fsync(maildir.tmp)
                os.fsync(maildir.new)
        self._outbox.settle(key, settled)
        self._outbox.change(lambda txn: None)
        self._log.event(f"delivery: finished what was begun before a crash, {count} file(s)")

    def _size(self, unit: Unit, letter: Letter, lf: bool) -> int:
        if not lf:
            return letter.length
        with self._outbox.reading(unit.key) as value:
            return lf_size(value, letter, self._outbox.bodies)

    def _moved(self, path: bytes, name: bytes, old: bool) -> bool:
        """Whether the file stands in the mailbox now, or did; false when it is to be delivered again."""
        maildir = self._maildir(path)
        if maildir is None:
            return False
        try:
            os.rename(name, name, src_dir_fd=maildir.tmp, dst_dir_fd=maildir.new)
        except FileNotFoundError:
            return not old or self._found(path, name)
        return True

    def _found(self, path: bytes, name: bytes) -> bool:
        for folder in (b"new", b"cur"):
            with contextlib.suppress(FileNotFoundError):
                if any(one.startswith(name) for one in os.listdir(os.path.join(path, folder))):
                    return True
        return False

    def _maildir(self, path: bytes) -> Maildir | None:
        if path not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self._close()
            try:
                self._open[path] = open_maildir(path, create=False)
            except FileNotFoundError:
                self._open[path] = None
        return self._open[path]

    def _close(self) -> None:
        for maildir in self._open.values():
            if maildir is not None:
                maildir.close()
        self._open.clear()
