"""Messages made of JSON, as another program reads them."""

import email
from email import policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest

from fastsmtp.web import raw
from fastsmtp.web.compose import Composed, compose
from fastsmtp.web.message import NewMessage


def made(**members: Any) -> Composed:
    body = {"from": "a@shop.test", "to": ["x@far.test"], "text": "hello", **members}
    return compose(msgspec.json.decode(msgspec.json.encode(body), type=NewMessage))


def read(**members: Any) -> EmailMessage:
    found = email.message_from_bytes(made(**members).content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert [part.defects for part in found.walk()] == [[] for _ in found.walk()]
    return found


def test_everything_together() -> None:
    found = read(
        **{"from": "Müller, Ä. <a@shop.test>"},
        to=['"Doe, \\"J\\"" <x@far.test>', "y@far.test"],
        cc=["Z <z@far.test>"],
        bcc=["secret@far.test"],
        reply_to=["r@shop.test"],
        subject="Grüße " * 30,
        text="ä" * 2000,
        html="<img src='cid:logo@x'>",
        headers={
            "List-Unsubscribe": "<mailto:l@shop.test>",
            "X-Note": "é" * 300,
            "Message-ID": "<m@shop.test>",
        },
        attachments=[
            {"filename": "logo.png", "content": "AAEC", "type": "image/png", "content_id": "logo@x"},
            {"filename": "bücher.txt", "content": "aGFsbG8=", "type": "text/plain"},
        ],
    )
    assert found["From"].addresses[0].display_name == "Müller, Ä."
    assert [one.addr_spec for one in found["To"].addresses] == ["x@far.test", "y@far.test"]
    assert found["To"].addresses[0].display_name == 'Doe, "J"'
    assert found["Subject"] == ("Grüße " * 30)
    assert found["Reply-To"] == "r@shop.test"
    assert found["X-Note"] == "é" * 300
    assert found["Message-ID"] == "<m@shop.test>"
    assert "secret" not in found.as_string()
    text, html = found.get_body(("plain",)), found.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "ä" * 2000
    assert "cid:logo@x" in html.get_content()
    kinds = [part.get_content_type() for part in found.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "image/png", "text/plain"]
    (attached,) = found.iter_attachments()
    assert attached.get_filename() == "bücher.txt"
    assert attached.get_content().strip() == "hallo"


@pytest.mark.parametrize("text", ["", ".", "x" * 5000, "a\nb\r\nc\rd", "From here", "\t \x0b", "é\u2028x"])
def test_lines_are_as_they_must_be(text: str) -> None:
    lines = made(text=text).content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(set(line) & set(b"\x80\xff\0") for line in lines)


def test_only_bcc_shows_nobody() -> None:
    composed = made(to=[], bcc=["x@far.test"])
    assert b"To: undisclosed-recipients:;" in composed.content
    assert [one.text for one in composed.recipients] == ["x@far.test"]


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    assert made(to=["jürgen@far.test"]).utf8
    assert made(bcc=["jürgen@far.test"]).utf8
    assert not made(subject="Grüße").utf8
    assert "jürgen@far.test".encode() in made(to=["jürgen@far.test"]).content


@pytest.mark.parametrize(
    "members",
    [
        {"subject": "a\u2028Bcc: x"},
        {"subject": "a\x85b"},
        {"subject": "=?utf-8?q?=0ABcc:_v@far.test?="},
        {"headers": {"X-A": "=?utf-8?q?=0ABcc:_v@far.test?=<"}},
        {"from": "=?utf-8?Q?=0A?= <a@shop.test>"},
        {"attachments": [{"filename": "=?us-ascii?b?Cg==?=", "content": ""}]},
        {"headers": {"From": "x"}},
        {"headers": {"content-type": "text/html"}},
        {"headers": {"Received": "x"}},
        {"headers": {"X-A": "a", "x-a": "b"}},
        {"headers": {"": "a"}},
        {"headers": {"X A": "a"}},
        {"headers": {"Ünï": "a"}},
        {"headers": {"Message-ID": "<<<"}},
        {"from": ""},
        {"from": "<>"},
        {"from": "Me <me@shop.test> <you@shop.test>"},
        {"to": ["x@far.test\0"]},
        {"to": ['"a" b <x@far.test>']},
        {"html": None, "attachments": [{"filename": "x", "content": "", "content_id": "y"}]},
        {"html": "x", "attachments": [{"filename": "x", "content": "", "content_id": "y>\r\nX: z"}]},
        {"attachments": [{"filename": "a\\b", "content": ""}]},
        {"attachments": [{"filename": "..", "content": ""}]},
        {"attachments": [{"filename": "x", "content": "", "type": "text/plain; charset=x"}]},
        {"attachments": [{"filename": "x", "content": "", "type": "message/rfc822"}]},
    ],
)
def test_what_cannot_stand_in_a_message(members: dict[str, Any]) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        made(**members)


# --- as it is -------------------------------------------------------------------------------------


def test_bcc_is_cut_out_wherever_it_stands() -> None:
    head = b"bcc: a@b\r\nSubject: Bcc: no\r\nBCC : c@d,\r\n e@f\r\nX: y\r\n Bcc: z\r\nResent-Bcc: g@h\r\n\r\n"
    assert raw.without_bcc(head) == b"Subject: Bcc: no\r\nX: y\r\n Bcc: z\r\n\r\n"


def test_the_header_ends_with_an_empty_line() -> None:
    assert raw.split(b"A: b\r\n\r\nc\r\n\r\nd") == (b"A: b\r\n\r\n", b"c\r\n\r\nd")
    assert raw.split(b"\r\nbody") == (b"\r\n", b"body")
    assert raw.split(b"A: b\r\n") is None


def test_who_it_is_for_by_its_header() -> None:
    head = (
        b"From: J. Doe <j@shop.test>\r\nTo: friends: a@far.test, B <b@far.test>;, c@far.test\r\n"
        b"Cc: =?utf-8?q?J=C3=BCrgen?= <d@far.test>\r\nTo: e@far.test\r\n\r\n"
    )
    found = raw.read(head)
    assert found.sender is not None
    assert found.sender.text == "j@shop.test"
    assert sorted(one.text for one in found.recipients) == [f"{letter}@far.test" for letter in "abcde"]
    assert raw.read(b"To: undisclosed-recipients:;\r\n\r\n").recipients == []
    assert raw.read(b"From: a@b.test\r\nFrom: c@d.test\r\n\r\n").sender is None
    for bad in (
        b'To: "x\r\n\r\n',
        b"To: (x a@b.test\r\n\r\n",
        b"To: <>\r\n\r\n",
        b"To: a@\r\n\r\n",
        b"To: <a@b.test\r\n\r\n",
        b"To: a b@c\r\n\r\n",
    ):
        with pytest.raises(ValueError, match="To, Cc or Bcc: "):
            raw.read(bad)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", []),
        ("a@b.test", ["a@b.test"]),
        ('"x, y (z" <a@b.test> (no, c@d.test), <e@f.test>', ["a@b.test", "e@f.test"]),
        ("us:; them: a@b.test, c@d.test;, e@f.test", ["a@b.test", "c@d.test", "e@f.test"]),
        ("((deep) <no@b.test>) a@b.test", ["a@b.test"]),
        ('"quo,ted"@b.test', ['"quo,ted"@b.test']),
        ("Fran\u00e7ois <a@b.test>,,", ["a@b.test"]),
    ],
)
def test_lists_of_addresses(text: str, addresses: list[str]) -> None:
    assert list(raw.listed(text)) == addresses


@pytest.mark.parametrize(
    "text", ["(" * 50_000, "<" * 50_000, '"' * 50_001, "a@b.test> x", "<a@b> <c@d>", "a\\", "a)"]
)
def test_what_is_no_list_of_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="it "):
        list(raw.listed(text))
