"""What every directory of users promises."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from fastsmtp.accounts.base import Directory, Identity
from fastsmtp.accounts.static import StaticDirectory


class Names(NamedTuple):
    domains: tuple[str, ...] = ("example.org", "bücher.example")
    users: tuple[str, ...] = ("alice", "Bob", "carol@bücher.example", "dave+work")
    unknown_users: str = "reject"
    postmaster: str = "alice"


Make = Callable[[Names], Directory]


@pytest.fixture(params=[StaticDirectory])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def mailbox(directory: Directory, local: str, domain: str) -> str | None:
    account = directory.lookup(local, domain)
    return account.mailbox if account else None


@pytest.mark.parametrize(
    ("domain", "local"),
    [
        ("example.org", True),
        ("EXAMPLE.org", True),
        ("bücher.example", True),
        ("BÜCHER.example", True),
        ("xn--bcher-kva.example", True),
        ("example.com", False),
        ("sub.example.org", False),
        ("", False),
        ("[127.0.0.1]", False),
        ("ü..x", False),
    ],
)
def test_local_domains(make: Make, domain: str, local: bool) -> None:
    assert make(Names()).local_domain(domain) is local


@pytest.mark.parametrize(
    ("local", "domain", "found"),
    [
        ("alice", "example.org", "alice@example.org"),
        ("ALICE", "Example.Org", "alice@example.org"),
        ("alice", "xn--bcher-kva.example", "alice@xn--bcher-kva.example"),
        ("bob", "example.org", "bob@example.org"),
        ("alice+lists", "example.org", "alice@example.org"),
        ("alice+", "example.org", "alice@example.org"),
        ("Alice+A+B", "example.org", "alice@example.org"),
        ("dave+work", "example.org", "dave+work@example.org"),
        ("dave", "example.org", None),
        ("dave+play", "example.org", None),
        ("+alice", "example.org", None),
        ("carol", "bücher.example", "carol@xn--bcher-kva.example"),
        ("carol", "example.org", None),
        ("nobody", "example.org", None),
        ("alice", "example.com", None),
        ("alice", "", None),
        ("", "example.org", None),
        ("al ice", "example.org", None),
    ],
)
def test_lookup(make: Make, local: str, domain: str, found: str | None) -> None:
    assert mailbox(make(Names()), local, domain) == found


@pytest.mark.parametrize(
    ("postmaster", "at_first", "at_second"),
    [
        ("alice", "alice@example.org", "alice@xn--bcher-kva.example"),
        ("Carol@BÜCHER.example", "carol@xn--bcher-kva.example", "carol@xn--bcher-kva.example"),
        ("postmaster", "postmaster@example.org", "postmaster@xn--bcher-kva.example"),
    ],
)
def test_postmaster_is_always_there(make: Make, postmaster: str, at_first: str, at_second: str) -> None:
    for rule in ("reject", "create"):
        directory = make(Names(postmaster=postmaster, unknown_users=rule))
        assert mailbox(directory, "PostMaster", "example.org") == at_first
        assert mailbox(directory, "postmaster+dmarc", "example.org") == at_first
        assert mailbox(directory, "postmaster", "bücher.example") == at_second
        assert mailbox(directory, "Postmaster", "") == at_first
        assert mailbox(directory, "postmaster", "example.com") is None


def test_create_makes_everybody_a_user(make: Make) -> None:
    directory = make(Names(users=(), unknown_users="create"))
    assert mailbox(directory, "Who+Ever", "example.org") == "who@example.org"
    assert mailbox(directory, "+x", "example.org") == "+x@example.org"
    assert mailbox(directory, "a b/..", "example.org") == "a b/..@example.org"
    assert mailbox(directory, "", "example.org") is None
    assert mailbox(directory, "who", "example.com") is None


def test_names_beyond_ascii_where_no_domain_is(make: Make) -> None:
    directory = make(Names(domains=("example.org",), users=("alice",)))
    assert not directory.local_domain("bücher.example")
    assert mailbox(directory, "postmaster", "ü") is None
    assert mailbox(directory, "alice", "ü.example.org") is None


@pytest.mark.parametrize(
    ("local", "domain", "allowed"),
    [
        ("alice", "example.org", True),
        ("ALICE", "Example.Org.", True),
        ("alice+shop", "example.org", True),
        ("bob", "example.org", False),
        ("alice", "xn--bcher-kva.example", False),
        ("postmaster", "example.org", True),  # whose mail alice gets
        ("sales", "far.test", True),
        ("sales", "FAR.test", True),
        ("sales+x", "far.test", False),
        ("whoever", "near.test", True),
        ("x", "sub.near.test", False),
        ("alice%example.org", "far.test", False),
        ("alice@example.org", "far.test", False),
        ("", "example.org", False),
        ("", "near.test", False),
        ("alice", "", False),
        ("", "", False),
    ],
)
def test_who_may_send_as_whom(make: Make, local: str, domain: str, allowed: bool) -> None:
    alice = Identity("alice@example.org", ("sales@far.test", "@near.test"))
    assert make(Names()).may_send(alice, local, domain) is allowed


def test_a_user_whose_name_has_a_tag_is_somebody_else(make: Make) -> None:
    directory = make(Names(users=("dave", "dave+work")))
    assert not directory.may_send(Identity("dave@example.org"), "dave+work", "example.org")
    assert directory.may_send(Identity("dave+work@example.org"), "dave+work", "example.org")
    assert directory.may_send(Identity("dave@example.org"), "dave+play", "example.org")


def test_whose_mail_ends_elsewhere_sends_as_itself(make: Make) -> None:
    directory = make(Names())
    assert directory.may_send(Identity("eve@far.test"), "Eve+x", "far.test")
    assert not directory.may_send(Identity("eve@far.test"), "alice", "example.org")
    assert not directory.may_send(Identity("eve@far.test"), "adam", "far.test")


def test_whoever_may_send_as_anybody(make: Make) -> None:
    directory = make(Names())
    assert directory.may_send(Identity("eve@far.test", ("*",)), "alice", "example.org")
    assert not directory.may_send(Identity("eve@far.test", ("*",)), "", "")
