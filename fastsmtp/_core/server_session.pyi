from typing_extensions import disjoint_base

from fastsmtp.mail.reply import Reply

@disjoint_base
class ServerSession:
    """See `fastsmtp.smtp.server_session.ServerSession`."""

    def __init__(self, rules: object, handler: object) -> None: ...
    @property
    def closing(self) -> bool: ...
    @property
    def waiting(self) -> bool:
        """Whether the handler owes an answer."""
    @property
    def in_transaction(self) -> bool:
        """Whether a sender is given or a body is under way."""
    def greeting(self) -> bytes:
        """The banner (RFC 5321 §4.2)."""
    def say_goodbye(self, last: Reply) -> bytes:
        """End the session with ``last``, such as 421; what to write."""
    def end(self) -> None:
        """The connection is gone: a transaction under way is over, unless its reply is already owed."""
