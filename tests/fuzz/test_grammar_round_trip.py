"""Invariant: every address made after the grammar of RFC 5321 §4.1.2 and RFC 6531 §3.3 is read, comes out as it was
meant, and is read alike by the compiled short cut; and no text makes the grammar fail.

Run longer with FASTSMTP_FUZZ=N (examples a target).
"""

import ipaddress

from hypothesis import example, given
from hypothesis import strategies as st

from fastsmtp.mail import reply
from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import grammar
from tests.fakes.session import IMPLEMENTATIONS, RULES, Client
from tests.tools.fuzzing import fuzzed

LETTERS = "abcxyzABCXYZ0123456789"
atom = st.text(LETTERS + "!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=8)
dot_string = st.lists(atom, min_size=1, max_size=4).map(".".join)
quoted = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=10)
label = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(LETTERS),
    st.text(LETTERS + "-", max_size=6),
    st.sampled_from(LETTERS),
)
names = st.lists(st.one_of(label, st.sampled_from(LETTERS)), min_size=1, max_size=4).map(".".join)
literals = st.one_of(
    st.ip_addresses(v=4).map(lambda ip: f"[{ip}]"), st.ip_addresses(v=6).map(lambda ip: f"[IPv6:{ip}]")
)
domains = st.one_of(names, literals)
routes = st.lists(names, max_size=3).map(
    lambda hops: ",".join(f"@{hop}" for hop in hops) + ":" if hops else ""
)
BAD = reply.BAD_SENDER_SYNTAX


def quote(text: str) -> str:
    """``text`` as a Quoted-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@fuzzed
@given(dot_string, domains, routes, st.sampled_from(["", " SIZE=1"]))
def test_dot_strings(local: str, domain: str, route: str, rest: str) -> None:
    text = f"{local}@{domain}"
    assert grammar.parse_mailbox(route + text) == Address(local, domain, text)
    assert grammar.parse_path(f"<{route}{text}>{rest}", BAD) == (Address(local, domain, text), rest)


@fuzzed
@given(quoted, domains)
def test_quoted_strings(local: str, domain: str) -> None:
    text = f"{quote(local)}@{domain}"
    assert grammar.parse_path(f"<{text}>", BAD) == (Address(local, domain, text), "")


@fuzzed
@given(st.text("üß例子\U0001f600.a", min_size=1, max_size=8), st.text("ü例子a", min_size=1, max_size=8))
def test_international_addresses(local: str, domain: str) -> None:
    text = f"{local}@{domain}.test"
    assert grammar.parse_mailbox(text) == Address(local, f"{domain}.test", text)


@fuzzed
@given(st.text(max_size=60))
@example('"' * 50)
@example("@" * 50)
def test_any_text_gives_an_address_or_none(text: str) -> None:
    found = grammar.parse_mailbox(text)
    if found is not None:
        assert text.endswith(found.text)
        assert found.local
        assert found.domain
        assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in found.text)
        if found.domain.startswith("["):
            ipaddress.ip_address(
                found.domain[1:-1].removeprefix("IPv6:").removeprefix("ipv6:").removeprefix("IPV6:")
            )
    assert isinstance(grammar.parse_path(text, BAD), (tuple, Reply))
    assert isinstance(grammar.parse_parameters(text, RULES.mail_parameters), (dict, Reply, type(None)))


@fuzzed
@given(st.text("ab0.-_@<>[]:,\"\\ +'!", max_size=24).map(lambda text: f"<{text}>"), st.booleans())
@example("<a@b-.c>", True)
@example("<a@b.-c>", False)
def test_the_short_cut_reads_what_the_grammar_reads(path: str, sender: bool) -> None:
    for make in IMPLEMENTATIONS.values():
        client = Client(make)
        client.say(b"EHLO x\r\n" if sender else b"EHLO x\r\nMAIL FROM:<a@b>\r\n")
        verb = b"MAIL FROM:" if sender else b"RCPT TO:"
        known = len(client.handler.events)
        client.say(verb + path.encode() + b"\r\n")
        events = client.handler.events[known:]
        read = (RULES.read_mail if sender else lambda argument: RULES.read_rcpt(argument, False))(
            verb[5:] + path.encode()
        )
        if isinstance(read, Reply):
            assert events == []
        else:
            assert events == [("mail" if sender else "rcpt", *read)]
