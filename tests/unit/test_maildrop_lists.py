"""Lists of addresses: what they mean, and what a domain is put behind."""

import pytest

from fastsmtp.maildrop.lists import addresses, lacks_domain, qualified


@pytest.mark.parametrize(
    ("text", "found", "whole"),
    [
        ("root (Cron Daemon)", ["root"], "root@x.test (Cron Daemon)"),
        ('"Doe, J" <joe>, a@b.c', ["joe", "a@b.c"], '"Doe, J" <joe@x.test>, a@b.c'),
        ("team: a, B <b@c.d>; e", ["a", "b@c.d", "e"], "team: a@x.test, B <b@c.d>; e@x.test"),
        ("<@a,@b:u@c>", ["u@c"], "<@a,@b:u@c>"),
        ("u@[IPv6:::1], v", ["u@[IPv6:::1]", "v"], "u@[IPv6:::1], v@x.test"),
        ('"a b", "q, x"@y', ['"a b"', '"q, x"@y'], '"a b"@x.test, "q, x"@y'),
        (r"a (b (c) \) d), e", ["a", "e"], r"a@x.test (b (c) \) d), e@x.test"),
        ("undisclosed-recipients:;", [], "undisclosed-recipients:;"),
        ("u @ x.y", ["u@x.y"], "u @ x.y"),
        ("John Doe", ["John Doe"], "John Doe"),
        ('"open, a', ['"open, a'], '"open, a@x.test'),
        ("(open", [], "(open"),
        ("<open", ["open"], "<open@x.test"),
        ("<>, ,", [], "<>, ,"),
        ("", [], ""),
    ],
)
def test_what_a_list_means(text: str, found: list[str], whole: str) -> None:
    assert addresses(text) == found
    assert qualified(text, "x.test") == whole


def test_a_word_is_no_address_with_a_domain() -> None:
    assert lacks_domain("root")
    assert lacks_domain('"a b"')
    assert not lacks_domain("a@b")
    assert not lacks_domain('"a b"@c')
    assert not lacks_domain("")
