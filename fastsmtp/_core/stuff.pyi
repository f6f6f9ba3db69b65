from _typeshed import ReadableBuffer
from typing_extensions import disjoint_base

def is_ascii(data: ReadableBuffer) -> bool:
    """Whether all octets of ``data`` are below 128."""

@disjoint_base
class BodyWriter:
    """See `fastsmtp.smtp.outgoing_body.BodyWriter`."""

    def __init__(self, stuff: bool = True, *, convert: bool = False, seven: bool = False) -> None: ...
    @property
    def fault(self) -> int: ...
    @property
    def size(self) -> int: ...
    def write(self, piece: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """What to send for ``piece``; it may be ``piece`` itself."""

    def finish(self) -> bytes:
        """What ends the body."""
