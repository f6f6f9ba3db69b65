"""Logging in with a password: who is asked for, whether the password is right, and that neither takes too much.

Whatever a client sends costs at most one hash, by a thread, and there are few threads: see `ThreadPool`. A login that
nobody has costs one as well, so that the time tells nothing.
"""

import functools
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from fastsmtp.accounts.base import (
    PASSWORD,
    SCRAM,
    AccountsError,
    Identity,
    Refused,
    ScramKeys,
    Told,
    Unavailable,
    Verdict,
)
from fastsmtp.accounts.hashing import LONGEST_PASSWORD, HashError, matches
from fastsmtp.accounts.names import canonical_login
from fastsmtp.accounts.proofs import Proofs
from fastsmtp.accounts.scram_keys import decoy
from fastsmtp.pool import ThreadPool
from fastsmtp.sasl.prep import saslprep

UNKNOWN = Refused("no such account")
WRONG = Refused("wrong password")
DISABLED = Refused("the account is disabled")
IMPOSSIBLE = Refused("no password can be so long, empty, or hold NUL")
_BUSY = Unavailable("too many passwords are being checked; accounts.hash has the limits")


def possible(password: bytes) -> bool:
    """Whether it can be anybody's; what is `IMPOSSIBLE` is refused without asking."""
    return 0 < len(password) <= LONGEST_PASSWORD and b"\0" not in password


class Record(Struct, frozen=True, gc=False):
    """What a backend keeps of one account. ``password`` is a hash; see `hashing`."""

    login: str
    password: str
    disabled: bool = False
    senders: tuple[str, ...] = ()
    scram: ScramKeys | None = None

    def __repr__(self) -> str:
        return f"Record({self.login!r})"


class Records(Protocol):
    """Where a backend finds its accounts. ``prepared``: passwords were prepared (RFC 4013) before they were hashed;
    otherwise they count as the bytes that the client sends. ``immediate``: `find` and `decoy` answer from memory;
    otherwise they may take long and are called from threads."""

    prepared: bool
    immediate: bool

    def find(self, login: str) -> Record | None:
        """The account ``login``, which is canonical. Raises `AccountsError`."""

    def decoy(self, login: str) -> Record:
        """For a login that nobody has: what takes as long to compare with as what is stored here. Raises
        `AccountsError`."""


class Passwords:
    """The `Authenticator` of ``records``. ``home`` is the domain of bare logins. ``secret``, of a backend that keeps
    SCRAM's keys, is what keys of unknown logins are made up of."""

    def __init__(
        self, records: Records, pool: ThreadPool, proofs: Proofs, *, home: str = "", secret: bytes = b""
    ) -> None:
        self._records = records
        self._pool = pool
        self._proofs = proofs
        self._home = home
        self._secret = secret

    @property
    def mechanisms(self) -> frozenset[str]:
        """See `Authenticator.mechanisms`."""
        return PASSWORD | SCRAM if self._secret else PASSWORD

    def verify(self, login: str, password: bytes, told: Told) -> Verdict | None:
        """See `Authenticator.verify`."""
        if not possible(password):
            return IMPOSSIBLE
        name = canonical_login(login, self._home)
        if not self._records.immediate:
            return self._later(lambda: self._judge_found(name, password), told)
        try:
            record, stored = self._look(name)
        except AccountsError as error:
            return Unavailable(str(error))
        octets = self._octets(password)  # once for each login, or the time tells who exists
        enabled = None if record is None or record.disabled else record
        if enabled and octets and self._proofs.known(enabled.login, enabled.password, octets):
            return _identity(enabled)
        return self._later(lambda: self._judge(record, stored, octets), told)

    def scram(
        self, login: str, told: Callable[[ScramKeys | Unavailable], None]
    ) -> ScramKeys | Unavailable | None:
        """See `Authenticator.scram`."""
        name = canonical_login(login, self._home)
        try:
            record = None if name is None else self._records.find(name)
            if record is not None and record.scram is not None and not record.disabled:
                return record.scram
            like = self._records.decoy(name or "").scram
        except AccountsError as error:
            return Unavailable(str(error))
        return decoy(self._secret, name or login, like.iterations if like else 4096)

    def vouched(self, login: str, told: Told) -> Verdict | None:
        """See `Authenticator.vouched`."""
        find = functools.partial(self._vouched, canonical_login(login, self._home))
        return find() if self._records.immediate else self._later(find, told)

    def _vouched(self, name: str | None) -> Verdict:
        try:
            record = None if name is None else self._records.find(name)
        except AccountsError as error:
            return Unavailable(str(error))
        if record is None:
            return UNKNOWN
        return DISABLED if record.disabled else _identity(record)

    def _later(self, judge: Callable[[], Verdict], told: Told) -> Verdict | None:
        return None if self._pool.submit(judge, told, Unavailable) else _BUSY

    def _look(self, name: str | None) -> tuple[Record | None, str]:
        """The account, and the hash to compare with, which is another's when there is none."""
        record = None if name is None else self._records.find(name)
        return record, (record or self._records.decoy(name or "")).password

    def _judge_found(self, name: str | None, password: bytes) -> Verdict:
        try:
            record, stored = self._look(name)
        except AccountsError as error:
            return Unavailable(str(error))
        return self._judge(record, stored, self._octets(password))

    def _judge(self, record: Record | None, stored: str, octets: bytes) -> Verdict:
        """From a thread. ``octets``: see `_octets`."""
        try:
            if record is not None and octets and self._proofs.known(record.login, stored, octets):
                right = True
            else:
                right = matches(stored, octets or b"-")
        except HashError as error:
            return Unavailable(str(error)) if record is not None else UNKNOWN
        except MemoryError:
            return Unavailable("out of memory")
        if record is None:
            return UNKNOWN
        if not octets or not right:
            return WRONG
        self._proofs.proven(record.login, stored, octets)
        return DISABLED if record.disabled else _identity(record)

    def _octets(self, password: bytes) -> bytes:
        """``password`` as it was hashed; empty when it can be nobody's."""
        if not self._records.prepared:
            return password
        try:
            return prepared(password)
        except ValueError:
            return b""


def prepared(password: bytes) -> bytes:
    """``password`` in the form that both sides compare (RFC 4616 §2). Raises ValueError, without the password, when
    it cannot be one: not UTF-8, empty, too long, or with characters that RFC 4013 prohibits."""
    if len(password) > LONGEST_PASSWORD:
        raise ValueError(f"a password has at most {LONGEST_PASSWORD} bytes")
    try:
        octets = saslprep(password.decode("utf-8")).encode()
    except UnicodeDecodeError:
        raise ValueError("a password is UTF-8") from None
    if not 0 < len(octets) <= LONGEST_PASSWORD:
        raise ValueError(f"a password has between 1 and {LONGEST_PASSWORD} bytes")
    return octets


def _identity(record: Record) -> Identity:
    return Identity(record.login, record.senders)
