"""A passwd-file, as Dovecot reads it too: ``login:{SCHEME}hash:…``, one account a line.

Of the fields behind the password only ``nologin``, among the extra ones at the end, means anything here. The file is
looked at once a second, by its metadata alone, and read again when it has changed and was still for one look; what
cannot be read leaves everything as it was.
"""

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.hashing import Cost, decoy_hash
from fastsmtp.accounts.names import canonical_login
from fastsmtp.accounts.passwords import Record
from fastsmtp.accounts.snapshot import SnapshotNames
from fastsmtp.config.signature import signature
from fastsmtp.pool import ThreadPool

_EXTRA = 7  # user:password:uid:gid:gecos:home:shell:extra
_NOLOGIN = ("nologin", "nologin=yes", "nologin=y", "nologin=1")
_MOST_TOLD = 10
_LARGEST = 256 << 20


class Content(NamedTuple):
    """A file as it was read: accounts by login, and what is wrong with its lines."""

    records: dict[str, Record]
    problems: list[str]


def read(file: Path, home: str) -> Content:
    """The accounts of ``file``; bare logins belong to ``home``. No problem's text shows a password. Raises
    `AccountsError` when there is no reading it."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST)
    except OSError as error:
        raise AccountsError(f"{file}: {error.strerror}") from None
    records: dict[str, Record] = {}
    problems = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            login, stored, *more = line.decode("utf-8").removesuffix("\r").split(":", _EXTRA)
        except ValueError:  # UnicodeDecodeError is one
            problems.append(f"{file}:{number}: expected login:{{SCHEME}}hash in UTF-8")
            continue
        name = canonical_login(login, home)
        if name is None:
            bare = "" if home or "@" in login else "; accounts.login_domain is where bare names belong"
            problems.append(f"{file}:{number}: this login is no user@domain{bare}")
        elif name in records:
            problems.append(f"{file}:{number}: this login stands above already")
        elif stored:
            extra = more[_EXTRA - 2].split() if len(more) >= _EXTRA - 1 else []
            records[name] = Record(name, stored, any(word in _NOLOGIN for word in extra))
    return Content(records, problems)


class PasswdFile:
    """The `Records` of ``file``; `names` has its logins. ``event`` gets a line for what is wrong."""

    prepared = False
    immediate = True

    def __init__(
        self, file: Path, home: str, cost: Cost, pool: ThreadPool, event: Callable[[str], None]
    ) -> None:
        self.names = SnapshotNames(complete=True)
        self._file = file
        self._home = home
        self._pool = pool
        self._event = event
        self._content = Content({}, [])
        self._all: list[Record] = []
        self._nobody = Record("", decoy_hash(cost))
        self._key = secrets.token_bytes(32)
        self._known = self._last = signature(self._file)
        self._reading = False

    def start(self) -> None:
        """Read the file. Raises `AccountsError`."""
        self._known = self._last = signature(self._file)
        self._take(read(self._file, self._home))

    def tick(self) -> None:
        """Look whether the file has changed."""
        now = signature(self._file)
        still, self._last = now == self._last, now
        if now == self._known or not still or self._reading:
            return
        self._reading = self._pool.submit(self._read, self._have_read, AccountsError)
        if self._reading:
            self._known = now

    def find(self, login: str) -> Record | None:
        """See `Records.find`."""
        return self._content.records.get(login)

    def decoy(self, login: str) -> Record:
        """See `Records.decoy`: one of those there are, the same for each login, as their schemes may differ."""
        if not self._all:
            return self._nobody
        digest = hmac.digest(self._key, login.encode("utf-8", "surrogatepass"), "sha256")
        return self._all[int.from_bytes(digest[:8]) % len(self._all)]

    def _read(self) -> Content | AccountsError:
        try:
            return read(self._file, self._home)
        except AccountsError as error:
            return error

    def _have_read(self, found: Content | AccountsError) -> None:
        self._reading = False
        if isinstance(found, AccountsError):
            self._event(f"accounts stay as they were: {found}")
        else:
            self._take(found)
            self._event("accounts were read again")

    def _take(self, content: Content) -> None:
        self._content = content
        self._all = list(content.records.values())
        self.names.replace(content.records, (one.login for one in self._all if one.disabled))
        for problem in content.problems[:_MOST_TOLD]:
            self._event(f"{problem}; it is left out")
