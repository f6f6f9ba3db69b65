"""What backends share that ask somebody else: rows as accounts, logins in their canonical form, and a decoy."""

from collections.abc import Mapping
from typing import Any

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.hashing import Cost, decoy_hash
from fastsmtp.accounts.names import canonical_login
from fastsmtp.accounts.passwords import Record
from fastsmtp.accounts.snapshot import canonical_senders


def record_of(login: str, row: Mapping[str, Any]) -> Record:
    """The account ``login`` of what a query gave: the column ``password``, and ``disabled`` and ``senders`` where
    there are such. Raises `AccountsError`."""
    stored = row.get("password")
    if not isinstance(stored, str):
        raise AccountsError("the query for a login gives no column `password` of text")
    return Record(
        login,
        stored,
        bool(row.get("disabled")),
        tuple(canonical_senders(str(row.get("senders") or ""))),
    )


class Decoys:
    """The `decoy` of backends that hash as we do."""

    def __init__(self, cost: Cost) -> None:
        self._nobody = Record("", decoy_hash(cost))

    def decoy(self, login: str) -> Record:
        """See `Records.decoy`."""
        return self._nobody


def logins_of(values: list[Any], home: str) -> set[str]:
    """The canonical logins among ``values``, of which what is none is left out."""
    found = (canonical_login(value, home) for value in values if isinstance(value, str))
    return {login for login in found if login is not None}
