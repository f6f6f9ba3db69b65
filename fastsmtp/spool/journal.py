"""The journal: a file written before it is needed and used round and round, where every change is durable first.

A frame is one group commit: the values it puts, the keys it deletes, under a number that only grows. It goes into
blocks that are on disk already, so it costs one write and one flush of the device, and nothing of the file system.
The file is divided into regions, used in turn; a region is used again when nothing in it is wanted any more
(`Region.live`) and nobody looks at it (`Region.pins`): see tables.py. What is wanted for long is moved into the
tree by keeper.py.

On disk: a block of 4096 bytes that says the size of the regions, then the regions. Frames begin at multiples of 512
bytes, so that no sector holds parts of two.
"""

import contextlib
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from fastsmtp._core import fsio
from fastsmtp.spool.base import SpoolError, SpoolFull

_FILE_MAGIC = b"\xf5fsmtpK\n"
_FILE = struct.Struct("<8sQ8sI")  # magic, size of a region, mark, crc32 of all three
_FILE_BYTES = 4096
_START = struct.Struct("<8sI")  # the file's mark, crc32 of the rest of the head
_REST = struct.Struct("<QIII")  # number, length of what follows, crc32 of it, how many changes it is
_HEAD = _START.size + _REST.size
_CHANGE = struct.Struct("<BBHI")  # what, table, length of the key, length of the value
_PUT, _DELETE = 0, 1
_SECTOR = 512
_ZEROS = bytes(1 << 20)
LEAST_REGIONS = 4


class Region:
    """A part of the file. ``live``: how many entries of the tables stand in it; ``pins``: who is looking at it.
    ``keys``, by table: those whose last change may stand in it, in pieces. These belong to tables.py. ``index`` is
    its place in the file, ``end`` where its next frame may begin."""

    __slots__ = ("end", "index", "keys", "live", "pins", "view")

    def __init__(self, index: int, view: memoryview) -> None:
        self.index = index
        self.view = view
        self.end = 0
        self.live = 0
        self.pins = 0
        self.keys: dict[int, list[tuple[bytes, ...]]] = {}


class Change(NamedTuple):
    """One change of a frame: the value's place in its region, or ``end`` -1 where the key is deleted. ``new``:
    the writer knows that the tree has no such key."""

    table: int
    key: bytes
    start: int
    end: int
    new: bool


class Frame:
    """A frame being made: `put` and `delete`, then `seal`."""

    __slots__ = ("_at", "_changes", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray | memoryview] = [bytes(_HEAD)]
        self._changes: list[Change] = []
        self._at = _HEAD

    def put(self, table: int, key: bytes, *parts: bytes | bytearray | memoryview, new: bool = False) -> None:
        """The value of ``key`` is ``parts``, one after another."""
        length = sum(map(len, parts))
        start = self._at + _CHANGE.size + len(key)
        self._parts += (_CHANGE.pack(_PUT, table, len(key), length), key, *parts)
        self._at = start + length
        self._changes.append(Change(table, key, start, self._at, new))

    def delete(self, table: int, key: bytes) -> None:
        """There is no ``key`` any more."""
        self._parts += (_CHANGE.pack(_DELETE, table, len(key), 0), key)
        self._at += _CHANGE.size + len(key)
        self._changes.append(Change(table, key, 0, -1, False))

    def __bool__(self) -> bool:
        return bool(self._changes)

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return _padded(self._at)

    def seal(self, number: int, mark: bytes) -> tuple[bytearray, list[Change]]:
        """Its bytes under ``number`` for a file of that ``mark``, and its changes with places relative to its
        start."""
        data = bytearray().join(self._parts)
        rest = _REST.pack(number, self._at - _HEAD, crc32(memoryview(data)[_HEAD:]), len(self._changes))
        data[:_HEAD] = _START.pack(mark, crc32(rest)) + rest
        return data, self._changes


class Journal:
    """The file ``path``. The writer appends, the keeper extends. ``sync``: a frame is durable when it is
    appended; ``late``: somebody calls `sync` each second. Raises OSError where not said otherwise."""

    def __init__(
        self,
        path: Path,
        *,
        region_bytes: int,
        most_regions: int,
        sync: bool,
        late: bool,
    ) -> None:
        self.regions: list[Region] = []
        """By age, the oldest first; the one being written is the last."""
        self.damage: list[str] = []
        self.region_bytes = region_bytes
        self.mark = b""
        """What frames of this file begin with: nobody who sends mail knows it, so no mail can hold a frame."""
        self._path = path
        self._most = max(LEAST_REGIONS, most_regions)
        self._sync = sync
        self._late = late
        self._fd = -1
        self._current: Region | None = None
        self._cannot_extend = False
        self._shape = threading.Lock()  # held while regions are added, or the file is another one

    # --- opening ----------------------------------------------------------------------------------
    def open(self) -> bool:
        """Open, or make anew; whether it was there. Raises `SpoolError` when what is there is no journal."""
        found = self._path.exists()
        if not found:
            self._create()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        size, mark = _read_head(self._fd, self._path)
        self.region_bytes = size
        self.mark = mark
        count, rest = divmod(os.fstat(self._fd).st_size - _FILE_BYTES, size)
        if rest:
            self._complete(count, rest)
            count += 1
        self.regions = [self._map(index) for index in range(count)]
        return found

    def _complete(self, count: int, rest: int) -> None:
        """The last part has ``rest`` bytes only. The process died while it wrote that part's zeros, or somebody has
        cut the file, and with it what was accepted last, maybe; what is left is read as ever."""
        at = _FILE_BYTES + count * self.region_bytes
        if os.pread(self._fd, rest, at).strip(b"\0"):
            self.damage.append(
                f"{self._path}: it was cut: {self.region_bytes - rest} bytes are missing at its end, and accepted "
                f"mail may have stood there; the {at + rest} before them are kept"
            )
        self._zero(at + rest, at + self.region_bytes)

    def _zero(self, at: int, end: int) -> None:
        while at < end:
            at += os.pwrite(self._fd, _ZEROS[: end - at], at)
        os.fsync(self._fd)

    def close(self) -> None:
        """Close; what was mapped goes when nobody looks at it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.regions = []
        self._current = None

    def remake(self, region_bytes: int) -> None:
        """Begin a new file with regions of another size; nothing in the old one is wanted any more."""
        with self._shape:
            self.close()
            self.region_bytes = region_bytes
            self._create()
            self.open()
            self._cannot_extend = False

    def _create(self) -> None:
        path = self._path.with_name(self._path.name + ".new")
        self.mark = os.urandom(8)
        content = self.head()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(path, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _map(self, index: int) -> Region:
        # A map begins at a page, and so does a region: _FILE_BYTES and the size of a region are whole pages.
        area = mmap.mmap(
            self._fd,
            self.region_bytes,
            flags=mmap.MAP_SHARED,
            prot=mmap.PROT_READ,
            offset=_FILE_BYTES + index * self.region_bytes,
        )
        return Region(index, memoryview(area))

    # --- after a crash ----------------------------------------------------------------------------
    def replay(self, applied: int) -> Iterator[tuple[Region, int, list[Change]]]:
        """All frames after number ``applied``, in order: region, number, and changes with places in it. Then
        appending goes on in the region after the last one. ``damage`` says what could not be read."""
        found = [(region, self._frames(region, applied)) for region in self.regions]
        found.sort(key=lambda one: one[1][0][0] if one[1] else 0)
        self.regions = [region for region, _ in found]
        last = 0
        for region, frames in found:
            for number, changes in frames:
                if number > applied:
                    if last and number != last + 1:
                        self.damage.append(f"{self._path}: changes {last + 1} to {number - 1} are missing")
                    last = number
                    yield region, number, changes
            if frames:
                self._current = region
        if self._current is not None:
            self._current.end = self.region_bytes  # its end may be torn: go on in the next

    def _frames(self, region: Region, applied: int) -> list[tuple[int, list[Change]]]:
        """All frames of a region; of those up to number ``applied`` nobody wants to know the changes."""
        frames: list[tuple[int, list[Change]]] = []
        view, at, last = region.view, 0, 0
        while (start := self._next_frame(region, at)) >= 0:
            number, length, crc, count = _REST.unpack_from(view, start + _START.size)
            end = start + _HEAD + length
            if number <= last or end > len(view) or crc32(view[start + _HEAD : end]) != crc:
                at = start + _SECTOR
                continue
            if frames and start != at:
                self.damage.append(f"{self._path}: {start - at} bytes before change {number} cannot be read")
            frames.append((number, _changes(view, start + _HEAD, count) if number > applied else []))
            last, at = number, _padded(end)
        return frames

    def _next_frame(self, region: Region, at: int) -> int:
        """Where the next readable head begins, from ``at`` on; -1: nowhere."""
        view = region.view
        while at + _HEAD <= len(view):
            magic, check = _START.unpack_from(view, at)
            if magic == self.mark and crc32(view[at + _START.size : at + _HEAD]) == check:
                return at
            at += _SECTOR
        return -1

    # --- appending --------------------------------------------------------------------------------
    def room(self, size: int, spare: int) -> bool:
        """Whether a frame of ``size`` bytes can be appended so that ``spare`` regions are left. Raises
        `SpoolFull` when it never can."""
        self.must_hold(size)
        current = self._current
        fits = current is not None and current.end + size <= self.region_bytes
        if fits:
            return self.ahead() >= spare
        return self._unused() > 0 and self.ahead() > spare

    def must_hold(self, size: int) -> None:
        """Raise `SpoolFull` when a frame of ``size`` bytes can never be appended."""
        if size > self.region_bytes - _SECTOR:
            raise SpoolFull(
                f"{self._path}: {size} bytes are more than a part of it holds; raise spool.journal"
            )

    def ahead(self) -> int:
        """How many regions can be used after the current one, those the file may grow by counted."""
        grow = 0 if self._cannot_extend else self._most - len(self.regions)
        return grow + self._unused()

    def _unused(self) -> int:
        """How many of the oldest are unused. Only the oldest is ever written over, so that what is left after a
        crash is always the latest."""
        count = 0
        for region in self.regions:
            if region is self._current or region.live or region.pins:
                break
            count += 1
        return count

    def turns(self, size: int) -> bool:
        """Whether a frame of ``size`` bytes would be the first of the next region. An empty frame is to be
        appended before it: that is one sector, which is written or is not. A longer one could be torn such that
        of what stood there the middle is gone, and what came before that would count again."""
        current = self._current
        return current is None or current.end + size > self.region_bytes

    def append(self, data: bytes | bytearray) -> tuple[Region, int, int]:
        """Write a frame and make it durable: its region, where it begins there, and an errno. After an error
        nothing is to be appended until `skip`. There must be `room`."""
        region = self._current
        if region is None or region.end + len(data) > self.region_bytes:
            if not self._unused():
                raise RuntimeError("an append without room")
            if self._late:
                self.sync()  # what made the region unused must be on disk before it is written over
            region = self._current = self.regions.pop(0)
            self.regions.append(region)
            region.end = 0
            region.keys = {}
        start = region.end
        at = _FILE_BYTES + region.index * self.region_bytes + start
        error = fsio.append(self._fd, data, at, self._sync or (self._late and not start))
        if not error:
            region.end = _padded(start + len(data))
        return region, start, error

    def skip(self) -> None:
        """Go on in the next region: what the end of this one holds is not known."""
        if self._current is not None:
            self._current.end = self.region_bytes

    def sync(self) -> None:
        """Make durable what was appended without."""
        os.fdatasync(self._fd)

    def in_place(self) -> bool:
        """Whether the file still stands under its name."""
        try:
            state, ours = os.stat(self._path), os.fstat(self._fd)
        except OSError:
            return False
        return (state.st_dev, state.st_ino) == (ours.st_dev, ours.st_ino)

    def used(self) -> list[Region]:
        """The regions that hold what is wanted, oldest first, without the one being written."""
        return [one for one in self.regions if one.live and one is not self._current]

    # --- copying ----------------------------------------------------------------------------------
    def standing(self) -> list[tuple[Region, int]]:
        """The oldest region that holds what is wanted, and all after it: a crash would find nothing that counts in
        others. Each with the bytes of it that are to be copied. On the thread that appends."""
        kept = list(self.regions)
        while kept and not kept[0].live and kept[0] is not self._current:
            kept.pop(0)
        return [(one, one.end if one is self._current else self.region_bytes) for one in kept]

    def head(self) -> bytes:
        """What stands before the regions, in this file and in one that is made of some of them."""
        head = _FILE.pack(_FILE_MAGIC, self.region_bytes, self.mark, 0)[:-4]
        return (head + struct.pack("<I", crc32(head))).ljust(_FILE_BYTES, b"\0")

    # --- growing ----------------------------------------------------------------------------------
    def short(self) -> bool:
        """Whether the file should grow: there is no region to go on in."""
        return len(self.regions) < self._most and (len(self.regions) < 2 or not self._unused())

    def extend(self) -> None:
        """Write one more region."""
        with self._shape:
            index = len(self.regions)
            at = _FILE_BYTES + index * self.region_bytes
            try:
                self._zero(at, at + self.region_bytes)
                self.regions.insert(0, self._map(index))
            except OSError:
                self._cannot_extend = True
                raise
            self._cannot_extend = False

    def stuck(self) -> bool:
        """Whether there will be no more room before the file can grow: nothing is left to be moved or read."""
        others = [one for one in self.regions if one is not self._current]
        return self._cannot_extend and not any(one.live or one.pins for one in others)


def complete_copy(file: int, path: Path) -> None:
    """The last region of a journal that was copied ends where its frames do: write it to its end, by zeros. ``file``
    is ``path``, open for reading and writing. Raises OSError, and `SpoolError` when it is no journal."""
    size, _ = _read_head(file, path)
    at = os.fstat(file).st_size
    end = at + -(at - _FILE_BYTES) % size
    while at < end:
        at += os.pwrite(file, _ZEROS[: end - at], at)


def _read_head(file: int, path: Path) -> tuple[int, bytes]:
    """The size of the regions, and the mark. Raises `SpoolError` when it is no journal of ours."""
    magic, size, mark, check = _FILE.unpack(os.pread(file, _FILE.size, 0).ljust(_FILE.size, b"\0"))
    known = crc32(_FILE.pack(magic, size, mark, 0)[:-4]) == check and size
    if known and magic == _FILE_MAGIC:
        return size, mark
    if known and magic[:6] == _FILE_MAGIC[:6] and magic > _FILE_MAGIC:
        raise SpoolError(
            f"{path}: a newer fastsmtp wrote it, and accepted mail may stand in it; use that one"
        )
    raise SpoolError(
        f"{path}: not a journal we can read, and accepted mail may stand in it; restore it, or set it aside"
    )


def _padded(size: int) -> int:
    return -(-size // _SECTOR) * _SECTOR


def _changes(view: memoryview, at: int, count: int) -> list[Change]:
    changes = []
    for _ in range(count):
        what, table, key_length, length = _CHANGE.unpack_from(view, at)
        at += _CHANGE.size
        key = bytes(view[at : at + key_length])
        at += key_length
        changes.append(Change(table, key, at, at + length if what == _PUT else -1, False))
        at += length
    return changes
