"""Mailbox paths: safe for every byte, and no two users share one."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.mailbox.layout import Layout, safe_name


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("alice", "alice"),
        ("a/b", "a%2Fb"),
        ("..", "%2E."),
        (".", "%2E"),
        (".hidden", "%2Ehidden"),
        ("a.b", "a.b"),
        ("a%2Fb", "a%252Fb"),
        ("nul\0", "nul%00"),
        ("line\nend\r\t\x7f", "line%0Aend%0D%09%7F"),
        ("", "%"),
        ("grüße", "grüße"),
        ('"quoted name"', '"quoted name"'),
        ("\udcff", "\udcff"),
    ],
)
def test_names(part: str, name: str) -> None:
    assert safe_name(part) == name


def test_long_names_are_cut_and_differ() -> None:
    one, two = safe_name("x" * 300), safe_name("x" * 300 + "y")
    assert one != two
    assert all(len(name.encode()) <= 200 for name in (one, two))
    assert len(safe_name("ü" * 200).encode("utf-8", "surrogateescape")) <= 200


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=250))
def test_a_name_is_one_safe_component(part: str) -> None:
    name = safe_name(part)
    raw = name.encode("utf-8", "surrogateescape")
    assert 0 < len(raw) <= 255
    assert not raw.startswith(b".")
    assert not set(raw) & {0, ord("/"), 10, 13}


@given(st.text(max_size=4, alphabet="a/.%~2F\0"), st.text(max_size=4, alphabet="a/.%~2F\0"))
def test_two_users_never_share_a_name(one: str, two: str) -> None:
    assert (safe_name(one) == safe_name(two)) == (one == two)


def test_the_pattern_names_the_maildir() -> None:
    assert Layout("/m/{domain}/{user}/Maildir").path("a@b@example.org") == b"/m/example.org/a@b/Maildir"
    assert Layout("/m/{user}").path("../x@y") == b"/m/%2E.%2Fx"
    assert Layout("/m/{domain}/{user}").path("{domain}@{user}") == b"/m/{user}/{domain}"
    assert PurePosixPath(Layout("m/{user}").path("ä@x").decode()).parts == ("m", "ä")


@pytest.mark.parametrize("pattern", ["/mail/{domain}", "/mail/{user}/{group}", "/mail/{user", "", "/{user}/.."])
def test_bad_patterns_are_refused_in_words(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"lacks|holds|no path"):
        Layout(pattern)


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("/var/mail/{domain}/{user}", b"/var/mail"),
        ("/var/mail/of-{user}/Maildir", b"/var/mail"),
        ("/{user}", b"/"),
        ("mail/{user}", b"mail"),
        ("{user}", b"."),
    ],
)
def test_the_root_is_what_all_mailboxes_lie_below(pattern: str, root: bytes) -> None:
    assert Layout(pattern).root == root
