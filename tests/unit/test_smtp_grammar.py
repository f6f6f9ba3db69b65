"""Paths and parameters of MAIL and RCPT, and the leniencies the module names."""

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.address import NULL_SENDER, Address
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import grammar

BAD = reply.BAD_SENDER_SYNTAX

GOOD: dict[str, tuple[str, str]] = {
    "a@b.test": ("a", "b.test"),
    "a@b": ("a", "b"),
    "a.b+tag-x_y@sub.b-c.test": ("a.b+tag-x_y", "sub.b-c.test"),
    "!#$%&'*+-/=?^_`{|}~@b.test": ("!#$%&'*+-/=?^_`{|}~", "b.test"),
    "0@0.test": ("0", "0.test"),
    "A@B.Test": ("A", "B.Test"),
    '"a b"@b.test': ("a b", "b.test"),
    '"a@b"@b.test': ("a@b", "b.test"),
    '"a\\"b\\\\c"@b.test': ('a"b\\c', "b.test"),
    '"\\a"@b.test': ("a", "b.test"),
    '" "@b.test': (" ", "b.test"),
    '"<>"@b.test': ("<>", "b.test"),
    '"a>b"@b.test': ("a>b", "b.test"),
    "a@[127.0.0.1]": ("a", "[127.0.0.1]"),
    "a@[IPv6:::1]": ("a", "[IPv6:::1]"),
    "a@[ipv6:2001:db8::1]": ("a", "[ipv6:2001:db8::1]"),
    "grüße@bücher.test": ("grüße", "bücher.test"),
    '"ü x"@b.test': ("ü x", "b.test"),
    "用户@例子.test": ("用户", "例子.test"),
    # more than the RFC allows
    ".a@b.test": (".a", "b.test"),
    "a.@b.test": ("a.", "b.test"),
    "a..b@b.test": ("a..b", "b.test"),
    ".@b.test": (".", "b.test"),
    "a" * 300 + "@b.test": ("a" * 300, "b.test"),
    "a@_b.win_host.test": ("a", "_b.win_host.test"),
    "a@" + ".".join(["x" * 63] * 3 + ["y" * 63]): ("a", ".".join(["x" * 63] * 3 + ["y" * 63])),
}

BROKEN = [
    "", "a", "a@", "@b.test", "@", "a@@b.test", "a@b@c.test", "a b@c.test", "a\tb@c.test", "a@b c",
    "a@b.test ", " a@b.test",
    "a@.b.test", "a@b.test.", "a@b..test", "a@-b.test", "a@b-.test", "a@b.-c", "a@b!.test", "a@[", "a@[]",
    "a@[x]",
    "a@[1.2.3]", "a@[1.2.3.4", "a@[1.2.3.256]", "a@[IPv6:]", "a@[IPv6:1.2.3.4]", "a@[IPv5:::1]", "a@[::1]",
    "a@[IPv6:::g]",
    '""@b.test', '"a@b.test', 'a"@b.test', '"a"b@b.test', '"a\\"@b.test', '"a\x00"@b.test', "a\x00@b.test",
    "a\x7f@b.test",
    '"a\nb"@b.test', '"a\x1f"@b.test', "a,b@c.test", "a(b)@c.test", "a;b@c.test", "a:b@c.test", "a\\b@c.test",
    "a<b@c.test",
    "[a]@b.test", "a@" + "x" * 256, "a@" + "ü" * 128,
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_good_mailboxes(text: str) -> None:
    local, domain = GOOD[text]
    assert grammar.parse_mailbox(text) == Address(local, domain, text)


@pytest.mark.parametrize("text", BROKEN)
def test_broken_mailboxes(text: str) -> None:
    assert grammar.parse_mailbox(text) is None


def test_domain_length_is_counted_in_octets() -> None:
    assert grammar.parse_mailbox("a@" + "x" * 255) is not None
    assert grammar.parse_mailbox("a@" + "ü" * 127) is not None
    assert grammar.parse_mailbox("a@" + "ü" * 127 + "xx") is None


@pytest.mark.parametrize("route", ["@r.test:", "@r.test,@s.test:", "@r:", "@r_1.test,@s-2.test,@t:"])
def test_a_source_route_is_read_and_forgotten(route: str) -> None:
    assert grammar.parse_mailbox(route + "a@b.test") == Address("a", "b.test", "a@b.test")


@pytest.mark.parametrize(
    "route",
    ["@:", "@r.test", "@r.test;", "@r.test,:", "r.test:", "@r.test,s.test:", "@-r.test:", "@r.test: "],
)
def test_a_broken_route(route: str) -> None:
    assert grammar.parse_mailbox(route + "a@b.test") is None


@pytest.mark.parametrize(
    ("argument", "address", "rest"),
    [
        ("<a@b.test>", Address("a", "b.test", "a@b.test"), ""),
        (" <a@b.test>", Address("a", "b.test", "a@b.test"), ""),
        ("<>", NULL_SENDER, ""),
        ("<> SIZE=1", NULL_SENDER, " SIZE=1"),
        ("<a@b.test>  X=1 Y", Address("a", "b.test", "a@b.test"), "  X=1 Y"),
        ("<postmaster>", Address("postmaster", "", "postmaster"), ""),
        ("<PostMaster> X", Address("PostMaster", "", "PostMaster"), " X"),
        ('<"a>b"@b.test> X', Address("a>b", "b.test", '"a>b"@b.test'), " X"),
        ('<"a\\">"@b.test>', Address('a">', "b.test", '"a\\">"@b.test'), ""),
        ("<@r.test:a@b.test>", Address("a", "b.test", "a@b.test"), ""),
    ],
)
def test_good_paths(argument: str, address: Address, rest: str) -> None:
    assert grammar.parse_path(argument, BAD) == (address, rest)


@pytest.mark.parametrize(
    "argument",
    [
        "", "a@b.test", "<a@b.test", "a@b.test>", "<<a@b.test>>", "<a@b.test>>", "<a@b.test>x",
        "<a@b.test>\tSIZE=1", "< a@b.test>",
        "<a@b.test >", "\t<a@b.test>", "<a>", "<postmaster@>", "< >", '<"a@b.test>', "x <a@b.test>",
        "<@r.test:>", "<@r.test:postmaster>",
    ],
)  # fmt: skip
def test_broken_paths(argument: str) -> None:
    assert grammar.parse_path(argument, BAD) is BAD


def upper(value: str | None) -> str | Reply:
    """A reader for the tests: takes anything but ``no``."""
    return reply.BAD_PARAMETER_VALUE if value == "no" else (value or "").upper()


READERS = {"ONE": upper, "TWO": upper, "A-1": upper}


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("", None),
        ("   ", None),
        (" ONE=x", {"ONE": "X"}),
        (" one=x  two", {"ONE": "X", "TWO": ""}),
        (" a-1=!~<>+/", {"A-1": "!~<>+/"}),
        (" ONE=ü", {"ONE": "Ü"}),
        (" ONE=no", reply.BAD_PARAMETER_VALUE),
        (" ONE=x ONE=y", reply.PARAMETER_TWICE),
        (" ONE=x one=y", reply.PARAMETER_TWICE),
        (" THREE", reply.UNKNOWN_PARAMETER),
        (" THREE=x", reply.UNKNOWN_PARAMETER),
        (" ONE=", reply.BAD_SYNTAX),
        (" =x", reply.BAD_SYNTAX),
        (" ONE=x=y", reply.BAD_SYNTAX),
        (" -ONE=x", reply.BAD_SYNTAX),
        (" ON_E=x", reply.BAD_SYNTAX),
        (" ONE=x\ty", reply.BAD_SYNTAX),
        (" ONE=\x7f", reply.BAD_SYNTAX),
    ],
)
def test_parameters(rest: str, found: dict[str, str] | None | Reply) -> None:
    assert grammar.parse_parameters(rest, READERS) == found


@pytest.mark.parametrize(
    "name", ["a", "a.b.test", "[127.0.0.1]", "[IPv6:::1]", "_x-y_", "x" * 255, "!#$%&'*+-/=?^`{|}~"]
)
def test_good_names(name: str) -> None:
    assert grammar.parse_hello(name) == name
    assert grammar.parse_hello(f"  {name} ") == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a\tb", "x" * 256, "ü", "\x7f", *(f"a{octet}b" for octet in '()<>@,;\\"')]
)
def test_bad_names(name: str) -> None:
    assert grammar.parse_hello(name) is None


def test_lines_are_utf8() -> None:
    assert grammar.decode_line("grüße".encode()) == "grüße"
    for broken in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"):
        assert grammar.decode_line(broken) is None


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "hard",
    [
        "a" * 2000,
        "a@" + "b-" * 1000,
        "@r," * 600 + "a@b",
        "a@" + "b." * 900,
        '"' + "\\a" * 1000,
        "<" * 2000,
        '"a"' * 600,
        "@" + "a." * 900 + ":",
    ],
)
def test_no_text_takes_long(hard: str) -> None:
    for _ in range(20):
        assert grammar.parse_mailbox(hard) is None
        assert grammar.parse_path("<" + hard, BAD) is BAD
        assert grammar.parse_path("<" + hard + ">x", BAD) is BAD


@pytest.mark.parametrize("bad", ["\u0080", "\u0085", "\u009b", "\u2028", "\u2029"])
def test_controls_beyond_ascii_are_controls(bad: str) -> None:
    assert grammar.parse_mailbox(f"a{bad}b@c.test") is None
    assert grammar.parse_mailbox(f'"a{bad}b"@c.test') is None
    assert grammar.parse_mailbox(f"a@c{bad}d.test") is None
