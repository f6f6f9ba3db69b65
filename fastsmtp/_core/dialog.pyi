from _typeshed import ReadableBuffer
from typing_extensions import disjoint_base

from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.handler import Challenge

@disjoint_base
class ServerProtocol:
    """One session: see fastsmtp.smtp.server, its twin."""

    def __init__(self, rules: object, handler: object) -> None: ...
    @property
    def closing(self) -> bool: ...
    @property
    def full(self) -> bool: ...
    @property
    def left(self) -> bool: ...
    @property
    def upgrading(self) -> bool: ...
    @property
    def waiting(self) -> bool:
        """Whether the handler owes an answer."""
    @property
    def in_transaction(self) -> bool:
        """Whether a sender is given or a body is under way."""
    @property
    def holding(self) -> bool:
        """Whether input is kept that is not used yet."""
    def greeting(self) -> bytes:
        """The banner (RFC 5321 §4.2)."""
    def receive(self, data: ReadableBuffer, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
    def proceed(self) -> bytes:
        """The replies have left: go on with the input that is kept; what to write."""
    def resume(self, answer: Reply | Challenge | None) -> bytes:
        """The answer to the event that gave `PENDING`; what to write. One that comes too late is nobody's."""
    def say_goodbye(self, last: Reply) -> bytes:
        """End the session with ``last``, such as 421; what to write."""
    def end(self) -> None:
        """The connection is gone: a transaction under way is over, unless its reply is already owed."""
