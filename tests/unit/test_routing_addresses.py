"""Addresses read and spelled."""

import pytest

from fastsmtp.routing.addresses import names_host, parse_address, parse_domain, spell, split


@pytest.mark.parametrize(
    ("local", "domain", "text"),
    [
        ("alice", "example.org", "alice@example.org"),
        ("a.b.+x", "example.org", "a.b.+x@example.org"),
        ("a b", "example.org", '"a b"@example.org'),
        ('a"b\\', "example.org", '"a\\"b\\\\"@example.org'),
        ("x@y", "example.org", '"x@y"@example.org'),
        ("ü", "ü.test", "ü@ü.test"),
        ("", "example.org", '""@example.org'),
    ],
)
def test_there_and_back(local: str, domain: str, text: str) -> None:
    assert spell(local, domain) == text
    assert split(text) == (local, domain)
    if local:
        address = parse_address(text)
        assert (address.local, address.domain) == (local, domain)


@pytest.mark.parametrize(
    "text", ["", "alice", "@example.org", "alice@", "<a@b.test>", "@x.test:a@b.test", " a@b.test"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        parse_address(text)


def test_domain() -> None:
    assert parse_domain("Bücher.Test") == "xn--bcher-kva.test"
    assert parse_domain("[192.0.2.1]") == "[192.0.2.1]"
    for text in ("", "a b", "a..b", "[1.2.3]", "x.test:25", "y@x.test", "1.2.3.4", "x.test."):
        with pytest.raises(ValueError, match="expected a "):
            parse_domain(text)


@pytest.mark.parametrize(
    ("local", "does"),
    [
        ("user%far.test", True),
        ("far.test!user", True),
        ("user@far.test", True),
        ("user\uff20far.test", True),
        ("user\uff05far.test", True),
        ("alice", False),
        ("alice+tag", False),
        ("prvs=0123=alice", False),
        ("\u00fc", False),
    ],
)
def test_a_local_part_that_names_a_host(local: str, does: bool) -> None:
    assert names_host(local) is does
