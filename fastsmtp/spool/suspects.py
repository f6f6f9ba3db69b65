"""What a worker has in hand, in memory that outlives it: the way to find a message that kills its worker."""

import struct

_SIZE = struct.Struct("<I")


class SuspectBoard:
    """The key of the pack or single being written, in a shared-memory ``region`` of `BYTES` bytes that the
    master made before the fork. One worker writes it; its successor, or the sibling that adopts its shard,
    reads it."""

    BYTES = 64

    __slots__ = ("_region",)

    def __init__(self, region: memoryview) -> None:
        if len(region) < self.BYTES:
            raise ValueError(f"a suspect board needs {self.BYTES} bytes")
        self._region = region

    def put(self, key: bytes) -> None:
        """``key`` is in hand. Its length comes last, so that a half-written key is never read."""
        region = self._region
        region[0:4] = b"\0\0\0\0"
        region[4 : 4 + len(key)] = key
        _SIZE.pack_into(region, 0, len(key))

    def clear(self) -> None:
        """Nothing is in hand."""
        self._region[0:4] = b"\0\0\0\0"

    def get(self) -> bytes | None:
        """What was in hand when the writer of the board ended."""
        (size,) = _SIZE.unpack_from(self._region, 0)
        return bytes(self._region[4 : 4 + size]) if 0 < size <= self.BYTES - 4 else None
