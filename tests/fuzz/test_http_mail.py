"""Invariant: whatever stands in a message by HTTP, it is refused with ValueError, or what is made of it has no
field, no recipient and no line that was not asked for."""

import re
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.web import raw
from fastsmtp.web.bodies import Lines
from fastsmtp.web.compose import compose
from fastsmtp.web.message import NewMessage
from tests.tools.fuzzing import fuzzed

MADE = {
    b"from",
    b"to",
    b"cc",
    b"reply-to",
    b"subject",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
}
pieces = st.one_of(
    st.sampled_from(
        [*'<>",;()\\@: \r\n\0', "\r\n", "\r\n\r\n", "Bcc: v@far.test", "a@b.test", "=?utf-8?q?=0A?=", "é", "\u2028",
         "\x85", "x" * 90]
    ),
    st.text(max_size=6),
)  # fmt: skip
texts = st.lists(pieces, max_size=8).map("".join)
names = st.one_of(
    st.sampled_from(["X-A", "References", "Message-ID", "Reply-To", "X-\r\nBcc", "List-Id"]), texts
)


@fuzzed
@given(sender=texts, to=texts, subject=texts, name=names, value=texts, text=texts, filename=texts)
def test_json(sender: str, to: str, subject: str, name: str, value: str, text: str, filename: str) -> None:
    body: dict[str, Any] = {
        "from": f"{sender} <a@shop.test>",
        "to": [f"{to} <x@far.test>"],
        "subject": subject,
        "headers": {name: value},
        "text": text,
        "attachments": [{"filename": filename, "content": "AA=="}],
    }
    try:
        made = compose(msgspec.convert(body, NewMessage, builtin_types=()))
    except (ValueError, msgspec.ValidationError):
        return
    assert [one.text for one in made.recipients] == ["x@far.test"]
    content = Lines().feed(made.content)
    head, _, _ = content.partition(b"\r\n\r\n")
    fields = re.findall(rb"(?m)^([!-9;-~]+):", head)
    assert {one.lower() for one in fields} <= MADE | {name.lower().encode()}
    assert not re.search(rb"(?m)^(?![!-9;-~]+:|[ \t])", head)
    assert max(map(len, content.split(b"\r\n"))) <= 998


@fuzzed
@given(texts)
def test_lists_of_addresses(text: str) -> None:
    try:
        found = list(raw.listed(text))
    except ValueError:
        return
    assert all(one in re.sub(r"\([^()]*\)", "", text) or "(" in text for one in found)


@fuzzed
@given(st.lists(st.tuples(st.sampled_from(["To", "Cc", "Bcc", "From", "X", "bCC "]), texts), max_size=6))
def test_as_it_is(fields: list[tuple[str, str]]) -> None:
    text = "".join(f"{name}: {value}\n" for name, value in fields).encode("utf-8", "replace") + b"\nbody\n"
    lines = Lines()
    content = lines.feed(text) + lines.end()
    found = raw.split(content)
    assert found is not None
    cut = raw.without_bcc(found[0])
    assert not re.search(rb"(?im)^bcc[ \t]*:", cut)
    assert raw.split(cut + found[1]) is not None
    try:
        raw.read(found[0])
    except ValueError:
        pass
