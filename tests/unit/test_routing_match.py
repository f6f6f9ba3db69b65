"""The most specific match counts."""

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.match import Match, Rule, RuleTable, parents, parse_match


def table(*texts: str) -> RuleTable:
    return RuleTable([Rule(parse_match(text), "local", text, f"routes[{i}]") for i, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Dora@Far.TEST", Match("address", "dora", "far.test")),
        ('"a b"@far.test', Match("address", "a b", "far.test")),
        ("dora@[192.0.2.1]", Match("address", "dora", "[192.0.2.1]")),
        ("Dora@*", Match("user", "dora", "")),
        ("Bücher.test", Match("domain", "", "xn--bcher-kva.test")),
        ("[IPv6:2001:DB8::1]", Match("domain", "", "[ipv6:2001:db8::1]")),
        ("*.Far.test", Match("subdomains", "", "far.test")),
        ("*", Match("any", "", "")),
    ],
)
def test_forms(text: str, match: Match) -> None:
    assert parse_match(text) == match


@pytest.mark.parametrize(
    "text", ["", "@far.test", "dora@", "*@far.test@", "far..test", "*.*", "**", "*far.test", "a b@far.test", "@*",
             "@a:dora@far.test", "<dora@far.test>", "dora@*.far.test", "*.[192.0.2.1", "1.2.3.4"],
)  # fmt: skip
def test_bad_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r'^expected "user@domain", "user@\*", "domain", .* got "'):
        parse_match(text)


def test_parents() -> None:
    assert list(parents("a.b.test")) == ["b.test", "test"]
    assert list(parents("test")) == []


@pytest.mark.parametrize("backwards", [False, True])
def test_order_in_the_file_does_not_matter(backwards: bool) -> None:
    texts = ["*", "*.test", "*.far.test", "far.test", "dora@*", "dora@far.test"]
    rules = table(*(reversed(texts) if backwards else texts))

    def text(rule: Rule | None) -> str | None:
        return None if rule is None else rule.text

    assert text(rules.named("dora", "far.test", here=False)) == "dora@far.test"
    assert text(rules.named("dora", "near.test", here=True)) == "dora@*"
    assert text(rules.named("dora", "near.test", here=False)) is None
    assert text(rules.named("emil", "far.test", here=True)) is None
    assert text(rules.of_domain("far.test")) == "far.test"
    assert text(rules.of_domain("a.far.test")) is None
    assert text(rules.around("a.far.test")) == "*.far.test"
    assert text(rules.around("b.a.far.test")) == "*.far.test"
    assert text(rules.around("far.test")) == "*.test"
    assert text(rules.around("notfar.test")) == "*.test"
    assert text(rules.around("test")) == "*"
    assert text(rules.around("[192.0.2.test]")) == "*"
    assert rules.domains() == {"", "test", "far.test"}


def test_without_a_default() -> None:
    assert table("*.far.test").around("near.test") is None


def test_the_same_match_twice() -> None:
    with pytest.raises(SettingsError) as caught:
        table("far.test", "*", "FAR.test", "*")
    assert caught.value.problems == (
        'routes[2].match: "FAR.test" is that of routes[0] too',
        'routes[3].match: "*" is that of routes[1] too',
    )
