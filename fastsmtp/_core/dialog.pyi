from typing import final

from _typeshed import ReadableBuffer

from fastsmtp._core.server_session import ServerSession
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.handler import Challenge

@final
class ServerProtocol(ServerSession):
    """One session: see fastsmtp.smtp.server, its twin."""

    @property
    def full(self) -> bool: ...
    @property
    def left(self) -> bool: ...
    @property
    def upgrading(self) -> bool: ...
    @property
    def holding(self) -> bool:
        """Whether input is kept that is not used yet."""
    def receive(self, data: ReadableBuffer, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
    def proceed(self) -> bytes:
        """The replies have left: go on with the input that is kept; what to write."""
    def resume(self, answer: Reply | Challenge | None) -> bytes:
        """The answer to the event that gave `PENDING`; what to write. One that comes too late is nobody's."""
