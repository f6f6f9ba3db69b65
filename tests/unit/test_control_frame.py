"""Frames: round trips, and whatever is no frame of ours is told in one line."""

import msgspec
import pytest

from fastsmtp.control.frame import (
    HEAD_BYTES,
    MOST_REQUEST,
    VERSION,
    FrameError,
    Request,
    Response,
    body_length,
    frame,
    packed,
    unpacked,
)


def test_round_trip() -> None:
    data = frame(Request("queue.find", packed({"a": 1})))
    length = body_length(data[:HEAD_BYTES], MOST_REQUEST)
    assert length == len(data) - HEAD_BYTES
    request = unpacked(data[HEAD_BYTES:], Request)
    assert request.verb == "queue.find"
    assert unpacked(request.body, dict) == {"a": 1}


def test_another_version_and_too_much_are_told_apart() -> None:
    data = frame(Response(packed(None)))
    with pytest.raises(FrameError) as caught:
        body_length(b"\x07" + data[1:HEAD_BYTES], MOST_REQUEST)
    assert caught.value.version
    assert str(caught.value) == f"version 7 is spoken there, {VERSION} here"
    with pytest.raises(FrameError) as caught:
        body_length(bytes((VERSION,)) + b"\xff\xff\xff\xff", MOST_REQUEST)
    assert not caught.value.version


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93",
        b"\x91" * 5000 + b"\x01",
        b"\x92\x01\x02",
        b"\x92\xa2\xff\xfe\xc0",
        b"\xdf\xff\xff\xff\xff",
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(FrameError):
        unpacked(data, Request)


def test_a_body_of_another_form() -> None:
    with pytest.raises(FrameError) as caught:
        unpacked(msgspec.msgpack.encode({"shard": 1}), list)
    assert "\n" not in str(caught.value)
