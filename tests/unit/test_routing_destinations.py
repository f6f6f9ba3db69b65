"""What stands behind ``to``."""

import pytest

from fastsmtp.mail.reply import Reply
from fastsmtp.routing.destinations import hop_text, parse_destination, parse_hops
from fastsmtp.routing.route import Hop


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("Mail.Far.test:25", Hop("smtp", "mail.far.test", 25)),
        ("127.0.0.1:2502", Hop("smtp", "127.0.0.1", 2502)),
        ("[2001:DB8::1]:26", Hop("smtp", "2001:db8::1", 26)),
        ("lmtp:127.0.0.1:24", Hop("lmtp", "127.0.0.1", 24)),
        ("lmtp:[::1]:24", Hop("lmtp", "::1", 24)),
        ("mx", Hop("mx", "", 25)),
        ("mx:Far.test", Hop("mx", "far.test", 25)),
    ],
)
def test_hops(text: str, hop: Hop) -> None:
    assert parse_destination([text]) == (hop,)
    assert parse_destination([text, "other.test:1"]) == (hop, Hop("smtp", "other.test", 1))


def test_others() -> None:
    assert parse_destination(["local"]) == "local"
    assert parse_destination(["reject: moved away "]) == Reply(550, "7.1", "moved away")


def test_as_text() -> None:
    hops = parse_destination(["mail.test:25", "[::1]:26", "lmtp:127.0.0.1:24", "mx:far.test"])
    assert [str(hop) for hop in hops] == [
        "smtp:mail.test:25",
        "smtp:[::1]:26",
        "lmtp:127.0.0.1:24",
        "MX of far.test",
    ]


@pytest.mark.parametrize(
    "text",
    ["mail.far.test:25", "[2001:db8::1]:26", "lmtp:127.0.0.1:24", "lmtp:[::1]:24", "mx", "mx:far.test"],
)
def test_a_hop_is_named_as_it_was_written(text: str) -> None:
    assert [hop_text(hop) for hop in parse_hops([text])] == [text]


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        (["local"], '^to: "local" is no other host; expected "host:port", .* or "mx:domain"$'),
        (["reject:no"], '^to: "reject:no" is no other host'),
        (["*@far.test"], '^to: expected "host:port"'),
        ([], "^to: expected "),
    ],
)
def test_what_is_no_other_host(to: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_hops(to)


def test_passwords_go_to_named_hosts_whose_name_is_proved() -> None:
    assert parse_destination(["h.test:587"], "c") == (Hop("smtp", "h.test", 587, "c", "verify"),)
    assert parse_destination(["h.test:587"], "c", "none") == (Hop("smtp", "h.test", 587, "c", "none"),)
    assert parse_destination(["mx"], None, "dane") == (Hop("mx", "", 25, None, "dane"),)


@pytest.mark.parametrize(
    ("to", "credentials", "problem"),
    [
        ([], None, r"^to: expected "),
        (["far.test"], None, r'^to: expected "host:port", "lmtp:host:port", .* got "far.test"$'),
        (["lmtp:far.test"], None, r'^to: expected "host:port", .* got "lmtp:far.test"$'),
        (["a.test:1", "b.test:0"], None, r'^to\[1\]: expected a port .* "b.test:0"$'),
        (["::1:25"], None, r"^to: IPv6 addresses stand in brackets"),
        (["mx:not a domain"], None, r"^to: expected a domain"),
        (["a b:25"], None, r"^to: expected a host name"),
        (["local", "a.test:1"], None, r'^to\[0\]: "local" stands alone'),
        (["a.test:1", "reject:no"], None, r'^to\[1\]: "reject:no" stands alone'),
        (["reject:"], None, r"^to: expected up to 400 printable"),
        (["reject:no\r\n250 ok"], None, r"^to: expected up to 400 printable"),
        (["reject:" + "x" * 401], None, r"^to: expected up to 400 printable"),
        (["reject:größer"], None, r"^to: expected up to 400 printable"),
        (["a.test:1", "A.test:1"], None, r"^to: the same host"),
        (["mx"], "c", r'^credentials: they are for hosts that are named, not for "mx"$'),
        (["local"], "c", r'^credentials: nobody to log in at with to = "local"$'),
    ],
)
def test_bad(to: list[str], credentials: str | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_destination(to, credentials)
