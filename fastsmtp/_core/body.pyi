from _typeshed import ReadableBuffer
from typing_extensions import disjoint_base

@disjoint_base
class DotReader:
    """Reads up to CRLF.CRLF, removing the dot that stuffs a line: see fastsmtp.smtp.framing."""

    def __init__(self, limit: int) -> None: ...
    @property
    def ended(self) -> bool: ...
    @property
    def fault(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def size(self) -> int: ...
    def feed(self, data: ReadableBuffer) -> tuple[bytes, int]:
        """The body bytes found in ``data`` and how much of it was used."""

@disjoint_base
class ChunkReader:
    """Reads the chunks of one message: see fastsmtp.smtp.framing."""

    def __init__(self, limit: int, binary: bool) -> None: ...
    @property
    def ended(self) -> bool: ...
    @property
    def fault(self) -> int: ...
    @property
    def left(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def size(self) -> int: ...
    def begin(self, octets: int) -> int:
        """A chunk of ``octets`` follows."""
    def feed(self, data: ReadableBuffer) -> tuple[bytes, int]:
        """The body bytes found in ``data`` and how much of it was used."""
    def finish(self) -> int:
        """The last chunk is complete: a CR still waiting for its LF is a fault."""
