"""Who has an account here, and who may log in to one, as the rest of the server sees it.

`Directory` answers from memory, or from a map of memory, at once: whose mail is ours, and who may send as whom.
`Authenticator` proves who somebody is, which takes time: a password is hashed, a database asked.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

PASSWORD = frozenset({"PLAIN", "LOGIN"})
"""Mechanisms (RFC 4422) that `Authenticator.verify` serves: the password itself is shown."""
SCRAM = frozenset({"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"})
"""Mechanisms that `Authenticator.scram` serves (RFC 5802, RFC 7677)."""


class Account(Struct, frozen=True, gc=False):
    """Someone who receives mail: ``mailbox`` is the canonical ``user@domain``, lower case, the domain as
    A-labels."""

    mailbox: str


class Identity(Struct, frozen=True, gc=False):
    """Who has logged in: ``login`` is the canonical ``user@domain`` of the account, see `names.canonical_login`.
    ``senders`` are further addresses (``user@domain``, ``@domain`` for all of one, ``*`` for any) that the backend
    named with the account, and that the directory does not know of; canonical."""

    login: str
    senders: tuple[str, ...] = ()


class Refused(Struct, frozen=True, gc=False):
    """Not who they say they are. ``reason`` is for the log alone: a client is told the same whatever it is."""

    reason: str


class Unavailable(Struct, frozen=True, gc=False):
    """It cannot be told now (454 4.7.0, RFC 4954 §6). ``reason`` is for the log alone."""

    reason: str


Verdict = Identity | Refused | Unavailable
Told = Callable[[Verdict], None]


class ScramKeys(Struct, frozen=True, gc=False):
    """What a server keeps of a password for SCRAM-SHA-256 (RFC 5802 §3). ``identity`` is None for keys that are made
    up, so that nobody can tell which logins exist: go on as with true ones, and refuse whatever the proof."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes
    identity: Identity | None

    def __repr__(self) -> str:
        return f"ScramKeys(iterations={self.iterations}, identity={self.identity!r})"


class Authenticator(Protocol):
    """Proves who somebody is. No method waits, and none raises, whatever a client sends: an answer that takes time is
    None, and comes by ``told`` later, once, on the loop's thread; whoever has gone away ignores it then.

    ``login`` is what the client sent, not yet canonical; it may be anything.
    """

    @property
    def mechanisms(self) -> frozenset[str]:
        """Names of SASL mechanisms that it can serve, of `PASSWORD` and `SCRAM`; empty: nobody can log in. Does not
        change."""

    def verify(self, login: str, password: bytes, told: Told) -> Verdict | None:
        """Whether ``password`` is that of ``login``. A login that nobody has takes as long as a wrong password."""

    def scram(
        self, login: str, told: Callable[[ScramKeys | Unavailable], None]
    ) -> ScramKeys | Unavailable | None:
        """The keys of ``login``; for one that nobody has, made up ones, always the same."""

    def vouched(self, login: str, told: Told) -> Verdict | None:
        """Who ``login`` is when somebody else, such as the issuer of a token, has proven it: refused when nobody has
        that login, or when it is disabled."""


class AccountsError(Exception):
    """The backend cannot answer now; the text says why, in one line for the log."""


class Names(Protocol):
    """What a backend knows of who exists, beside what stands in the settings; all names are canonical. Answers at
    once. Raises `AccountsError` when storage fails: to say that nobody is here would bounce mail."""

    @property
    def version(self) -> int:
        """Changes whenever an answer may have changed."""

    @property
    def first_domain(self) -> str:
        """The domain of the bare ``<postmaster>`` where the settings name none; empty: there is none."""

    @property
    def international(self) -> bool:
        """Whether a domain with ``xn--`` is among those here."""

    def has_domain(self, domain: str) -> bool:
        """Whether mail for ``domain`` ends here."""

    def has_user(self, local: str, domain: str) -> bool:
        """Whether ``local@domain`` is an account."""

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """What ``local@domain`` stands for, in the form of the ``[aliases]`` table; an empty ``local`` is the
        catch-all ``@domain``."""

    def quota(self, mailbox: str) -> int:
        """How many octets ``mailbox`` may hold, 0: as many as come."""

    def senders(self, login: str) -> Sequence[str]:
        """Further addresses that ``login`` may send as; see `Identity.senders`."""

    def disabled(self, login: str) -> bool:
        """Whether ``login`` may not log in, nor send any more where it is logged in; so it is with one that has been
        removed, where the backend can tell."""


class Directory(Protocol):
    """Knows the local domains and who has an account in them. Answers from memory, without waiting."""

    @property
    def version(self) -> int:
        """Changes whenever an answer may have changed; what was derived from one is good as long as it does not."""

    @property
    def first_domain(self) -> str:
        """The domain of the bare ``<postmaster>``, canonical; empty: there is none."""

    @property
    def international(self) -> bool:
        """Whether a local domain has labels beyond ASCII."""

    def local_domain(self, domain: str) -> bool:
        """Whether mail for ``domain`` ends here; compared without regard to case, in U- or A-labels
        (RFC 5890 §2.3.2.1)."""

    def lookup(self, local: str, domain: str) -> Account | None:
        """The account that receives mail for ``local@domain``, or None. An empty ``domain`` is that of the
        bare ``<postmaster>`` (RFC 5321 §4.5.1); for every other local part it finds nothing."""

    def alias(self, local: str, domain: str) -> Sequence[str] | None:
        """See `Names.alias`."""

    def quota(self, mailbox: str) -> int:
        """See `Names.quota`."""

    def may_send(self, identity: Identity, local: str, domain: str) -> bool:
        """Whether ``identity`` may send as ``local@domain``: its own address, with a tag or without, or one that the
        backend lists as its. What aliases lead to is asked of the router, which knows them all."""

    def disabled(self, login: str) -> bool:
        """See `Names.disabled`."""
