from collections.abc import Mapping, Sequence

from typing_extensions import disjoint_base

from fastsmtp._core.outgoing_session import OutgoingSession
from fastsmtp.smtp.outgoing_plan import Recipient

@disjoint_base
class OutgoingProtocol(OutgoingSession):
    """See `fastsmtp.smtp.outgoing.OutgoingProtocol`."""

    def __init__(
        self,
        hello: bytes,
        *,
        lmtp: bool = False,
        encrypted: bool = False,
        convert: bool = False,
        early_chunk: int = 32768,
    ) -> None: ...
    @property
    def spent(self) -> bool:
        """Whether the server takes no further transaction over this connection."""

    def begin(
        self,
        sender: str,
        recipients: Sequence[Recipient],
        params: Mapping[str, str] | None,
        size: int,
        body: bytes | bytearray | memoryview | None = None,
    ) -> bytes:
        """Begin a transaction; what to write."""

    def probe(self, recipients: Sequence[Recipient]) -> bytes:
        """Ask whether the server takes mail for ``recipients``, and send none; what to write."""

    def body(
        self, piece: bytes | bytearray | memoryview, last: bool = False
    ) -> list[bytes | bytearray | memoryview]:
        """Hand in the next ``piece`` of the body; what to write, in order."""

    def abandon(self, why: str, enhanced: str = "4.3.0") -> None:
        """The rest of the body cannot be had: the session is over."""
