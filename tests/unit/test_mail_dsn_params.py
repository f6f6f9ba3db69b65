"""NOTIFY, ORCPT, RET and ENVID get their meaning; xtext and unitext go both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.mail.dsn_params import (
    NEVER,
    Notify,
    OriginalRecipient,
    envelope_id,
    notify,
    original_recipient,
    unitext_decode,
    unitext_encode,
    wants_all,
    without_success,
    xtext_decode,
)
from fastsmtp.smtp.extensions import dsn
from tests.tools.fuzzing import fuzzed

S, F, D = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, F | D),
        ("NEVER", NEVER),
        ("SUCCESS", S),
        ("FAILURE", F),
        ("DELAY", D),
        ("SUCCESS,FAILURE", S | F),
        ("DELAY,FAILURE,SUCCESS", S | F | D),
        ("failure", F),
        ("SUCCESS,NEVER", S),  # the server does not let it in
        ("", NEVER),
        ("__members__", NEVER),
    ],
)
def test_notify(value: str | None, wanted: Notify) -> None:
    assert notify(None if value is None else {"NOTIFY": value}) == wanted
    if value is None:
        assert notify({}) == notify({"ORCPT": "rfc822;a@b"}) == wanted


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("SUCCESS", "NEVER"),  # nothing else was wanted
        ("SUCCESS,FAILURE", "FAILURE"),
        ("FAILURE,SUCCESS,DELAY", "FAILURE,DELAY"),
        ("NEVER", "NEVER"),
        ("FAILURE", "FAILURE"),
    ],
)
def test_members_of_an_alias_are_not_asked_for_success(value: str, left: str) -> None:
    params = {"NOTIFY": value, "ORCPT": "rfc822;a@b"}
    assert without_success(params) == {"NOTIFY": left, "ORCPT": "rfc822;a@b"}
    assert params["NOTIFY"] == value


def test_without_notify_nothing_is_added() -> None:
    assert without_success(None) is None
    assert without_success({"ORCPT": "rfc822;a@b"}) == {"ORCPT": "rfc822;a@b"}


@pytest.mark.parametrize(
    ("value", "kind", "address"),
    [
        ("rfc822;bob@far.test", "rfc822", "bob@far.test"),
        ("RFC822;Bob+2Btag@far.test", "rfc822", "Bob+tag@far.test"),
        ("rfc822;+22two+20words+22@far.test", "rfc822", '"two words"@far.test'),
        ("x400;/c=us/s+3Dbob/", "x400", "/c=us/s=bob/"),
        ("utf-8;b\\x{F6}b@far.test", "utf-8", "böb@far.test"),
        ("utf-8;böb@far.test", "utf-8", "böb@far.test"),
        ("utf-8;a\\x{2B}b@far.test", "utf-8", "a+b@far.test"),
        # no field may hold these: they stay coded
        ("rfc822;x+0D+0AAction:+20delivered@far.test", "rfc822", "x+0D+0AAction:+20delivered@far.test"),
        ("rfc822;b+F6b@far.test", "rfc822", "b+F6b@far.test"),
        ("utf-8;x\\x{0D}\\x{0A}y@far.test", "utf-8", "x\\x{0D}\\x{0A}y@far.test"),
        ("utf-8;x\\x{202E}y@far.test", "utf-8", "x\\x{202E}y@far.test"),
    ],
)
def test_original_recipient(value: str, kind: str, address: str) -> None:
    coded = value.partition(";")[2]
    assert original_recipient({"ORCPT": value}) == OriginalRecipient(kind, address, coded)


@pytest.mark.parametrize("params", [None, {}, {"ORCPT": ""}, {"ORCPT": "rfc822"}, {"ORCPT": "rfc822;"}])
def test_no_original_recipient(params: dict[str, str] | None) -> None:
    assert original_recipient(params) is None


@pytest.mark.parametrize(
    ("value", "id"),
    [
        ("QQ314159", "QQ314159"),
        ("a+3Db+2Bc", "a=b+c"),
        ("a+20b", "a b"),
        ("a+0D+0ASubject:+20x", "a+0D+0ASubject:+20x"),
        ("a+FF", "a+FF"),
        ("a+0d", "a+0d"),  # lower case is no hexchar
    ],
)
def test_envelope_id(value: str, id: str) -> None:
    assert envelope_id({"ENVID": value}) == id
    assert envelope_id({}) == envelope_id(None) == ""


def test_ret() -> None:
    assert wants_all({"RET": "FULL"})
    assert wants_all({"RET": "full"})
    assert not wants_all({"RET": "HDRS"})
    assert not wants_all({})
    assert not wants_all(None)


def test_xtext_is_for_ascii() -> None:
    assert xtext_decode("a+20b+2Bc+3Dd~+7F") == "a b+c=d~\x7f"
    assert xtext_decode("a+b+2") == "a+b+2"


def test_what_is_no_character_stays() -> None:
    for text in ("\\x{D800}", "\\x{110000}", "\\x{1}", "\\x{}", "\\x41", "\\"):
        assert unitext_decode(text) == text


@fuzzed
@given(st.text(st.characters(max_codepoint=127)))
def test_xtext_comes_back(text: str) -> None:
    assert xtext_decode("".join(f"+{ord(c):02X}" for c in text)) == text


@fuzzed
@given(st.text())
def test_unitext_comes_back(text: str) -> None:
    coded = unitext_encode(text)
    assert coded.isascii()
    assert unitext_decode(coded) == text


@fuzzed
@given(st.text(st.characters(min_codepoint=33, exclude_categories=("C", "Z")), min_size=1, max_size=40))
def test_the_server_takes_what_we_would_send(address: str) -> None:
    value = f"utf-8;{unitext_encode(address)}"
    assert dsn.EXTENSION.rcpt["ORCPT"](value) == value
    found = original_recipient({"ORCPT": value})
    assert found is not None
    assert found.address == address
