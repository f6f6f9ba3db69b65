"""Names of accounts as people write them."""

import pytest

from fastsmtp.routing.account_words import parse_alias, parse_domain, parse_login, parse_sender


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("*", "*"),
        ("@Bücher.example", "@xn--bcher-kva.example"),
        ("Sales@Example.org", "sales@example.org"),
    ],
)
def test_senders(text: str, sender: str) -> None:
    assert parse_sender(text) == sender


@pytest.mark.parametrize("text", ["", "**", "@", "a b", "x@", "sales"])
def test_what_is_no_sender(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_sender(text)


@pytest.mark.parametrize(
    ("text", "login"), [("Alice@Example.org", "alice@example.org"), ("a@Bücher.example", "a@xn--bcher-kva.example")]
)
def test_logins(text: str, login: str) -> None:
    assert parse_login(text) == login


@pytest.mark.parametrize("text", ["", "alice", "a@[192.0.2.1]", "a b@example.org"])
def test_what_is_no_login(text: str) -> None:
    with pytest.raises(ValueError, match="expected a login"):
        parse_login(text)


def test_aliases_and_domains() -> None:
    assert parse_alias("@Example.org") == "@example.org"
    assert parse_alias("Info@Example.org") == "info@example.org"
    assert parse_domain("Example.org") == "example.org"
    with pytest.raises(ValueError, match="expected a domain"):
        parse_domain("[192.0.2.1]")
