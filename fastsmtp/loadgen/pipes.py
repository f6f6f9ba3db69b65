"""Values from a forked process to the one that gathers: length-prefixed msgpack through a pipe."""

import os
import struct

import msgspec

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
