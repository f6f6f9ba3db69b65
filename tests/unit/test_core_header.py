"""The Message-ID is found however it is written, in the header alone: compiled and plain."""

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp._core import _py_header

COMPILED: Any = importlib.import_module("fastsmtp._core.header")
IMPLEMENTATIONS: dict[str, Any] = {"py": _py_header, "c": COMPILED}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def header(request: pytest.FixtureRequest) -> Any:
    return IMPLEMENTATIONS[request.param]


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"Subject: x\r\nMessage-ID: <1@x>\r\n\r\nbody", "1@x"),
        (b"Subject: x\r\nMessage-Id:<1@x>\r\n\r\nbody", "1@x"),
        (b"MESSAGE-ID  : <1@x>\r\nSubject: x\r\n\r\nbody", "1@x"),
        (b"Subject: x\r\nmessage-id:\r\n <1@x>\r\n\r\n", "1@x"),
        (b"Subject: x\r\nmessage-identity: 7\r\nmessage-iD: (x) <1@x>\r\n\r\n", "1@x"),
        (b"Message-ID: <1@x>", "1@x"),
        (b"Message-ID: <1@x>\r\nMessage-ID: <2@x>\r\n\r\n", "1@x"),
        (b"Message-ID: odd one\r\n\r\n", "odd one"),
        (b"Message-ID: odd\r one\n\r\n\r\n", "odd\r one"),
        (b"Subject: x\nMessage-ID: <1@x>\r\n\r\n", ""),
        (b"Subject: x\r\nMessage-ID: <a\xff@x>\r\n\r\n", "a\ufffd@x"),
        (b"Subject: x\r\nMessage-ID:", ""),
        (b"Subject: x\r\nMessage-ID", ""),
        (b"Subject: x\r\n\r\nMessage-ID: <1@x>\r\n\r\n", ""),
        (b"\r\nSubject: x\r\nMessage-ID: <1@x>\r\n\r\n", ""),
        (b"X-Message-ID: <1@x>\r\n\r\n", ""),
        (b"\r\nMessage-ID: <1@x>\r\n\r\n", ""),
        (b"A: b\r\nMessage-ID: <\r\n 1@x>\r\n\r\n", "1@x"),
        (b"A: b\r\nMessage-ID: <1@x\r\nB: <2@x>\r\n\r\n", "<1@x"),
        (b"A: b\r\nMessage-ID: >1<2>\r\n\r\n", ">1<2>"),
        (b"", ""),
    ],
)
def test_found(header: Any, start: bytes, found: str) -> None:
    assert header.message_id(b"Received: y\r\n", start) == found
    assert header.message_id(b"Received: y\r\n", bytearray(start)) == found


def test_one_of_ours(header: Any) -> None:
    assert (
        header.message_id(b"Message-ID: <2@y>\r\nReceived: y\r\n", b"Subject: x\r\n\r\nMessage-ID: <1@x>\r\n")
        == "2@y"
    )


def test_bounds(header: Any) -> None:
    assert header.message_id(b"", b"Message-ID: <" + b"x" * 5000 + b">\r\n\r\n") == "x" * header.LONGEST
    late = b"X: " + b"y" * header.MOST_HEADER + b"\r\nMessage-ID: <1@x>\r\n\r\n"
    assert header.message_id(b"", late) == ""
    assert COMPILED.MOST_HEADER == _py_header.MOST_HEADER
    assert COMPILED.LONGEST == _py_header.LONGEST


WORDS = b"Message-ID|message-id|:| |\t|\r\n|\r|\n|<|>|1@x|\xff|Subject: x\r\n".split(b"|")
PIECES = st.sampled_from([*WORDS, b"y" * 16370, b"z" * 251])


@given(st.lists(PIECES, max_size=14).map(b"".join), st.lists(PIECES, max_size=4).map(b"".join))
def test_both_find_the_same(start: bytes, prefix: bytes) -> None:
    assert COMPILED.message_id(prefix, start) == _py_header.message_id(prefix, start)
