from collections.abc import Mapping, Sequence

from typing_extensions import disjoint_base

from fastsmtp.smtp.outgoing_plan import Recipient
from fastsmtp.smtp.outgoing_values import Mechanism, Offer, Outcome

@disjoint_base
class OutgoingProtocol:
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
    def event(self) -> int: ...
    @property
    def open(self) -> bool: ...
    @property
    def offer(self) -> Offer: ...
    @property
    def outcomes(self) -> list[Outcome | None]: ...
    @property
    def refusal(self) -> Outcome | None: ...
    @property
    def trouble(self) -> Outcome | None: ...
    @property
    def stage(self) -> str:
        """What the session waits for."""

    @property
    def spent(self) -> bool:
        """Whether the server takes no further transaction over this connection."""

    def receive(self, data: bytes | bytearray | memoryview, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""

    def end(self, why: str = "connection closed", enhanced: str = "4.4.2") -> None:
        """The connection is gone, or is given up."""

    def starttls(self) -> bytes:
        """Ask for TLS; what to write."""

    def tls_done(self) -> bytes:
        """The handshake has succeeded; what to write."""

    def auth(self, mechanism: Mechanism) -> bytes:
        """Authenticate; what to write."""

    def begin(
        self,
        sender: str,
        recipients: Sequence[Recipient],
        params: Mapping[str, str] | None,
        size: int,
        body: bytes | bytearray | memoryview | None = None,
    ) -> bytes:
        """Begin a transaction; what to write."""

    def body(
        self, piece: bytes | bytearray | memoryview, last: bool = False
    ) -> list[bytes | bytearray | memoryview]:
        """Hand in the next ``piece`` of the body; what to write, in order."""

    def abandon(self, why: str, enhanced: str = "4.3.0") -> None:
        """The rest of the body cannot be had: the session is over."""

    def quit(self) -> bytes:
        """Say goodbye; what to write."""
