"""The directory of users as the rest of the server sees it."""

from typing import Protocol

from msgspec import Struct


class Account(Struct, frozen=True, gc=False):
    """Someone who receives mail: ``mailbox`` is the canonical ``user@domain``, lower case, the domain as
    A-labels."""

    mailbox: str


class Directory(Protocol):
    """Knows the local domains and who has an account in them. Answers from memory, without waiting."""

    def local_domain(self, domain: str) -> bool:
        """Whether mail for ``domain`` ends here; compared without regard to case, in U- or A-labels
        (RFC 5890 §2.3.2.1)."""

    def lookup(self, local: str, domain: str) -> Account | None:
        """The account that receives mail for ``local@domain``, or None. An empty ``domain`` is that of the
        bare ``<postmaster>`` (RFC 5321 §4.5.1); for every other local part it finds nothing."""
