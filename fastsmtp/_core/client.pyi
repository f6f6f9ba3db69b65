from typing_extensions import disjoint_base

@disjoint_base
class ClientProtocol:
    """See `fastsmtp.smtp.client.ClientProtocol`."""

    def __init__(self, hello: bytes, *, pipelining: bool = False, chunking: bool = False) -> None: ...
    @property
    def event(self) -> int: ...
    @property
    def refusals(self) -> list[tuple[str, bytes]]: ...
    @property
    def stage(self) -> str:
        """What the session waits for."""

    def receive(self, data: bytes | bytearray | memoryview, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""

    def send(self, mail: bytes, rcpts: tuple[bytes, ...], body: bytes) -> bytes:
        """Begin a message; what to write."""

    def quit(self) -> bytes:
        """Say goodbye; what to write."""

    def end(self) -> None:
        """The connection is gone."""
