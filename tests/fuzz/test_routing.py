"""Invariant: a rewritten sender leads back to the sender it was made of and to no other; a spelled address is read as
it was meant; and the route that is found is the most specific of those that match, in whatever order they stand."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.mail.reply import SRS_FORGED, Reply
from fastsmtp.routing.addresses import parse_address, spell, split
from fastsmtp.routing.destinations import hop_text, hops_for, parse_destination
from fastsmtp.routing.match import Match, Rule, RuleTable, parse_match
from fastsmtp.routing.srs import Srs
from tests.tools.fuzzing import fuzzed

SRS = Srs(b"f" * 32, "ours.test")
local_parts = st.text(
    st.one_of(
        st.sampled_from('abcABC=+-.@"\\ %!/SR01'), st.characters(min_codepoint=0xA1, max_codepoint=0x2000)
    ),
    min_size=1,
    max_size=30,
)
labels = st.sampled_from(["a", "b", "far", "x-y", "A"])
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
times = st.integers(0, 1 << 33)


@fuzzed
@given(local_parts, domains)
def test_spelling(local: str, domain: str) -> None:
    text = spell(local, domain)
    assert split(text) == (local, domain)
    address = parse_address(text)
    assert (address.local, address.domain) == (local, domain)


@fuzzed
@given(local_parts, domains, times, st.integers(0, 21))
def test_there_and_back(local: str, domain: str, now: int, days: int) -> None:
    made = SRS.forward(local, domain, now)
    assert parse_address(made).domain == "ours.test"
    back = SRS.reverse(split(made)[0], now + days * 86_400)
    assert isinstance(back, str)
    user, home = split(back)
    # another forwarder's leads back to the first one
    assert (user, home) == (local, domain) or local[:4].upper() in ("SRS0", "SRS1")


@fuzzed
@given(st.one_of(local_parts, local_parts.map("SRS0=".__add__), local_parts.map("SRS1=".__add__)), times)
def test_nothing_is_taken_that_was_not_made(local: str, now: int) -> None:
    found = SRS.reverse(local, now)
    assert found is None or found is SRS_FORGED


@fuzzed
@given(local_parts, domains, times, st.integers(0, 200), st.sampled_from("abz=+-A27"))
def test_a_letter_changed_leads_nowhere_else(local: str, domain: str, now: int, at: int, letter: str) -> None:
    made = split(SRS.forward(local, domain, now))[0]
    at %= len(made)
    changed = made[:at] + letter + made[at + 1 :]
    found = SRS.reverse(changed, now)
    if changed.lower() != made.lower():
        assert found is None or isinstance(found, Reply)


matches = st.one_of(
    st.just("*"),
    domains,
    domains.map("*.".__add__),
    st.builds("{}@{}".format, st.sampled_from(["u", "V"]), domains),
    st.sampled_from(["u@*", "v@*"]),
)


def applies(match: Match, local: str, domain: str) -> int:
    """How specific the match is for this recipient, 0 when it is for others: the rule said the slow way."""
    inside = domain.endswith("." + match.domain)
    return {
        "address": 1000 * ((match.local, match.domain) == (local, domain)),
        "user": 900 * (match.local == local),
        "domain": 800 * (match.domain == domain),
        "subdomains": (100 + len(match.domain)) * inside,
        "any": 1,
    }[match.kind]


@fuzzed
@given(st.lists(matches, max_size=12), st.sampled_from(["u", "V", "w"]), domains)
def test_the_most_specific_route(texts: list[str], local: str, domain: str) -> None:
    rules = {parse_match(text): Rule(parse_match(text), "local", text, "") for text in texts}
    table = RuleTable(list(rules.values()))
    name, home = canonical_local(local), canonical_domain(domain)
    found = table.named(name, home, here=True) or table.of_domain(home) or table.around(home)
    ranks = {match: applies(match, name, home) for match in rules}
    best = max(ranks.values(), default=0)
    if found is None:
        assert best == 0
    else:
        assert ranks[found.match] == best > 0


DESTINATIONS = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.lists(
            st.sampled_from(
                [
                    "mx",
                    ":",
                    "lmtp:",
                    "local",
                    "reject:",
                    "far.test",
                    "[",
                    "]",
                    "::1",
                    "192.0.2.1",
                    "25",
                    "65536",
                    "0",
                ]
            ),
            max_size=5,
        ).map("".join),
    ),
    max_size=3,
)


@fuzzed
@given(DESTINATIONS, st.sampled_from([None, "smart"]))
def test_destinations(texts: list[str], credentials: str | None) -> None:
    """A text is refused with the key it stands under, or means what it says when it is written out and read again."""
    found, why = None, ""
    try:
        found = parse_destination(texts, credentials)
    except ValueError as error:
        why = str(error)
    if found is None:
        assert why.startswith(("to", "credentials:"))
    elif isinstance(found, tuple):
        assert parse_destination([hop_text(hop) for hop in found], credentials) == found
        assert all(hop.host for hop in hops_for(found, "a.test"))
    else:
        assert isinstance(found, Reply) or texts == ["local"]


@fuzzed
@given(st.one_of(st.text(max_size=20), st.text("ab.*@[]: -", max_size=20)))
def test_matches(text: str) -> None:
    """Any text is a match or is refused."""
    with contextlib.suppress(ValueError):
        assert isinstance(parse_match(text), Match)
