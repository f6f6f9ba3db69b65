"""Opens an LMDB environment such that the rules of LMDB are kept; the backends use nothing else of it.

An environment belongs to the process that opened it (LMDB must not cross a fork), to one process at a time
(flock) unless it is shared, and to one format of records (its number stands in the database ``meta``).
"""

import fcntl
import importlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb

from fastsmtp.threads import Gate

with suppress(ImportError):
    # lmdb imports it at the first opening, when whoever we have become may not enter its directory.
    importlib.import_module("lmdb._envid")

_FORMAT = b"format"
_SHARED_READERS = 1024  # more than the workers there may be
_READER = 64  # bytes of one in the lock file
_PAUSE = 0.05
"""Seconds between two looks at a lock that another process has."""
_ALONE = 100
"""Looks until a shared environment is not migrated, as others have it open."""
_MIGRATED = 600
"""Looks until it cannot be opened, as another process migrates it."""

MapFull = lmdb.MapFullError
Migration = Callable[[Any, dict[bytes, Any]], None]
"""Brings an environment from one format to the next: called with a write transaction and its databases by name."""
StorageError = (lmdb.Error, OSError)
"""What a transaction may raise when storage fails."""
CORRUPTED = (lmdb.CorruptedError, lmdb.PageNotFoundError)
"""Those of them that tell of damage inside the environment."""


class StoreError(Exception):
    """The environment cannot be opened; the text is one line for the operator."""


class StoreTaken(StoreError):
    """Another process has it open."""


class Store:
    """One environment in the directory ``path`` with the named ``databases``.

    With ``sync`` a commit returns when it is on stable storage. ``created`` is
    called by `open` before a new environment counts as one; when it raises `StorageError`, it does not. A ``shared``
    one may be open in many processes, which write one after the other; it never grows beyond ``map_size``.
    ``migrations``, by the format they start from, lead from older ones to ``format_number``: see `migrate`.
    """

    def __init__(
        self,
        path: Path,
        databases: tuple[bytes, ...],
        *,
        format_number: int,
        map_size: int,
        sync: bool = True,
        created: Callable[[], None] | None = None,
        shared: bool = False,
        migrations: Mapping[int, Migration] | None = None,
    ) -> None:
        self.path = path
        self.data_file = path / "data.mdb"
        self.map_size = map_size
        self.db: dict[bytes, Any] = {}
        self._names = databases
        self._format = format_number
        self._migrations = migrations or {}
        self._found_format = format_number
        self._sync = sync
        self._created = created
        self._shared = shared
        self._known = False
        self._env: Any = None
        self._pid = 0
        self._lock_fd = -1
        self._place = (0, 0)
        # Whoever looks into the map is inside, so that `reopen` cannot pull it away.
        self._looking = Gate()
        self._copies: dict[int, Callable[[], None]] = {}

    def open(self) -> None:
        """Lock and open. Raises `StoreError`: locked, not writable, damaged, or of another format."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; it must be a directory we may write") from None
        try:
            taken = not (_lock_shared(fd) if self._shared else _lock(fd, fcntl.LOCK_EX))
        except OSError as error:
            os.close(fd)
            raise StoreError(
                f"{self.path}: cannot lock: {error.strerror}; it must be on a file system with flock(2)"
            ) from None
        if taken:
            os.close(fd)
            raise StoreTaken(f"{self.path}: another process has it; stop that one first")
        self._lock_fd = fd
        self._pid = os.getpid()
        try:
            self._open_env()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close and unlock."""
        if self._env is not None:
            self._env.close()
            self._env = None
        self._known = False
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def reopen(self) -> None:
        """Close and open again, as must be done after a failed commit. Raises `StoreError`, also when copies are
        being made: these are interrupted, and it is to be tried again."""
        with self._looking.shut():
            for interrupt in self._copies.values():
                interrupt()
            if self._copies:
                raise StoreError(f"{self.path}: a copy is being made; it is given up")
            if self._env is not None:
                self._env.close()
                self._env = None
            self._open_env()

    @property
    def is_open(self) -> bool:
        """False before `open` and after a `reopen` that failed."""
        return self._env is not None

    @property
    def outdated(self) -> bool:
        """Whether it is of an older format, and is to be migrated before it is used."""
        return self._found_format != self._format

    def migrate(self) -> None:
        """Bring it to our format, in one transaction: all of it or nothing. Of a shared one we must be the only
        process, since others would go on by the older format. Raises `StoreTaken` when we are not; it is to be closed
        then. Raises `StoreError`, `StorageError`."""
        if self._shared:
            self._be_alone()
        with self.write() as txn:
            for number in range(self._stands(txn), self._format):
                self._migrations[number](txn, self.db)
            txn.put(_FORMAT, b"%d" % self._format, db=self._env.open_db(b"meta", txn=txn))
        self._found_format = self._format
        if self._shared:
            fcntl.flock(self._lock_fd, fcntl.LOCK_SH)

    def _be_alone(self) -> None:
        """Return when no other process has it open, or another one has migrated it. Raises `StoreTaken`."""
        for _ in range(_ALONE):
            if _lock(self._lock_fd, fcntl.LOCK_EX):
                return
            with self.read() as txn:
                if self._stands(txn) == self._format:
                    return
            time.sleep(_PAUSE)
        raise StoreTaken(
            f"{self.path}: it is of format {self._found_format}, which becomes {self._format} only while no other "
            "program has it open: stop the server and start it again; an upgrade cannot do this"
        )

    def _stands(self, txn: Any) -> int:
        """The format that it is of now. Raises `StoreError` for one that leads nowhere."""
        return self._readable(bytes(txn.get(_FORMAT, db=self._env.open_db(b"meta", txn=txn))))

    def write(self) -> Any:
        """A write transaction, a context manager that commits; only ever on one thread."""
        return self._ours().begin(write=True)

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A read transaction that gives memory of the map itself: keep it short, and keep nothing of it."""
        with self._looking, self._ours().begin(buffers=True) as txn:
            yield txn

    def begin_copy(self, interrupt: Callable[[], None]) -> Any:
        """A read transaction for `copy` that may last: what it sees is kept while others write, which makes the file
        grow. ``interrupt`` makes a `copy` fail soon, from another thread; it is called when the environment has to be
        opened anew. Raises `StorageError`."""
        with self._looking:
            txn = self._ours().begin()
            self._copies[id(txn)] = interrupt
            return txn

    def copy(self, txn: Any, file: int) -> None:
        """Write the environment as ``txn`` sees it, without free pages, into ``file``, which may be a socket. Raises
        `StorageError`."""
        self._ours().copyfd(file, compact=True, txn=txn)

    def end_copy(self, txn: Any) -> None:
        """``txn`` of `begin_copy` is not needed any more."""
        with self._looking:
            txn.abort()
            del self._copies[id(txn)]

    def replaced(self) -> bool:
        """Whether another file has taken the place of the one that is open."""
        try:
            return _place(self.data_file) != self._place
        except OSError:
            return False

    def last_change(self) -> int:
        """The number of the last commit, whichever process made it."""
        with self._looking:
            return int(self._ours().info()["last_txnid"])

    def forget_the_dead(self) -> None:
        """Give up what processes that have died were reading, so that its pages can be used again."""
        self._ours().reader_check()

    def readers(self) -> int:
        """Slots for readers that are taken, by whichever process."""
        with self._looking:
            return int(self._ours().info()["num_readers"])

    def high_water(self) -> int:
        """Bytes of the data file that hold pages, used or free."""
        page: int = self._page
        pages: int = self._ours().info()["last_pgno"]
        return (pages + 1) * page

    def used(self) -> int:
        """Bytes of pages in use, the list of free pages not counted; reads a few counters only."""
        with self._looking, self._ours().begin() as txn:
            stats = [txn.stat(), *(txn.stat(db) for db in self.db.values())]
        pages = sum(s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"] for s in stats)
        return int((pages + 2) * self._page)

    def _ours(self) -> Any:
        if os.getpid() != self._pid:
            raise RuntimeError(f"{self.path}: opened before a fork; an environment belongs to one process")
        if self._env is None:
            raise lmdb.Error(f"{self.path}: not open")
        return self._env

    def _open_env(self) -> None:
        readers = _SHARED_READERS if self._shared else 16
        try:
            _make_lock_file(self.path / "lock.mdb", readers)
            env = lmdb.open(
                os.fspath(self.path),
                map_size=self.map_size,
                max_dbs=len(self._names) + 1,
                max_readers=readers,
                mode=0o600,
                sync=self._sync,
                readahead=False,
                max_spare_txns=4,
            )
        except (lmdb.VersionMismatchError, lmdb.InvalidError, lmdb.CorruptedError) as error:
            raise StoreError(f"{self.path}: not an environment we can read ({error}); set it aside") from None
        except StorageError as error:
            raise StoreError(self._cannot_open(error)) from None
        try:
            self._page = env.stat()["psize"]
            self._place = _place(self.data_file)
            self._check_length(env)
            meta = env.open_db(b"meta")
            with env.begin(write=True) as txn:
                known = txn.get(_FORMAT, db=meta)
                if known is None:
                    if self._known:
                        raise StoreError(f"{self.path}: data.mdb was removed while in use; start again")
                    if self._created is not None:
                        self._created()
                    txn.put(_FORMAT, b"%d" % self._format, db=meta)
                else:
                    self._found_format = self._readable(known)
            self.db = {name: env.open_db(name) for name in self._names}
            self._known = True
        except StoreError:
            env.close()
            raise
        except StorageError as error:
            env.close()
            raise StoreError(self._cannot_open(error)) from None
        self._env = env

    def _readable(self, known: bytes) -> int:
        """The number of a format that we can read, or lead to ours. Raises `StoreError`."""
        ours = self._format
        number = int(known) if known.isdigit() else -1
        if number > ours:
            raise StoreError(
                f"{self.path}: it is of format {number}, and this program reads {ours}: a newer fastsmtp wrote it; "
                "use that one"
            )
        if number < 0 or any(step not in self._migrations for step in range(number, ours)):
            raise StoreError(
                f"{self.path}: it is of format {known.decode('ascii', 'replace')}, and no way leads from there to "
                f"{ours}; use the program that made it to the end, or set it aside"
            )
        return number

    def _check_length(self, env: Any) -> None:
        """A page beyond the end of the file would end the process with SIGBUS when it is looked at."""
        needed = (env.info()["last_pgno"] + 1) * self._page  # first: another process may let the file grow
        size = self.data_file.stat().st_size
        if size < needed:
            raise StoreError(
                f"{self.data_file}: it was cut, {size} bytes are left of {needed}; restore it or set "
                f"{self.path} aside"
            )

    def _cannot_open(self, error: Exception) -> str:
        return f"{self.path}: cannot open: {error}; see that its files are ours, and that disk and memory suffice"


def format_of(path: Path) -> int | None:
    """The number of the format of the environment in ``path``, which no process has open; None where it has none.
    Raises `StorageError`."""
    with (
        lmdb.open(os.fspath(path), readonly=True, lock=False, create=False, max_dbs=1) as env,
        env.begin() as txn,
    ):
        try:
            known = txn.get(_FORMAT, db=env.open_db(b"meta", txn=txn, create=False))
        except lmdb.NotFoundError:
            return None
        return int(known) if known is not None and known.isdigit() else None


def fill(path: Path) -> int:
    """Octets of the pages, used or free, of the environment in ``path``, whichever process has it open. Raises
    `StorageError`."""
    with lmdb.open(os.fspath(path), readonly=True, lock=False, create=False) as env:
        pages, size = env.info()["last_pgno"] + 1, env.stat()["psize"]
        return int(pages * size)


def _lock(fd: int, kind: int) -> bool:
    """Lock ``fd``; false when another process has it, and what lock we had is lost then: flock(2). Raises OSError."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_shared(fd: int) -> bool:
    """The same for a shared lock, once a process that migrates has come to its end."""
    for _ in range(_MIGRATED):
        if _lock(fd, fcntl.LOCK_SH):
            return True
        time.sleep(_PAUSE)
    return False


def _make_lock_file(file: Path, readers: int) -> None:
    """LMDB maps a new lock file with holes; one that a full disk cannot fill would end the process with SIGBUS."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = _READER * (readers + 2)  # as LMDB makes it
        if os.fstat(fd).st_size < size:
            os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


def _place(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino
