"""The words between master and worker."""

import os
import socket

import pytest

from fastsmtp.process import messages
from fastsmtp.process.messages import MAX_SIZE, Message, decode, receive


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Message(messages.READY), b"ready"),
        (Message(messages.ADOPTED, 3), b"adopted 3"),
        (Message(messages.RELEASED, 0), b"released 0"),
        (Message(messages.ADOPT, 2, crashed=True), b"adopt 2 crash"),
        (Message(messages.ADOPT, 2), b"adopt 2 kill"),
        (Message(messages.RELEASE, 255), b"release 255"),
        (Message(messages.WATCH, 1), b"watch 1"),
        (Message(messages.UNWATCH, 1), b"unwatch 1"),
        (Message(messages.CERTIFICATE, 2), b"certificate 2"),
        (Message(messages.LOG), b"log"),
        (Message(messages.ACCEPT), b"accept"),
        (Message(messages.REMOVE, 9), b"remove 9"),
        (Message(messages.CLOSE, 0), b"close 0"),
        (Message(messages.DRAIN, 3600), b"drain 3600"),
        (Message(messages.REFUSED, 4), b"refused 4"),
        (Message(messages.EMPTIED, 4), b"emptied 4"),
        (Message(messages.FAILED, text="no room: \u20ac 5"), "failed no room: \u20ac 5".encode()),
    ],
)
def test_there_and_back(message: Message, wire: bytes) -> None:
    assert message.encode() == wire
    assert decode(wire) == message
    assert len(wire) <= MAX_SIZE


def test_a_long_reason_is_cut() -> None:
    data = Message(messages.FAILED, text="\u20ac" * 2000).encode()
    assert len(data) <= MAX_SIZE
    assert decode(data).text == "\u20ac" * 300


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"ready 1",
        b"adopt 1",
        b"adopt x kill",
        b"adopt 1 maybe",
        b"watch",
        b"watch -1",
        b"watch 1 2",
    ],
)
def test_nothing_else_is_understood(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a control message"):
        decode(data)


def test_a_message_may_bring_an_open_file() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            receive(theirs)
        for files in ([1], []):
            socket.send_fds(ours, [b"certificate 7"], files)
            message = receive(theirs)
            assert message is not None
            assert message[:3] == (messages.CERTIFICATE, 7, False)
            assert (message.file >= 0) is bool(files)
            if files:
                assert not os.get_inheritable(message.file)
                os.close(message.file)
        ours.close()
        assert receive(theirs) is None
