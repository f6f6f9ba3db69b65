"""Values from forked processes to the one that gathers: length-prefixed msgpack through pipes."""

import os
import selectors
import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
_LENGTH = struct.Struct("!I")


def send(pipe: int, value: msgspec.Struct) -> None:
    """Writes one value whole. Raises BrokenPipeError when nobody reads any more."""
    data = msgspec.msgpack.encode(value)
    view = memoryview(_LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(pipe, view) :]


class Inbox:
    """Puts together what arrives from one pipe."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The encoded values that are complete with ``data``."""
        self._held += data
        found = []
        while len(self._held) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._held)[0]
            if len(self._held) < end:
                break
            found.append(self._held[_LENGTH.size : end])
            self._held = self._held[end:]
        return found


def fork(work: Callable[[int], None], unwanted: Iterable[int]) -> tuple[int, int]:
    """Forks a process that calls ``work`` with the writing end of a pipe and ends, with 1 when that failed;
    ``unwanted`` are descriptors it closes first. Returns the pipe's reading end and the process's id."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            for descriptor in (reading, *unwanted):
                os.close(descriptor)
            work(writing)
            status = 0
        except OSError:
            pass  # nobody reads any more: the parent is gone
        finally:
            os._exit(status)
    os.close(writing)
    return reading, pid


def gather(pipes: Iterable[int], kind: type[T], watch: Callable[[list[T]], None]) -> list[T]:
    """Reads ``pipes`` until the last has ended, and closes them; returns the latest value of each, which is an
    empty ``kind`` where nothing came. ``watch`` is called with the same whenever something came."""
    latest = {pipe: kind() for pipe in pipes}
    inboxes = {pipe: Inbox() for pipe in latest}
    with selectors.DefaultSelector() as selector:
        for pipe in latest:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                for encoded in inboxes[key.fd].feed(data):
                    latest[key.fd] = msgspec.msgpack.decode(encoded, type=kind)
            watch(list(latest.values()))
    return list(latest.values())
