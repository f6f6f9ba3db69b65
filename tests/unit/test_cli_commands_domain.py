"""``fastsmtp domain``: which domains are ours beside those of the settings."""

import json
import os

import pytest

from tests.unit.test_cli_commands_user import ALICE, Bench, bench

__all__ = ["bench"]


def test_added_listed_removed(bench: Bench) -> None:
    assert bench.do("domain", "add", "Bücher.example")[:2] == (
        os.EX_OK,
        "domain xn--bcher-kva.example added: mail for it is taken from now on\n",
    )
    assert bench.do("domain", "ls")[1].splitlines() == [
        "example.org            settings file",
        "xn--bcher-kva.example",
    ]
    assert json.loads(bench.do("domain", "ls", "--json")[1]) == [
        {"domain": "example.org", "place": "settings"},
        {"domain": "xn--bcher-kva.example", "place": "accounts"},
    ]
    assert bench.do("domain", "rm", "bücher.example")[0] == os.EX_OK
    assert bench.do("domain", "rm", "bücher.example")[0] == os.EX_NOUSER


def test_one_that_somebody_is_in_stays(bench: Bench) -> None:
    bench.add("bob@shop.test")
    bench.do("alias", "add", "@shop.test", "bob@shop.test")
    code, _, err = bench.do("domain", "rm", "shop.test")
    assert code == os.EX_DATAERR
    assert "bob@shop.test, @shop.test" in err
    bench.do("user", "rm", "bob@shop.test")
    bench.do("alias", "rm", "@shop.test")
    assert bench.do("domain", "rm", "shop.test")[0] == os.EX_OK


@pytest.mark.parametrize(
    ("domain", "code"),
    [
        ("example.org", os.EX_DATAERR),
        ("corp.test", os.EX_DATAERR),
        ("not a domain", os.EX_USAGE),
        ("[127.0.0.1]", os.EX_USAGE),
        ("", os.EX_USAGE),
        (ALICE, os.EX_USAGE),
    ],
)
def test_what_cannot_be_added(bench: Bench, domain: str, code: int) -> None:
    assert bench.do("domain", "add", domain)[0] == code


def test_those_of_the_settings_are_removed_there(bench: Bench) -> None:
    code, _, err = bench.do("domain", "rm", "example.org")
    assert code == os.EX_DATAERR
    assert "mailboxes.domains" in err
