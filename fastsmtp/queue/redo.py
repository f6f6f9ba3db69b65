"""State S4 after a crash: what an intent began is brought to its end, before anything else is delivered.

Every file of an intent stood synced in ``tmp/`` when it was committed. So for each, as long as the mailbox has the
``tmp/`` the intent names: still in it → move it; gone → it was moved. Only what cleans ``tmp/`` can take a file
before it is moved, and the cleaners wait 36 hours: of an older intent, a file that stands nowhere in the mailbox
is delivered again, a double rather than a loss. So is one whose mailbox is gone or has another ``tmp/``. A
mailbox that cannot be looked into blocks its units until it can; the rest of the intent goes on.
"""

import contextlib
import os
from bisect import bisect_left
from collections.abc import Callable

from fastsmtp.clock import Clock
from fastsmtp.mailbox import maildirsize
from fastsmtp.mailbox.layout import Layout
from fastsmtp.mailbox.maildir import Maildir, file_name, open_maildir
from fastsmtp.spool.outbox import Outbox, Survivors, Unit, pending_of
from fastsmtp.spool.record import Intent, IntentUnit, Letter
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.maildir import lf_size

TMP_CLEANED_AFTER = 36 * 3600.0
_MOST_OPEN = 200


class Redo:
    """Finishes intents: those of an earlier run, and those of this one that went wrong. ``blocked``: the units of
    the ones that are not finished yet."""

    def __init__(self, outbox: Outbox, log: MailLog, clock: Clock) -> None:
        self.blocked: set[bytes] = set()
        self._outbox = outbox
        self._log = log
        self._clock = clock
        self._left: dict[bytes, Intent] = {}
        self._told: set[bytes] = set()

    def begin(self) -> None:
        """Finish all intents that stand in the spool; nothing is being delivered yet. Raises `SpoolError`."""
        self._left = dict(self._outbox.intents())
        self.again()

    def keep(self, key: bytes, intent: Intent) -> None:
        """An intent of this run whose moves may not be durable, or whose mail could not be removed: see `again`."""
        self._left[key] = intent
        self.blocked |= {unit.key for unit in intent.units}

    def again(self) -> None:
        """Try once more what was blocked. Raises `SpoolError`; what is not finished then stays blocked."""
        if not self._left:
            return
        broken: set[bytes] = set()
        try:
            self._outbox.change(lambda changes: None)  # what was settled is gone, and cannot be settled twice
            for key, intent in list(self._left.items()):
                broken |= self._finish(key, intent)
            self._told &= broken
        finally:
            self.blocked = {unit.key for intent in self._left.values() for unit in intent.units}

    def _finish(self, key: bytes, intent: Intent) -> set[bytes]:
        """Finish what can be; the mailboxes that stand in the way of the rest."""
        work = _Moves(intent, self._clock.now() - intent.at > TMP_CLEANED_AFTER, self._cannot)
        settled: list[tuple[Unit, Survivors, set[bytes]]] = []
        try:
            for noted in intent.units:
                unit = self._outbox.load(noted.key)
                if unit is not None:
                    settled.append((unit, *self._move(work, unit, noted)))
            work.sync()
        finally:
            work.close()
        blocked = {unit.key for unit, _, paths in settled if paths & work.broken}
        done = [(unit, survivors) for unit, survivors, _ in settled if unit.key not in blocked]
        left = [noted for noted in intent.units if noted.key in blocked]
        failed: list[bytes] = []
        if not left:
            self._outbox.settle(key, done, failed.extend)
        elif len(left) == len(intent.units):
            return work.broken
        else:
            self._outbox.settle(None, done, failed.extend)
        self._outbox.change(lambda changes: None)
        if failed:  # all of it stays, and is looked through once more
            return work.broken
        if left:  # the smaller intent is there before the whole one is gone
            rest = Intent(intent.at, intent.host, intent.path, intent.lf, left, intent.places)
            self._left[self._outbox.intend(rest)] = rest
            self._outbox.settle(key, [])
            self._outbox.change(lambda changes: None)
        del self._left[key]
        self._log.event(f"delivery: finished what was begun earlier, {work.count} file(s)")
        return work.broken

    def _move(self, work: "_Moves", unit: Unit, noted: IntentUnit) -> tuple[Survivors, set[bytes]]:
        """Move the files of a unit: whom to deliver to again, and the mailboxes that were looked into."""
        intent = work.intent
        missing = {tuple(pair) for pair in noted.missing}
        survivors: Survivors = {}
        paths: set[bytes] = set()
        for index, letter in enumerate(unit.letters):
            envelope = letter.envelope
            try:
                size = self._size(unit, letter, intent.lf)
            except (
                FileNotFoundError
            ):  # delivery will see that the body file is gone, and set the letter aside
                survivors[index] = list(pending_of(letter))
                continue
            except OSError as error:
                path = os.fsencode(self._outbox.bodies / envelope.id)
                paths.add(path)
                work.broke(path, error)
                continue
            for number in pending_of(letter):
                if (index, number) not in missing:
                    mailbox = envelope.recipients[number].mailbox
                    path = work.layout.path(mailbox)
                    paths.add(path)
                    name = file_name(envelope.received_at, envelope.id, number, intent.host, size)
                    if work.moved(path, mailbox, name):
                        continue
                survivors.setdefault(index, []).append(number)
        return survivors, paths

    def _size(self, unit: Unit, letter: Letter, lf: bool) -> int:
        if not lf:
            return letter.length
        with self._outbox.reading(unit.key) as value:
            return lf_size(value, letter, self._outbox.bodies)

    def _cannot(self, path: bytes, error: OSError) -> None:
        if path not in self._told:
            self._told.add(path)
            self._log.event(
                f"{os.fsdecode(path)} cannot be looked into, the mail on its way waits until it can: {error.strerror}"
            )


class _Moves:
    """The files of one intent on their way into ``new/``. ``broken``: the mailboxes, and body files, that
    cannot be looked into."""

    def __init__(self, intent: Intent, old: bool, cannot: Callable[[bytes, OSError], None]) -> None:
        self.intent = intent
        self.layout = Layout(intent.path)
        self.broken: set[bytes] = set()
        self.count = 0
        self._old = old
        self._cannot = cannot
        self._places: dict[str, set[tuple[int, int]]] = {}
        for mailbox, device, inode in intent.places:
            self._places.setdefault(mailbox, set()).add((device, inode))
        self._touched: set[bytes] = set()
        self._open: dict[bytes, Maildir | None] = {}
        self._names: dict[bytes, list[list[bytes]]] = {}

    def moved(self, path: bytes, mailbox: str, name: bytes) -> bool:
        """Whether the file stands in the mailbox now, or did; false when it is to be delivered again, or the
        mailbox is broken."""
        if path in self.broken:
            return False
        try:
            moved = self._moved(path, mailbox, name)
        except OSError as error:
            self.broke(path, error)
            return False
        if moved:
            self._touched.add(path)
            self.count += 1
        return moved

    def _moved(self, path: bytes, mailbox: str, name: bytes) -> bool:
        maildir = self._maildir(path)
        if maildir is None or self._places.get(mailbox) != {(maildir.tmp_device, maildir.tmp_inode)}:
            # Not where it was written, or in one of two places: what tmp/ says does not count.
            return self._found(path, name)
        try:
            os.rename(name, name, src_dir_fd=maildir.tmp, dst_dir_fd=maildir.new)
        except FileNotFoundError:
            return not self._old or self._found(path, name)
        return True

    def _found(self, path: bytes, name: bytes) -> bool:
        if path not in self._names:
            self._names[path] = listings = []
            for folder in (b"new", b"cur"):
                with contextlib.suppress(FileNotFoundError):
                    listings.append(sorted(os.listdir(os.path.join(path, folder))))
        for names in self._names[path]:
            at = bisect_left(names, name)
            if at < len(names) and names[at].startswith(name):
                return True
        return False

    def sync(self) -> None:
        """Make the moves durable."""
        for path in self._touched - self.broken:
            try:
                maildir = self._maildir(path)
                if maildir is not None:
                    maildirsize.forget(maildir.tmp)  # nobody knows what of this was counted
                    os.fsync(maildir.tmp)
                    os.fsync(maildir.new)
            except OSError as error:
                self.broke(path, error)

    def broke(self, path: bytes, error: OSError) -> None:
        """What was wanted of ``path`` cannot be had now."""
        self.broken.add(path)
        self._cannot(path, error)

    def _maildir(self, path: bytes) -> Maildir | None:
        if path not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self.close()
            try:
                self._open[path] = open_maildir(path, self.layout.root, create=False)
            except FileNotFoundError:
                self._open[path] = None
        return self._open[path]

    def close(self) -> None:
        """Close all descriptors."""
        for maildir in self._open.values():
            if maildir is not None:
                maildir.close()
        self._open.clear()
