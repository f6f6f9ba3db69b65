"""Makes a segment's index from its octets, piece by piece while it grows and once more when it no longer does.

Whoever does this holds the segment's lock.
"""

import os
from pathlib import Path

from fastsmtp._core import ledger
from fastsmtp.ledger.format import INDEX
from fastsmtp.ledger.hold import Held
from fastsmtp.ledger.index import Damaged, encode_run, end_of, entries_of, read_runs

RUN = 1 << 20
"""Octets that wait for their run, at most: so much is read without an index."""
_PIECE = 16 << 20


class Indexer:
    """The index of a segment. Every method may raise OSError, and can then be called again."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._path = held.path.with_suffix(INDEX)
        self._fd: int | None = None
        self._indexed = 0
        self._end = 0

    def catch_up(self) -> None:
        """Index what has been written, unless it is less than a `RUN`."""
        if self._held.size - self._indexed < RUN and self._there():
            return
        self._open()
        while self._held.size - self._indexed >= RUN:
            data = self._read(self._indexed, self._held.size)
            if not data:
                return
            end = self._indexed + len(data)
            run = encode_run(self._indexed, end, ledger.entries(data, self._indexed))
            self._append(run)
            self._indexed = end

    def finish(self) -> None:
        """The segment grows no more: make its index one run."""
        self._open()
        assert self._fd is not None
        runs = read_runs(self._fd)
        try:
            parts = [entries_of(self._fd, runs)]
            at, _ = end_of(runs)
        except Damaged:
            parts, at = [], 0
        write_whole(self._held, self._path, parts, at, last=True)

    def close(self) -> None:
        """Let go of the index."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _there(self) -> bool:
        return self._fd is not None and os.fstat(self._fd).st_nlink > 0

    def _open(self) -> None:
        """Open the index and go on where it ends; what is torn, or is of another segment, goes."""
        if self._there():
            return
        self.close()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._indexed, self._end = end_of(read_runs(self._fd))
        if self._indexed > self._held.size:
            self._indexed = self._end = 0
        os.ftruncate(self._fd, self._end)

    def _read(self, begin: int, end: int) -> bytes:
        data = os.pread(self._held.fd, min(_PIECE, end - begin), begin)
        return data[: data.rfind(b"\n") + 1]

    def _append(self, run: bytes) -> None:
        assert self._fd is not None
        try:
            if os.pwrite(self._fd, run, self._end) != len(run):
                os.pwrite(self._fd, run, self._end)  # raises the reason
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(run)


def write_whole(held: Held, path: Path, parts: list[bytes], at: int, *, last: bool) -> None:
    """Write the index at ``path`` anew, as one run: of the entries in ``parts``, and of what the segment holds from
    ``at`` on; ``last`` when the segment grows no more. Raises OSError."""
    parts = list(parts)
    while data := os.pread(held.fd, min(_PIECE, held.size - at), at):
        data = data[: data.rfind(b"\n") + 1]
        if not data:
            break
        parts.append(ledger.entries(data, at))
        at += len(data)
    run = encode_run(0, at, ledger.merge(b"".join(parts)), last=last)
    made = path.with_name(path.name + ".new")
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while run:
            run = run[os.write(fd, run) :]
    except OSError:
        made.unlink()
        raise
    finally:
        os.close(fd)
    os.rename(made, path)
