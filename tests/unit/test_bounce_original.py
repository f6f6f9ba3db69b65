"""What comes back of a message: headers or all, as it was or encoded, whatever it was."""

import base64
import quopri

import pytest

from fastsmtp.bounce.decide import Kind, Notice
from fastsmtp.bounce.mime import lines_are_good
from fastsmtp.bounce.original import (
    HEADERS_LIMIT,
    WHOLE_LIMIT,
    Original,
    find_field,
    message_id,
    returned,
    whole_is_owed,
)
from fastsmtp.mail.envelope import Envelope

HEAD = b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n"
MAIL = HEAD + b"\r\nbody\r\n"


def original(content: bytes) -> Original:
    return Original(content, len(content))


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (MAIL, HEAD),
        (HEAD, HEAD),
        (HEAD.rstrip(), HEAD),
        (b"\r\nbody\r\n", b""),
        (b"", b"\r\n"),
        (b"A: 1\nB: 2\n\nbody", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\rB: 2\r\rbody", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\r\n B\r\n\r\n", b"A: 1\r\n B\r\n"),
    ],
)
def test_headers(content: bytes, headers: bytes) -> None:
    assert original(content).headers() == headers


def test_headers_end_somewhere() -> None:
    line = b"X-Line: " + b"x" * 90 + b"\r\n"
    cut = Original((line * 2000)[:HEADERS_LIMIT], 200_000).headers()
    assert cut == line * (HEADERS_LIMIT // 100)
    assert original(b"x" * 100_000).headers() == b"\r\n"  # one line that is never whole


@pytest.mark.parametrize(
    ("kind", "ret", "size", "whole"),
    [
        ("failed", "FULL", 100, True),
        ("failed", "FULL", WHOLE_LIMIT, True),
        ("failed", "FULL", WHOLE_LIMIT + 1, False),
        ("failed", "HDRS", 100, False),
        ("failed", None, 100, False),
        ("delayed", "FULL", 100, False),
        ("succeeded", "FULL", 100, False),
    ],
)
def test_all_of_it_only_of_a_failure_and_to_who_asked(
    kind: Kind, ret: str | None, size: int, whole: bool
) -> None:
    params = None if ret is None else {"RET": ret}
    envelope = Envelope("0", "alice@example.org", [], "", "", "", 0.0, params)
    assert whole_is_owed(Notice("alice@example.org", kind, ()), envelope, size) is whole
    assert not whole_is_owed(Notice("owner@example.org", kind, (), from_list=True), envelope, size)
    assert whole_is_owed(Notice("postmaster@x.test", "failed", (), double=True), envelope, size) is (
        size <= WHOLE_LIMIT
    )


UTF8_HEAD = "Subject: größe\r\n".encode()
LATIN_HEAD = b"Subject: gr\xf6\xdfe\r\n"
EIGHT_BIT = b"\r\ngr\xf6\xdfe\r\n"


@pytest.mark.parametrize(
    ("content", "smtputf8", "eight_bit", "type", "encoding"),
    [
        (MAIL, False, False, "message/rfc822", "7bit"),
        (MAIL, True, True, "message/rfc822", "7bit"),
        (HEAD + EIGHT_BIT, False, False, "message/rfc822", "8bit"),
        (UTF8_HEAD + EIGHT_BIT, True, True, "message/global", "8bit"),
        (UTF8_HEAD + EIGHT_BIT, True, False, "message/global", "base64"),
        (UTF8_HEAD + b"\r\n\0" + b"x" * 2000, True, True, "message/global", "base64"),
        # not fit to be carried as they are: headers only
        (UTF8_HEAD + EIGHT_BIT, False, False, "text/rfc822-headers", "quoted-printable"),
        (LATIN_HEAD + EIGHT_BIT, False, True, "text/rfc822-headers", "quoted-printable"),
        (LATIN_HEAD + EIGHT_BIT, True, True, "text/rfc822-headers", "quoted-printable"),
        (HEAD + b"\r\n" + b"x" * 999 + b"\r\n", False, False, "text/rfc822-headers", "7bit"),
        (HEAD + b"\r\nbare\nline\r\n", False, False, "text/rfc822-headers", "7bit"),
        (HEAD + b"\r\nbare\rline\r\n", True, True, "text/rfc822-headers", "7bit"),
        (HEAD + b"\r\nnul\0\r\n", False, False, "text/rfc822-headers", "7bit"),
    ],
)
def test_the_whole_message(content: bytes, smtputf8: bool, eight_bit: bool, type: str, encoding: str) -> None:
    part = returned(original(content), True, smtputf8, eight_bit)
    assert (part.type, part.encoding) == (type, encoding)
    assert lines_are_good(part.body)
    if type.endswith("headers"):
        assert quopri.decodestring(part.body) == original(content).headers()
    elif encoding == "base64":
        assert base64.b64decode(part.body) == content
    else:
        assert part.body == content


@pytest.mark.parametrize(
    ("head", "smtputf8", "eight_bit", "type", "encoding"),
    [
        (HEAD, False, False, "text/rfc822-headers", "7bit"),
        (HEAD, True, True, "text/rfc822-headers", "7bit"),
        (b"X: " + b"x" * 2000 + b"\r\n", False, False, "text/rfc822-headers", "quoted-printable"),
        (b"X: \0\r\n", False, False, "text/rfc822-headers", "quoted-printable"),
        (LATIN_HEAD, False, False, "text/rfc822-headers", "quoted-printable"),
        (LATIN_HEAD, True, True, "text/rfc822-headers", "quoted-printable"),  # is not UTF-8
        (UTF8_HEAD, False, False, "text/rfc822-headers", "quoted-printable"),
        (UTF8_HEAD, True, False, "message/global-headers", "quoted-printable"),
        (UTF8_HEAD, True, True, "message/global-headers", "8bit"),
        (
            UTF8_HEAD * 2 + b"X: " + b"x" * 2000 + b"\r\n",
            True,
            True,
            "message/global-headers",
            "quoted-printable",
        ),
    ],
)
def test_the_headers(head: bytes, smtputf8: bool, eight_bit: bool, type: str, encoding: str) -> None:
    part = returned(original(head + b"\r\nbody\r\n"), False, smtputf8, eight_bit)
    assert (part.type, part.encoding) == (type, encoding)
    assert lines_are_good(part.body)
    assert (quopri.decodestring(part.body) if encoding == "quoted-printable" else part.body) == head


def test_what_is_not_all_there_does_not_come_back_whole() -> None:
    assert returned(Original(MAIL, 1000), True, False, False).type == "text/rfc822-headers"


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (b"Subject: hello\r\n", "hello"),
        (b"To: x\r\nsubject : hello\r\n", "hello"),
        (b"X-Subject: no\r\nSubject:yes\r\n", "yes"),
        (b"Subject: one\r\n two\r\n\tthree\r\nTo: x\r\n", "one two three"),
        (b"Subject: first\r\nSubject: second\r\n", "first"),
        (b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?= =?iso-8859-1?b?5Pb8?=\r\n", "Größeäöü"),
        (b"Subject: =?utf-8?q?a=0D=0ABcc=3A_x?=\r\n", "a??Bcc: x"),
        (b"Subject: =?utf-8?q?=E2=80=AEx?=\r\n", "?x"),
        (b"Subject: =?nonsense?q?x?=\r\n", "=?nonsense?q?x?="),
        (b"Subject: =?utf-8?b?A?=\r\n", "=?utf-8?b?A?="),
        (b"Subject: =?ascii?q?=FF?=\r\n", "=?ascii?q?=FF?="),
        ("Subject: größe\r\n".encode(), "größe"),
        (b"Subject: gr\xf6\xdfe\r\n", "gr\ufffd\ufffde"),
        (b"Subject: " + b"x" * 5000 + b"\r\n", "x" * 199 + "…"),
        (b"Subject:\r\nTo: x\r\n", ""),
        (b"To: x\r\n", ""),
        (b"", ""),
    ],
)
def test_a_field_for_people(headers: bytes, value: str) -> None:
    assert find_field(headers, "Subject") == value


@pytest.mark.parametrize(
    ("value", "id"),
    [
        (b"<1@example.org>", "<1@example.org>"),
        (b" <1.a+b=c@example.org> ", "<1.a+b=c@example.org>"),
        (b"\r\n <1@example.org>", "<1@example.org>"),
        (b"<1@example.org> <2@example.org>", ""),
        (b"<1@example.org>, x", ""),
        (b"<with blank@example.org>", ""),
        ("<größe@example.org>".encode(), ""),
        (b"<" + b"x" * 300 + b">", ""),
        (b"<>", ""),
        (b"<=?utf-8?q?x@y>", ""),
        (b"1@example.org", ""),
    ],
)
def test_a_message_id(value: bytes, id: str) -> None:
    assert message_id(b"Message-ID:" + value + b"\r\n") == id
