"""Delivery into Maildirs, in batches: written into ``tmp/``, made durable by one sync a file system, moved.

A mailbox that cannot be written is tried again after `RETRY` seconds and reported once as long as it fails. What
decides when (the intent, the order of the steps) stands in queue/local.py.
"""

import errno
import mmap
import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from fastsmtp._core import fsio
from fastsmtp.clock import Clock
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mailbox import maildirsize
from fastsmtp.mailbox.layout import Layout
from fastsmtp.mailbox.maildir import Maildir, file_name, host_part, open_maildir, size_in
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.base import Letter

RETRY = 60.0
_JUST_NOW = 5.0
_ATTEMPTS = 4
_MOST_OPEN = 1024
_OF_ALL_FILES = 40  # one in so many open files may be a mailbox's, which has two
_NO_FILES = (errno.EMFILE, errno.ENFILE)
_VANISHED = (errno.ENOENT, errno.ESTALE, errno.ENOTDIR)
_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
_SYNCFS_TELLS = (5, 8)  # the first Linux whose syncfs(2) reports errors of writing
_SYNC_THREADS = 8

# directory, name, destination, offset, length; then: unit, letter and recipient number, mailbox
Job = tuple[int, bytes, int, int, int, int, int, int, Maildir]
_TMP: Final = 0
_NAME: Final = 1
_OFFSET: Final = 3
_UNIT: Final = 5
_LETTER: Final = 6
_RECIPIENT: Final = 7
_MAILDIR: Final = 8


class NoFiles(Exception):
    """No further mailbox can be open at the same time."""


def kernel_release() -> tuple[int, ...]:
    """Major and minor number of the running Linux."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


class MaildirTransport:
    """The mailboxes; used by one thread. ``syncfs`` false: every file is synced alone, from several threads."""

    def __init__(
        self,
        settings: MailboxSettings,
        *,
        hostname: str,
        log: MailLog,
        clock: Clock,
        syncfs: bool | None = None,
    ) -> None:
        self.layout = Layout(settings.path)
        self.host = host_part(hostname)
        self.lf = settings.line_ending == "lf"
        self.share = settings.share_files
        self.syncfs = kernel_release() >= _SYNCFS_TELLS if syncfs is None else syncfs
        self._log = log
        self._clock = clock
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = min(_MOST_OPEN, max(4, files // _OF_ALL_FILES)) // 2
        self._opened = 0
        self._open: OrderedDict[str, Maildir] = OrderedDict()
        self._closing: list[Maildir] = []
        self._failing: dict[str, float] = {}
        self._file_systems: dict[int, int] = {}
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Close all descriptors, end the threads."""
        for maildir in [*self._open.values(), *self._closing]:
            maildir.close()
        self._open.clear()
        self._closing.clear()
        for fd in self._file_systems.values():
            os.close(fd)
        self._file_systems.clear()
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def batch(self, bodies: int) -> "Batch":
        """Begin a batch; ``bodies`` is the open directory of the spool's body files."""
        self._opened = 0
        while len(self._open) > self._most:
            self._closing.append(self._open.popitem(last=False)[1])
        for maildir in self._closing:
            maildir.close()
        self._closing.clear()
        return Batch(self, bodies)

    def maildir(self, mailbox: str) -> Maildir | None:
        """The mailbox, checked to be where it should; None when it failed in the last minute, or now. Raises
        `NoFiles` when this batch has opened as many as it may."""
        if self._failing:
            retry = self._failing.get(mailbox)
            if retry is not None and self._clock.monotonic() < retry:
                return None
        maildir = self._open.get(mailbox)
        if maildir is not None:
            if maildir.current():
                self._open.move_to_end(mailbox)
                return maildir
            self.forget(mailbox)
        if self._opened >= self._most:
            raise NoFiles
        self._opened += 1
        path = self.layout.path(mailbox)
        try:
            maildir = self._opened_at(path, mailbox)
            self.file_system(maildir)
        except OSError as error:
            if error.errno in _NO_FILES:
                self._closing += self._open.values()
                self._open.clear()
                raise NoFiles from None
            where = os.path.join(path, os.fsencode(error.filename or b".")).removesuffix(b"/.")
            self.failed(mailbox, f"{os.fsdecode(where)}: {error.strerror}")
            return None
        self._open[mailbox] = maildir
        return maildir

    def _opened_at(self, path: bytes, mailbox: str) -> Maildir:
        for _ in range(_ATTEMPTS):
            try:
                return open_maildir(path, self.layout.root, mailbox, sync=not self.syncfs)
            except FileNotFoundError:
                continue  # taken away while it was made
        return open_maildir(path, self.layout.root, mailbox, sync=not self.syncfs)

    def forget(self, mailbox: str) -> None:
        """Let go of a mailbox that is not what it was. Closed before the next batch only: this one may still name
        its descriptors."""
        maildir = self._open.pop(mailbox, None)
        if maildir is not None:
            self._closing.append(maildir)

    def file_system(self, maildir: Maildir) -> int:
        """A descriptor of the mailbox's file system, kept from before the first write to it on, so that no error
        escapes it. Raises OSError."""
        fd = self._file_systems.get(maildir.tmp_device)
        if fd is None:
            fd = self._file_systems[maildir.tmp_device] = os.dup(maildir.tmp)
        return fd

    def failed(self, mailbox: str, reason: str) -> None:
        """A mailbox could not be written."""
        if mailbox not in self._failing:
            self._log.event(f"mailbox {mailbox} cannot be written, its mail is kept: {reason}")
        self._failing[mailbox] = self._clock.monotonic() + RETRY

    def try_again(self) -> None:
        """All waiting mail is about to be tried: so is every mailbox that did not fail just now."""
        now = self._clock.monotonic()
        for mailbox, retry in self._failing.items():
            if retry - now < RETRY - _JUST_NOW:
                self._failing[mailbox] = now

    def works(self, mailbox: str) -> None:
        """A mailbox that failed was written."""
        if self._failing.pop(mailbox, None) is not None:
            self._log.event(f"mailbox {mailbox} can be written again")

    @property
    def any_failing(self) -> bool:
        """Whether a success is worth telling to `works`."""
        return bool(self._failing)

    def sync(self, batch: "Batch", renamed: "Batch | None" = None) -> bool:
        """Make durable what ``batch`` has written, and the moves of the batch before; false when that failed."""
        if self.syncfs:
            devices = batch.devices | (renamed.devices if renamed is not None else set())
            error = self._sync_file_systems(devices)
        else:
            error = self._sync_directories({maildir.tmp for maildir in batch.maildirs()})
        if error:
            self._log.event(f"delivery: {error}, the batch is written again")
        return not error

    def settle(self, batch: "Batch") -> bool:
        """Make the moves of ``batch`` durable; false when that failed."""
        if self.syncfs:
            error = self._sync_file_systems(batch.devices)
        else:
            maildirs = batch.maildirs()
            error = self._sync_directories({m.new for m in maildirs} | {m.tmp for m in maildirs})
        if error:
            self._log.event(f"delivery: {error}, what was moved is looked through and synced in a minute")
        return not error

    def _sync_file_systems(self, devices: set[int]) -> str:
        failed = [error for device in devices if (error := fsio.syncfs(self._file_systems[device]))]
        return f"syncfs failed ({os.strerror(failed[0])})" if failed else ""

    def _sync_directories(self, descriptors: set[int]) -> str:
        try:
            for fd in descriptors:
                os.fsync(fd)
        except OSError as error:
            return f"fsync failed ({error.strerror})"
        return ""

    def write(self, value: Any, jobs: list[Job]) -> list[int]:
        """Write the jobs' files; the errno of each."""
        if self.syncfs:
            return fsio.write_files(value, jobs, self.lf)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_SYNC_THREADS, "mailbox-sync")
        step = max(1, -(-len(jobs) // _SYNC_THREADS))
        parts = [jobs[i : i + step] for i in range(0, len(jobs), step)]
        errors = self._threads.map(lambda part: fsio.write_files(value, part, self.lf, True), parts)
        return [error for part in errors for error in part]


class Batch:
    """Files on their way. ``written`` holds one job a file that stands in ``tmp/``; ``missing`` by unit the
    (letter, recipient) pairs there is none for; ``lost`` the (unit, letter) pairs whose body file is gone.
    ``unfinished``: some are missing for a reason that may be over by the next batch."""

    __slots__ = ("_bodies", "_checked", "_transport", "devices", "lost", "missing", "unfinished", "written")

    def __init__(self, transport: MaildirTransport, bodies: int) -> None:
        self._transport = transport
        self._bodies = bodies
        self._checked: dict[str, Maildir | None] = {}
        self.written: list[Job] = []
        self.missing: dict[int, list[tuple[int, int]]] = {}
        self.lost: list[tuple[int, int, str]] = []
        self.devices: set[int] = set()
        self.unfinished = False

    def write(self, unit: int, letters: Sequence[Letter], value: Any) -> None:
        """Write the files of a unit's letters from its value, the mapped page."""
        transport = self._transport
        lf, share = transport.lf, transport.share
        jobs: list[Job] = []
        links: list[tuple[Job, int]] = []
        for index, letter in enumerate(letters):
            if letter.filed:
                self._write_filed(unit, index, letter)
                continue
            offset, length = letter.offset, letter.length
            size = length - fsio.count_crlf(value, offset, length) if lf else length
            first = len(jobs)
            self._address(jobs, unit, index, letter, offset, size)
            if share:
                links += [(jobs[first], position) for position in range(first + 1, len(jobs))]
        if links:
            self._write_shared(value, jobs, links)
        elif jobs:
            self._keep(jobs, transport.write(value, jobs), lambda job: transport.write(value, [job])[0])

    def _address(
        self, jobs: list[Job], unit: int, index: int, letter: Letter, offset: int, size: int
    ) -> None:
        """Append a job for each recipient of a letter whose mailbox can be written, ``size`` octets on disk."""
        checked, host, length = self._checked, self._transport.host, letter.length
        envelope: Envelope = letter.envelope
        recipients = envelope.recipients
        for number in range(len(recipients)) if letter.pending is None else letter.pending:
            mailbox = recipients[number].mailbox
            maildir = checked[mailbox] if mailbox in checked else self._check(mailbox)
            if maildir is None:
                self.missing.setdefault(unit, []).append((index, number))
                continue
            name = file_name(envelope.received_at, envelope.id, number, host, size)
            jobs.append((maildir.tmp, name, maildir.new, offset, length, unit, index, number, maildir))

    def units(self) -> set[int]:
        """The units some file was written of."""
        return {job[_UNIT] for job in self.written}

    def touched(self) -> set[int]:
        """The units something was done about: a file was written, or a letter is lost."""
        return self.units() | {number for number, _, _ in self.lost}

    def maildirs(self) -> set[Maildir]:
        """The mailboxes the files are written to."""
        return {job[_MAILDIR] for job in self.written}

    def places(self) -> list[tuple[str, int, int]]:
        """The ``tmp/`` the files are written to: mailbox, device, inode."""
        return [(m.mailbox, m.tmp_device, m.tmp_inode) for m in self.maildirs()]

    def delivered(self) -> Iterator[tuple[int, int, int, str]]:
        """What was written, by unit, letter, recipient number and mailbox."""
        return ((unit, index, number, m.mailbox) for _, _, _, _, _, unit, index, number, m in self.written)

    def rename(self) -> None:
        """Move what was written into ``new/``. What cannot be moved becomes missing, and stays in ``tmp/`` to be
        written anew: were it removed, a crash now would look as if it had been moved. A file that was gone
        leaves the batch unfinished."""
        errors = fsio.rename_files(self.written)
        if any(errors):
            written, self.written = self.written, []
            for job, error in zip(written, errors, strict=True):
                if not error:
                    self.written.append(job)
                    continue
                self._miss(job)
                if error in _VANISHED:
                    self.unfinished = True
                    self._transport.forget(job[_MAILDIR].mailbox)
                else:
                    self._transport.failed(job[_MAILDIR].mailbox, os.strerror(error))
        self._add_up()

    def _add_up(self) -> None:
        """Tell what was moved to mailboxes that keep count of what is in them."""
        counting = {maildir for maildir in self.maildirs() if maildirsize.kept(maildir.tmp)}
        if not counting:
            return
        added: dict[Maildir, list[int]] = {}
        for job in self.written:
            if job[_MAILDIR] in counting:
                added.setdefault(job[_MAILDIR], []).append(size_in(job[_NAME]))
        for maildir, sizes in added.items():
            maildirsize.add(maildir.tmp, sum(sizes), len(sizes))

    def _miss(self, job: Job) -> None:
        self.missing.setdefault(job[_UNIT], []).append((job[_LETTER], job[_RECIPIENT]))

    def _check(self, mailbox: str) -> Maildir | None:
        try:
            maildir = self._transport.maildir(mailbox)
        except NoFiles:
            maildir = None
            self.unfinished = True
        self._checked[mailbox] = maildir
        if maildir is not None:
            self.devices.add(maildir.tmp_device)
        return maildir

    def _keep(self, jobs: list[Job], errors: list[int], again: Callable[[Job], int]) -> None:
        """Sort the written from the missing; a mailbox that vanished under our hands is opened once more."""
        transport = self._transport
        if not transport.any_failing and not any(errors):
            self.written += jobs
            return
        for job, error in zip(jobs, errors, strict=True):
            if error in _VANISHED:
                maildir = self._reopened(job[_MAILDIR])
                if maildir is None:
                    self._miss(job)
                    continue
                job = (maildir.tmp, job[_NAME], maildir.new, *job[_OFFSET:_MAILDIR], maildir)
                error = again(job)
            mailbox = job[_MAILDIR].mailbox
            if error:
                self._miss(job)
                self._checked[mailbox] = None
                if error in _VANISHED:  # twice in a moment: somebody is at work there
                    self.unfinished = True
                    transport.forget(mailbox)
                else:
                    transport.failed(mailbox, os.strerror(error))
            else:
                self.written.append(job)
                transport.works(mailbox)

    def _reopened(self, old: Maildir) -> Maildir | None:
        maildir = self._checked.get(old.mailbox)
        if maildir is old:
            self._transport.forget(old.mailbox)
            maildir = self._check(old.mailbox)
        return maildir

    def _write_shared(self, value: Any, jobs: list[Job], links: list[tuple[Job, int]]) -> None:
        linked = {position for _, position in links}
        firsts = [job for position, job in enumerate(jobs) if position not in linked]

        def write(job: Job) -> int:
            return self._transport.write(value, [job])[0]

        self._keep(firsts, self._transport.write(value, firsts), write)
        others = [jobs[position] for _, position in links]
        errors = []
        for (first, _), job in zip(links, others, strict=True):
            error = fsio.link_file(first[_TMP], first[_NAME], job[_TMP], job[_NAME])
            errors.append(write(job) if error in _CANNOT_LINK or error in _VANISHED else error)
        self._keep(others, errors, write)

    def _write_filed(self, unit: int, index: int, letter: Letter) -> None:
        envelope: Envelope = letter.envelope
        body = envelope.id.encode()
        try:
            source = os.open(body, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._bodies)
        except OSError as error:
            self.lost.append((unit, index, f"its body file cannot be opened: {error.strerror}"))
            return
        try:
            if os.fstat(source).st_size != letter.length:
                self.lost.append((unit, index, "its body file has not the right length"))
                return
            self._copy_filed(unit, index, letter, source, body)
        finally:
            os.close(source)

    def _copy_filed(self, unit: int, index: int, letter: Letter, source: int, body: bytes) -> None:
        transport = self._transport
        envelope: Envelope = letter.envelope
        length = letter.length
        size = file_size(source, length, transport.lf)
        alone = len(envelope.recipients) == 1 and not transport.lf and not letter.shared
        first: Job | None = None
        jobs: list[Job] = []
        self._address(jobs, unit, index, letter, 0, size)
        for job in jobs:

            def put(job: Job, first: Job | None = first) -> int:
                error = errno.EXDEV
                if alone:
                    error = fsio.link_file(self._bodies, body, job[_TMP], job[_NAME])
                elif transport.share and first is not None:
                    error = fsio.link_file(first[_TMP], first[_NAME], job[_TMP], job[_NAME])
                if error in _CANNOT_LINK or (error == errno.ENOENT and first is not None):
                    error = self._copy(source, length, job)
                return error

            before = len(self.written)
            self._keep([job], [put(job)], put)
            if first is None and len(self.written) > before:
                first = self.written[-1]

    def _copy(self, source: int, length: int, job: Job) -> int:
        sync = not self._transport.syncfs
        if not self._transport.lf or not length:
            return fsio.copy_file(source, length, job[_TMP], job[_NAME], sync)
        with mmap.mmap(source, length, prot=mmap.PROT_READ) as content:
            return fsio.write_files(content, [job], True, sync)[0]


def file_size(source: int, length: int, lf: bool) -> int:
    """The size on disk of an open body file once delivered."""
    if not lf or not length:
        return length
    with mmap.mmap(source, length, prot=mmap.PROT_READ) as content:
        return length - fsio.count_crlf(content, 0, length)


def lf_size(value: Any, letter: Letter, bodies: Path) -> int:
    """The size on disk of a letter once delivered with LF, from its unit's value or its body file. Raises
    OSError."""
    if not letter.filed:
        return letter.length - fsio.count_crlf(value, letter.offset, letter.length)
    source = os.open(bodies / letter.envelope.id, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return file_size(source, letter.length, True)
    finally:
        os.close(source)
