"""Two spellings of one address have one canonical form, and nothing a client sends raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.accounts.names import LONGEST_LOGIN, canonical_domain, canonical_local, canonical_login


@pytest.mark.parametrize(
    ("domain", "canonical"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("Bücher.Example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("", ""),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("ü..example", "ü..example"),
        ("ü" + "a" * 70 + ".example", "ü" + "a" * 70 + ".example"),
        ("ü" * 300, "ü" * 300),
        ("a\udcff.example", "a\udcff.example"),
        ("\u200f.example", "\u200f.example"),
    ],
)
def test_domain(domain: str, canonical: str) -> None:
    assert canonical_domain(domain) == canonical


@pytest.mark.parametrize(
    ("local", "canonical"),
    [
        ("Alice", "alice"),
        ("A.b+C", "a.b+c"),
        ("Straße", "strasse"),
        ("E\u0301va", "éva"),
        ("", ""),
        ("\udcff", "\udcff"),
    ],
)
def test_local(local: str, canonical: str) -> None:
    assert canonical_local(local) == canonical


@given(st.text(st.characters(), max_size=300))
def test_nothing_raises_and_canonical_stays_canonical(text: str) -> None:
    domain, local = canonical_domain(text), canonical_local(text)
    assert canonical_domain(domain.swapcase() if domain.isascii() else domain) == domain.removesuffix(".")
    assert canonical_local(local) == local


@pytest.mark.parametrize(
    ("login", "account"),
    [
        ("alice@example.org", "alice@example.org"),
        ("Alice@EXAMPLE.org.", "alice@example.org"),
        ("ALICE", "alice@home.test"),
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("E\u0301va@example.org", "éva@example.org"),
        ("\uff21lice@example.org", "alice@example.org"),  # NFKC, of RFC 4013
        ("a\u00adlice@example.org", "alice@example.org"),  # mapped to nothing
        ("a@b@example.org", "a@b@example.org"),
        ("", None),
        ("@example.org", None),
        ("alice@", None),
        ("alice\0@example.org", None),
        ("alice\n", None),
        ("alice@exa\u0000mple.org", None),
        ("\udcff@example.org", None),
        ("alice@ü..example", None),
        ("a" * LONGEST_LOGIN + "@example.org", None),
        ("é" * 200 + "@example.org", None),
        ("a" * (1 << 20), None),
    ],
)
def test_login(login: str, account: str | None) -> None:
    assert canonical_login(login, "home.test") == account


def test_a_bare_login_is_nobodys_without_a_home() -> None:
    assert canonical_login("alice") is None


@given(st.text(st.characters(), max_size=400))
def test_a_login_is_canonical_or_nobodys(text: str) -> None:
    account = canonical_login(text, "home.test")
    assert account is None or canonical_login(account) in (account, None)
