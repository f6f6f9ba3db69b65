"""``fastsmtp alias``: addresses that stand for others, and none that would be refused."""

import json
import os

import pytest

from tests.unit.test_cli_commands_user import ALICE, SETTINGS, Bench, bench

__all__ = ["bench"]


@pytest.fixture
def filled(bench: Bench) -> Bench:
    bench.add()
    bench.add("bob@example.org")
    return bench


def test_added_to_listed_and_taken_from(filled: Bench) -> None:
    code, out, _ = filled.do("alias", "add", "Info@Example.org", ALICE)
    assert (code, out) == (os.EX_OK, f"info@example.org stands for {ALICE}\n")
    assert filled.do("alias", "add", "info@example.org", "x@far.test", ALICE)[0] == os.EX_OK
    assert filled.do("alias", "ls")[1] == f"info@example.org  {ALICE}, x@far.test\n"
    assert json.loads(filled.do("alias", "ls", "--json")[1]) == [
        {"alias": "info@example.org", "addresses": [ALICE, "x@far.test"]}
    ]
    assert (
        filled.do("alias", "rm", "info@example.org", ALICE)[1] == "info@example.org stands for x@far.test\n"
    )
    assert filled.do("alias", "rm", "info@example.org", ALICE)[0] == os.EX_NOUSER
    assert filled.do("alias", "rm", "info@example.org")[1] == "alias info@example.org removed\n"
    assert filled.do("alias", "rm", "info@example.org")[0] == os.EX_NOUSER


def test_catch_alls_and_copies(filled: Bench) -> None:
    assert filled.do("alias", "add", "@example.org", ALICE)[0] == os.EX_OK
    assert filled.do("alias", "add", ALICE, ALICE, "copy@far.test")[0] == os.EX_OK
    filled.do("domain", "add", "shop.test")
    assert filled.do("alias", "add", "@shop.test", "@example.org")[0] == os.EX_OK
    code, out, _ = filled.do("route", "explain", "who@shop.test")
    assert code == os.EX_OK
    assert f"mailbox {ALICE}" in out
    assert "MX of far.test" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("info@example.org", "nobody@example.org"), "nobody@example.org: no such mailbox here"),
        (("info@else.test", ALICE), "fastsmtp domain add else.test"),
        (("info@example.org", "@far.test"), "only an alias @domain"),
        (("second@example.org", "first@example.org"), "no such mailbox"),
        (("written@example.org", ALICE), "settings file, under aliases"),
    ],
)
def test_what_would_be_refused(filled: Bench, words: tuple[str, ...], complaint: str) -> None:
    filled.file.write_text(SETTINGS + '[aliases]\n"written@example.org" = "bob@example.org"\n')
    code, out, err = filled.do("alias", "add", *words)
    assert (code, out) == (os.EX_DATAERR, "")
    assert complaint in err
    assert filled.do("alias", "ls")[1] == ""


def test_no_circles(filled: Bench) -> None:
    filled.do("alias", "add", "a@example.org", ALICE)
    filled.do("alias", "add", "b@example.org", "a@example.org")
    code, _, err = filled.do("alias", "add", "a@example.org", "b@example.org")
    assert code == os.EX_DATAERR
    assert "circles" in err


@pytest.mark.parametrize("words", [("nonsense", ALICE), ("info@example.org", "x"), ("info@example.org",)])
def test_what_is_no_address(filled: Bench, words: tuple[str, ...]) -> None:
    assert filled.do("alias", "add", *words)[0] == os.EX_USAGE
