"""What is wrong with the names in the settings. The directory itself: tests/contract/test_directory.py."""

from typing import NamedTuple

import pytest

from fastsmtp.accounts.static import directory_problems


class Names(NamedTuple):
    domains: tuple[str, ...] = ("example.org", "example.net")
    users: tuple[str, ...] = ("alice", "bob@example.org")
    unknown_users: str = "reject"
    postmaster: str = "alice"


@pytest.mark.parametrize(
    "names",
    [
        Names(),
        Names(postmaster="postmaster", users=()),
        Names(postmaster="Alice+x"),
        Names(postmaster="bob@example.org"),
        Names(postmaster="anyone", unknown_users="create"),
        Names(domains=("bücher.example",), users=("x@xn--bcher-kva.example",), postmaster="x"),
        Names(domains=("localhost",), users=(), postmaster="postmaster"),
    ],
)
def test_good(names: Names) -> None:
    assert list(directory_problems(names)) == []


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (
            Names(domains=("example.org", "a b", "example.net")),
            'domains[1]: expected a domain such as "example.org", got "a b"',
        ),
        (
            Names(users=("alice", "")),
            'users[1]: expected a name such as "alice" or "alice@example.org", got ""',
        ),
        (
            Names(users=("alice", "@example.org")),
            'users[1]: expected a name such as "alice" or "alice@example.org", got "@example.org"',
        ),
        (
            Names(users=("alice", "eve@example.com")),
            'users[1]: the domain of "eve@example.com" is not among mailboxes.domains',
        ),
        (
            Names(postmaster="eve@example.com"),
            'postmaster: the domain of "eve@example.com" is not among mailboxes.domains',
        ),
        (
            Names(postmaster="bob"),
            'postmaster: there is no user "bob" in example.net; name one of mailboxes.users',
        ),
        (
            Names(postmaster="eve@example.net"),
            'postmaster: there is no user "eve" in example.net; name one of mailboxes.users',
        ),
    ],
)
def test_bad(names: Names, problem: str) -> None:
    assert list(directory_problems(names)) == [problem]
