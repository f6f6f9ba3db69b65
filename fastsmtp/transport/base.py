"""What a transport is given; it gives back results (mail/result.py)."""

from collections.abc import Sequence
from typing import Protocol

from fastsmtp.mail.envelope import Envelope


class Letter(Protocol):
    """One message to carry: ``length`` bytes at ``offset`` of the value it came with, or, when ``filed``, a file
    of that length named by its queue id, which others may still read when ``shared``. ``pending``: the numbers of the
    recipients to be served, None for all."""

    @property
    def envelope(self) -> Envelope:
        """Who gets it."""

    @property
    def offset(self) -> int:
        """Bytes."""

    @property
    def length(self) -> int:
        """Bytes."""

    @property
    def filed(self) -> bool:
        """Whether the content is a file."""

    @property
    def shared(self) -> bool:
        """Whether the file must stay as it is: it is copied, never linked into a mailbox."""

    @property
    def pending(self) -> Sequence[int] | None:
        """Recipients by number."""
