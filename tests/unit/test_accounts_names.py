"""Two spellings of one address have one canonical form, and nothing a client sends raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.accounts.names import canonical_domain, canonical_local


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
