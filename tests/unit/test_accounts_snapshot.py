"""Names in memory: temporary trouble before they are read, and a new version only when they differ."""

import pytest

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.snapshot import SnapshotNames, canonical_senders
from fastsmtp.accounts.sql import logins_of, record_of


def test_nothing_can_be_told_before_the_first_reading() -> None:
    names = SnapshotNames()
    with pytest.raises(AccountsError):
        names.has_user("alice", "example.org")
    names.replace([])
    assert not names.has_user("alice", "example.org")


def test_a_version_for_each_difference() -> None:
    names = SnapshotNames()
    names.replace(["alice@example.org"])
    version = names.version
    names.replace(["alice@example.org"])
    assert names.version == version
    names.replace(["alice@example.org"], ["alice@example.org"])
    assert names.version != version
    assert names.has_user("alice", "example.org")
    assert names.disabled("alice@example.org")
    assert not names.has_user("alice", "example.com")
    assert not names.has_domain("example.org")


def test_who_was_removed_sends_no_more_where_all_are_known() -> None:
    for complete in (True, False):
        names = SnapshotNames(complete=complete)
        assert not names.disabled("alice@example.org")
        names.replace(["alice@example.org"])
        assert not names.disabled("alice@example.org")
        names.replace([])
        assert names.disabled("alice@example.org") is complete


@pytest.mark.parametrize(
    ("text", "senders"),
    [
        ("", ()),
        ("Sales@Example.org, @BÜCHER.test *", ("sales@example.org", "@xn--bcher-kva.test", "*")),
    ],
)
def test_senders(text: str, senders: tuple[str, ...]) -> None:
    assert canonical_senders(text) == senders


def test_rows() -> None:
    row = {"password": "$hash$", "disabled": 1, "senders": "@a.test"}
    record = record_of("alice@example.org", row)
    assert (record.password, record.disabled, record.senders) == ("$hash$", True, ("@a.test",))
    record = record_of("alice@example.org", {"password": "$hash$", "disabled": None, "senders": None})
    assert (record.disabled, record.senders) == (False, ())
    for bad in ({}, {"password": None}, {"password": b"x"}, {"hash": "x"}):
        with pytest.raises(AccountsError, match="password"):
            record_of("alice@example.org", bad)


def test_logins() -> None:
    assert logins_of(["Alice@Example.org", "bob", None, 5, "", "\0"], "home.test") == {
        "alice@example.org",
        "bob@home.test",
    }
    assert logins_of(["bob"], "") == set()
