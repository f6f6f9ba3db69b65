"""The extensions' EHLO lines and the readers of their parameters."""

import pytest

from fastsmtp.mail import reply
from fastsmtp.smtp.extensions import EXTENSIONS, Facts, body, dsn, plain, size, utf8
from fastsmtp.smtp.extensions.base import keyword, no_value, one_of

BAD = reply.BAD_PARAMETER_VALUE
FACTS = Facts(size=1000, recipients=7)


def test_what_is_announced() -> None:
    lines = [extension.line(FACTS) for extension in EXTENSIONS]
    assert [line for line in lines if line is not None] == [
        "PIPELINING",
        "SIZE 1000",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "BINARYMIME",
        "ENHANCEDSTATUSCODES",
        "DSN",
        "LIMITS RCPTMAX=7",
    ]
    assert plain.PIPELINING in EXTENSIONS


def test_no_parameter_has_two_readers() -> None:
    for which in ("mail", "rcpt"):
        keywords = [word for extension in EXTENSIONS for word in getattr(extension, which)]
        assert len(keywords) == len(set(keywords))
        assert all(word == word.upper() for word in keywords)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("0", "0"), ("1", "1"), ("007", "007"), ("9" * 20, "9" * 20), ("9" * 21, BAD), (None, BAD), ("", BAD),
        ("-1", BAD), ("+1", BAD),
        ("1k", BAD), ("1.0", BAD), ("١", BAD), ("²", BAD), (" 1", BAD),
    ],
)  # fmt: skip
def test_size(value: str | None, read: object) -> None:
    assert size.EXTENSION.mail["SIZE"](value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("7bit", "7BIT"),
        ("8BITMIME", "8BITMIME"),
        ("BinaryMime", "BINARYMIME"),
        (None, BAD),
        ("", BAD),
        ("8BIT", BAD),
    ],
)
def test_body(value: str | None, read: object) -> None:
    assert body.EIGHTBIT.mail["BODY"](value) == read
    assert not body.BINARY.mail


def test_smtputf8() -> None:
    read = utf8.EXTENSION.mail["SMTPUTF8"]
    assert read(None) == ""
    assert read("1") == BAD
    assert no_value("") == BAD


@pytest.mark.parametrize(
    ("value", "read"), [("full", "FULL"), ("HDRS", "HDRS"), (None, BAD), ("BODY", BAD), ("FULL,HDRS", BAD)]
)
def test_ret(value: str | None, read: object) -> None:
    assert dsn.EXTENSION.mail["RET"](value) == read


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("QQ314159", True), ("a+2Bb+3D", True), ("!~<>,-*", True), ("x" * 100, True), ("+2B" * 100, True),
        ("x" * 101, False), (None, False), ("", False), ("a=b", False), ("a+b", False), ("a+2b", False),
        ("a+", False), ("ü", False),
        ("a b", False), ("a\n", False),
    ],
)  # fmt: skip
def test_envid(value: str | None, good: bool) -> None:
    assert dsn.EXTENSION.mail["ENVID"](value) == (value if good else BAD)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("rfc822;a@b.test", True), ("RFC822;a+2Bb@b.test", True), ("utf-8;grüße@b.test", True), ("x-1;y", True),
        ("rfc822;" + "x" * 493, True), ("rfc822;" + "x" * 494, False), (None, False), ("", False),
        ("rfc822", False), ("rfc822;", False),
        (";a@b.test", False), ("rfc 822;a", False), ("rfc822;a=b", False), ("rfc822;a+b", False),
    ],
)  # fmt: skip
def test_orcpt(value: str | None, good: bool) -> None:
    assert dsn.EXTENSION.rcpt["ORCPT"](value) == (value if good else BAD)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("NEVER", "NEVER"), ("never", "NEVER"), ("SUCCESS", "SUCCESS"), ("delay,failure", "DELAY,FAILURE"),
        ("SUCCESS,FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"), ("NEVER,SUCCESS", BAD), ("SUCCESS,SUCCESS", BAD),
        ("NEVER,NEVER", BAD),
        (None, BAD), ("", BAD), ("SUCCESS,", BAD), (",", BAD), ("ALWAYS", BAD), ("SUCCESS FAILURE", BAD),
    ],
)  # fmt: skip
def test_notify(value: str | None, read: object) -> None:
    assert dsn.EXTENSION.rcpt["NOTIFY"](value) == read


def test_helpers() -> None:
    assert keyword("X")(FACTS) == "X"
    assert one_of("A", "B")("b") == "B"
    assert one_of("A")("C") == BAD
