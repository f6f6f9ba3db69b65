"""The shards of the spool on their way into a backup: from workers that have them open, else from their files."""

import asyncio
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fastsmtp.control.client import ControlError, NotThere, ask
from fastsmtp.control.copying import VERB, CopyAsked
from fastsmtp.control.office import SETTLE
from fastsmtp.control.place import DIRECTORY, SPARE, reach, shards, slots, socket_path, wanted_shards
from fastsmtp.control.queue import NotPossible
from fastsmtp.process.backup.archive import PIECE, ArchiveWriter
from fastsmtp.process.backup.manifest import DATA
from fastsmtp.process.backup.tree import copy_file, copy_tree
from fastsmtp.process.errors import StartError
from fastsmtp.process.lock import take_lock
from fastsmtp.process.privileges import Identity, acting_as
from fastsmtp.process.settings import Settings
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.copying import PATIENCE, TAKEN, received_journal, received_tree
from fastsmtp.spool.record import FORMAT
from fastsmtp.spool.tables import DATABASES
from fastsmtp.store import StorageError, Store, StoreError

Seen = Callable[[int], object]
"""Is told of octets that were copied."""
OWN = {"journal", "data.mdb", "lock.mdb", "lock", "body", SPARE}
"""What is not simply copied file by file."""
_CONNECT = 40.0
"""Seconds for a worker to come between two commits and begin."""


class _Sending(threading.Thread):
    """One shard, from a worker that has it open. It listens when it is made, as the user of the server."""

    def __init__(self, directory: Path, slot: int, shard: int) -> None:
        super().__init__(daemon=True)
        self.shard = shard
        self.problem: Exception | None = None
        self._slot = socket_path(directory.parent, slot)
        self._name = f"copy-{secrets.token_hex(8)}"
        self._path = directory / self._name
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.fchmod(self._listener.fileno(), 0o600)
        with reach(self._path) as name:
            self._listener.bind(name)
        self._listener.listen(1)
        self._listener.settimeout(_CONNECT)

    def run(self) -> None:
        asked = CopyAsked(self.shard, self._name)
        try:
            asyncio.run(ask(self._slot, VERB, asked, type(None), patience=2 * PATIENCE))
        except (ControlError, NotPossible) as error:
            self.problem = error
            self.close()

    def accept(self) -> socket.socket:
        """The copy. Raises OSError."""
        return self._listener.accept()[0]

    def close(self) -> None:
        """Nobody listens there any more."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was shut down before

    def remove(self) -> None:
        """Nothing is left of it."""
        self._listener.close()
        self._path.unlink(missing_ok=True)


def copy_shards(settings: Settings, identity: Identity | None, archive: ArchiveWriter, seen: Seen) -> int:
    """Put all shards into ``archive``: each as it was at one moment, all of them within moments. How many. Raises
    `StartError`, OSError."""
    data_dir = settings.data_dir
    with acting_as(identity):
        if not shards(data_dir):
            return 0
        held = asyncio.run(_held(data_dir))
    with acting_as(identity):
        numbers, wanted = shards(data_dir), wanted_shards(data_dir)
    if not held:
        _offline(settings, numbers, identity, archive, seen)
        return len(numbers)
    missing = [number for number in wanted if number not in held]
    if missing:
        text = ", ".join(map(str, missing))
        raise StartError(f"no worker has shard {text} open at this moment; try again", os.EX_TEMPFAIL)
    _online(data_dir, held, identity, archive, seen)
    for number in sorted(set(numbers) - set(held)):
        # Nothing is in it but what was set aside for a person.
        copy_tree(
            data_dir / "spool" / str(number), f"{DATA}/spool/{number}", identity, archive, seen, leave=OWN
        )
    return len(held)


async def _held(data_dir: Path) -> dict[int, int]:
    """By shard the worker that has it; as long as some have none, waited for a while."""
    until = time.monotonic() + SETTLE
    while True:
        held: dict[int, int] = {}
        for slot in slots(data_dir):
            try:
                for shard in await ask(socket_path(data_dir, slot), "queue.shards", None, list[int]):
                    held[shard] = slot
            except NotThere:
                continue
            except ControlError as error:
                raise StartError(str(error), os.EX_TEMPFAIL) from None
        if not held or set(held) >= set(wanted_shards(data_dir)) or time.monotonic() > until:
            return held
        await asyncio.sleep(0.1)


def _online(
    data_dir: Path, held: dict[int, int], identity: Identity | None, archive: ArchiveWriter, seen: Seen
) -> None:
    with ExitStack() as stack:
        sending = []
        for shard, slot in sorted(held.items()):
            with acting_as(identity):
                one = _Sending(data_dir / DIRECTORY, slot, shard)
            stack.callback(one.remove)
            stack.callback(one.close)
            sending.append(one)
        # All begin at once: what goes from one shard to another, such as a bounce, does so between moments.
        for one in sending:
            one.start()
        taken = []
        for one in sending:
            try:
                taken.append(stack.enter_context(one.accept()))
            except OSError:
                one.join(1.0)
                raise _given_up(one) from None
        for one, sock in zip(sending, taken, strict=True):
            _take(data_dir / "spool" / str(one.shard), sock, identity, archive, seen)
            one.join()
            if one.problem is not None:
                raise _given_up(one)


def _given_up(one: _Sending) -> StartError:
    why = one.problem or "the worker did not begin"
    return StartError(f"shard {one.shard} was not copied: {why}; try again", os.EX_TEMPFAIL)


def _take(
    place: Path, sock: socket.socket, identity: Identity | None, archive: ArchiveWriter, seen: Seen
) -> None:
    """One shard, from the worker at the other end of ``sock``."""
    base = f"{DATA}/spool/{place.name}"
    sock.settimeout(PATIENCE)
    try:
        for name, pieces in (("journal", received_journal(sock)), ("data.mdb", received_tree(sock))):
            with archive.file(f"{base}/{name}") as out:
                for piece in pieces:
                    out.write(piece)
                    seen(len(piece))
        _rest(place, base, identity, archive, seen)
        sock.sendall(TAKEN)
    except SpoolError as error:
        raise StartError(f"{place}: {error}; try again", os.EX_TEMPFAIL) from None


def _rest(place: Path, base: str, identity: Identity | None, archive: ArchiveWriter, seen: Seen) -> None:
    """The body files, and the small ones."""
    copy_tree(place / "body", f"{base}/body", identity, archive, seen)
    copy_tree(place, base, identity, archive, seen, leave=OWN)


def _offline(
    settings: Settings, numbers: list[int], identity: Identity | None, archive: ArchiveWriter, seen: Seen
) -> None:
    with acting_as(identity):
        lock = take_lock(settings.data_dir)
    try:
        for number in numbers:
            place = settings.data_dir / "spool" / str(number)
            base = f"{DATA}/spool/{number}"
            with _tree(place, settings.spool.map_size, identity) as (store, txn):
                with archive.file(f"{base}/data.mdb") as out:
                    for piece in piped(lambda fd, store=store, txn=txn: store.copy(txn, fd)):  # type: ignore[misc]
                        out.write(piece)
                        seen(len(piece))
                copy_file(place / "journal", f"{base}/journal", identity, archive, seen)
                _rest(place, base, identity, archive, seen)
    finally:
        os.close(lock)


@contextmanager
def _tree(place: Path, map_size: int, identity: Identity | None) -> Iterator[tuple[Store, object]]:
    store = Store(place, DATABASES, format_number=FORMAT, map_size=map_size)
    try:
        with acting_as(identity):
            store.open()
    except StoreError as error:
        raise StartError(str(error), os.EX_IOERR) from None
    try:
        txn = store.begin_copy(lambda: None)
        try:
            yield store, txn
        finally:
            store.end_copy(txn)
    finally:
        store.close()


def piped(work: Callable[[int], object]) -> Iterator[bytes]:
    """What ``work`` writes into the descriptor it is given. Raises `StartError` when it fails."""
    out, into = os.pipe()
    problem: list[Exception] = []

    def run() -> None:
        try:
            work(into)
        except Exception as error:
            problem.append(error)
        finally:
            os.close(into)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with open(out, "rb", buffering=0) as stream:
        while piece := stream.read(PIECE):
            yield piece
    thread.join()
    if problem:
        if isinstance(problem[0], StorageError):
            raise StartError(f"cannot be copied: {problem[0]}", os.EX_IOERR)
        raise problem[0]
