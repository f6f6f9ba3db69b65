"""Puts a backup back where there is nothing: it is read whole, compared with its checksums, then moved into place."""

import os
import tarfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path, PurePosixPath

from msgspec import Struct

from fastsmtp.control.place import DIRECTORY as CONTROL
from fastsmtp.ledger.format import DIRECTORY as LEDGER
from fastsmtp.ledger.rebuild import rebuild
from fastsmtp.process.backup.archive import Member, members, remove_tree, size_of
from fastsmtp.process.backup.manifest import (
    DATA,
    FILES,
    HEAD,
    MAIL,
    MANIFEST,
    Entry,
    Head,
    read_head,
    read_manifest,
)
from fastsmtp.process.backup.take import LAST, REPLACED, RESTORING
from fastsmtp.process.errors import StartError
from fastsmtp.process.lock import take_lock
from fastsmtp.process.privileges import Identity, acting_as, find_user, make_directory
from fastsmtp.process.settings import Settings, mailbox_root
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.journal import complete_copy

Seen = Callable[[int, int], object]
_LARGEST_FILE = 64 << 20
"""Octets of one of `FILES`, which are kept in memory until all is known to be good."""
_OURS = {"lock", CONTROL, RESTORING}


class Restored(Struct, kw_only=True):
    """``files`` and ``size`` (octets) that were put back; ``left_out``: of mailboxes and settings that were not asked
    for; ``replaced``: where what was there before is."""

    at: float
    version: str
    files: int = 0
    size: int = 0
    left_out: int = 0
    replaced: str | None = None


def restore(
    backup: Path,
    settings: Settings | None,
    *,
    files_to: Path | None,
    mail: bool,
    replace: bool,
    seen: Seen = lambda done, total: None,
) -> Restored:
    """Put ``backup`` back: its data into the directories of ``settings``, its settings and keys below ``files_to``.
    Raises `StartError`; nothing is in its place then."""
    identity = None if settings is None else find_user(settings.user)
    work = _Restore(backup, settings, identity, files_to, mail, seen)
    try:
        return work.run(replace)
    except OSError as error:
        raise StartError(
            f"{error.filename or backup}: {error.strerror}; nothing was restored", os.EX_IOERR
        ) from None
    except (tarfile.TarError, EOFError) as error:
        raise StartError(f"{backup}: not a backup that can be read: {error}", os.EX_DATAERR) from None


class _Restore:
    def __init__(
        self,
        backup: Path,
        settings: Settings | None,
        identity: Identity | None,
        files_to: Path | None,
        mail: bool,
        seen: Seen,
    ) -> None:
        self._backup = backup
        self._settings = settings
        self._identity = identity
        self._files_to = files_to
        self._mail = mail
        self._seen = seen
        self._found: dict[str, Entry] = {}
        self._files: list[tuple[Path, int, bytes]] = []
        self._parts: list[Path] = []
        self._left_out = 0

    def run(self, replace: bool) -> Restored:
        settings = self._settings
        if settings is None:
            return self._done(self._extract(), None)
        make_directory(settings.data_dir, "data_dir", self._identity)
        with acting_as(self._identity):
            lock = take_lock(settings.data_dir)
        try:
            self._look(settings, replace)
            try:
                head = self._extract()
                replaced = self._into_place(settings, replace)
            finally:
                with acting_as(self._identity):
                    for part in self._parts:
                        remove_tree(part)
            with acting_as(self._identity):
                rebuild(settings.data_dir / LEDGER)
            return self._done(head, replaced)
        finally:
            os.close(lock)

    def _look(self, settings: Settings, replace: bool) -> None:
        """Whether there is room for it."""
        there = sorted(set(os.listdir(settings.data_dir)) - _OURS - {LAST})
        there = [name for name in there if not name.startswith(REPLACED)]
        if there and not replace:
            raise StartError(
                f"{settings.data_dir} is not empty ({', '.join(there[:5])}); name settings with another data_dir, or "
                "say --replace, which keeps what is there in a directory beside it",
                os.EX_CANTCREAT,
            )
        root = mailbox_root(settings)
        if self._mail and root.is_dir() and any(name != RESTORING for name in os.listdir(root)):
            raise StartError(
                f"{root} is not empty, and mailboxes are not mixed; move it away", os.EX_CANTCREAT
            )

    def _extract(self) -> Head:
        """Everything beside its place, if it is whole and nothing is in its way."""
        head: Head | None = None
        manifest: dict[str, Entry] | None = None
        total, done = size_of(self._backup), 0
        for member in members(self._backup):
            if head is None:
                if member.name != HEAD:
                    break
                head = read_head(b"".join(member.pieces()))
            elif member.name == MANIFEST:
                manifest = read_manifest(b"".join(member.pieces())).files
            else:
                done = self._one(member, done, total)
        if head is None:
            raise StartError(f"{self._backup}: it does not begin as a backup", os.EX_DATAERR)
        if manifest is None:
            raise StartError(f"{self._backup}: it has no end; it was not finished, or was cut", os.EX_DATAERR)
        self._compare(manifest)
        taken = next((path for path, _, _ in self._files if os.path.lexists(path)), None)
        if taken is not None:
            raise StartError(
                f"{taken} is there already, and nothing is overwritten; name another --files",
                os.EX_CANTCREAT,
            )
        return head

    def _compare(self, manifest: dict[str, Entry]) -> None:
        for name, entry in manifest.items():
            found = self._found.get(name)
            if found is None:
                raise StartError(f"{self._backup}: {name} is missing", os.EX_DATAERR)
            if (found.size, found.sha256) != (entry.size, entry.sha256):
                raise StartError(f"{self._backup}: {name} is damaged: its checksum is another", os.EX_DATAERR)
        strange = self._found.keys() - manifest.keys()
        if strange:
            raise StartError(f"{self._backup}: {min(strange)} does not belong to it", os.EX_DATAERR)

    def _one(self, member: Member, done: int, total: int) -> int:
        """One file; how much is done after it."""
        target, kept = self._target(member), bytearray()
        digest, size, out = sha256(), 0, -1
        try:
            if target is not None and target[0] != FILES:
                out = self._made(target[1])
            for piece in member.pieces():
                digest.update(piece)
                size += len(piece)
                if out >= 0:
                    _write(out, piece)
                elif target is not None:
                    kept += piece
                    if len(kept) > _LARGEST_FILE:
                        raise StartError(f"{member.name} is larger than settings are", os.EX_DATAERR)
                self._seen(done + size, total)
            if out >= 0:
                os.fchmod(out, member.mode)
                os.utime(out, (member.mtime, member.mtime))
        finally:
            if out >= 0:
                os.close(out)
        if target is None:
            self._left_out += 1
        elif target[0] == FILES:
            self._files.append((target[1], member.mode, bytes(kept)))
        self._found[member.name] = Entry(size, digest.hexdigest(), member.mode)
        return done + size

    def _target(self, member: Member) -> tuple[str, Path] | None:
        """Its part, and where it is put for now; None when it is not wanted."""
        parts = PurePosixPath(member.name).parts
        if len(parts) < 2 or ".." in parts or parts[0] not in (DATA, FILES, MAIL):
            raise StartError(f"{self._backup}: a file is called {member.name!r}", os.EX_DATAERR)
        rest = Path(*parts[1:])
        if parts[0] == FILES:
            return None if self._files_to is None else (FILES, self._files_to / rest)
        if self._settings is None or (parts[0] == MAIL and not self._mail):
            return None
        base = self._settings.data_dir if parts[0] == DATA else mailbox_root(self._settings)
        part = base / RESTORING
        if part not in self._parts:
            make_directory(base, "data_dir", self._identity)
            with acting_as(self._identity):
                remove_tree(part)
                part.mkdir(mode=0o700)
            self._parts.append(part)
        return parts[0], part / rest

    def _made(self, path: Path) -> int:
        with acting_as(self._identity):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _into_place(self, settings: Settings, replace: bool) -> str | None:
        """All is good: move it. The spool comes last, as the server waits for nothing else."""
        replaced = None
        data_dir = settings.data_dir
        with acting_as(self._identity):
            for journal in (data_dir / RESTORING / "spool").glob("*/journal"):
                with open(journal, "r+b") as stream:
                    try:
                        complete_copy(stream.fileno(), journal)
                    except SpoolError as error:
                        raise StartError(str(error), os.EX_DATAERR) from None
            os.sync()
            if replace:
                replaced = self._aside(data_dir)
            for part in self._parts:
                names = sorted(os.listdir(part), key=lambda name: (name == "spool", name))
                for name in names:
                    os.rename(part / name, part.parent / name)
        self._put_files()
        with acting_as(self._identity):
            os.sync()
        return replaced

    def _aside(self, data_dir: Path) -> str | None:
        names = [name for name in os.listdir(data_dir) if name not in _OURS and not name.startswith(REPLACED)]
        if not names:
            return None
        place = data_dir / f"{REPLACED}{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
        place.mkdir(mode=0o700)
        for name in names:
            os.rename(data_dir / name, place / name)
        return str(place)

    def _put_files(self) -> None:
        for path, mode, content in self._files:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as stream:
                stream.write(content)
                if self._identity is not None and mode & 0o040:
                    os.fchown(fd, -1, self._identity.gid)
                os.fchmod(fd, mode)

    def _done(self, head: Head, replaced: str | None) -> Restored:
        if self._settings is None:
            self._put_files()
        return Restored(
            at=head.at,
            version=head.version,
            files=len(self._found) - self._left_out,
            size=sum(entry.size for entry in self._found.values()),
            left_out=self._left_out,
            replaced=replaced,
        )


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
