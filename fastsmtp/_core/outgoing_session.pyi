from typing_extensions import disjoint_base

from fastsmtp.smtp.outgoing_values import Mechanism, Offer, Outcome

@disjoint_base
class OutgoingSession:
    """See `fastsmtp.smtp.outgoing_session.OutgoingSession`."""

    def __init__(self, hello: bytes, *, lmtp: bool, encrypted: bool) -> None: ...
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

    def worked(self, response: bytes) -> bytes:
        """What was asked for is done; what to write."""

    def quit(self) -> bytes:
        """Say goodbye; what to write."""
