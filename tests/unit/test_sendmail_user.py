"""What is seen of a user and of an address at once."""

import os
import pwd

import pytest

from fastsmtp.sendmail.user import full_name, malformed


def test_the_full_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "Ann\nBcc: x")
    assert full_name() == "AnnBcc: x"
    monkeypatch.delenv("NAME")
    entry = pwd.struct_passwd(("bob", "x", 1, 1, "& Smith,Room 1,,", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
    assert full_name() == "Bob Smith"
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert full_name() == ""


@pytest.mark.parametrize(
    "address", ["a", "a@b", '"a b"@c.d', "a.b+c@d_e.f", "\u00fc@\u00fc.de", "a@[127.0.0.1]"]
)
def test_good_addresses(address: str) -> None:
    assert not malformed(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@b",
        "a@",
        "a b@c",
        "a@@b",
        "a@b..c",
        "a@-b",
        "a\n@b",
        "a@b c",
        '""@c',
        "a@" + "b" * 256,
        os.fsdecode(b"\xff@b"),
    ],
)
def test_what_is_none(address: str) -> None:
    assert malformed(address)
