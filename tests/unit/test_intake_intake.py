"""From a message's first byte to the spool's promise."""

import pytest

from fastsmtp.intake.intake import Incoming, Intake, reply_to
from fastsmtp.mail import reply
from fastsmtp.mail.envelope import Recipient
from fastsmtp.mail.reply import Reply
from fastsmtp.spool.base import SpoolError, SpoolFailed, SpoolFull
from tests.fakes.clock import FakeClock
from tests.fakes.spool import MemorySpool


class Door:
    """An intake over a spool in memory, and what came of it."""

    def __init__(self) -> None:
        self.spool = MemorySpool()
        self.intake = Intake(self.spool, hostname="mx.test", clock=FakeClock())
        self.resumed = 0
        self.done: list[Reply | None] = []

    def begin(self, sender: str = "a@b.test") -> Incoming:
        incoming = self.intake.begin(
            sender=sender,
            recipients=[Recipient("c@d.test", "c@d.test")],
            client_ip="192.0.2.1",
            helo="client.test",
            protocol="ESMTP",
            parameters={"SIZE": "5"},
            resume=self._resume,
        )
        assert isinstance(incoming, Incoming)
        return incoming

    def told(self, incoming: Incoming, refused: Reply | None) -> None:
        self.done.append(refused)

    def _resume(self) -> None:
        self.resumed += 1


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.mark.parametrize(
    "pieces", [[], [b"x\r\n"], [b"x", b"\r", b"\n"], [b"a" * 1000, b"b" * 2000, b"c" * 500]]
)
def test_a_small_body_goes_in_one_piece(door: Door, pieces: list[bytes]) -> None:
    incoming = door.begin()
    for piece in pieces:
        assert incoming.write(piece) is True
    incoming.finish(door.told)
    assert door.spool.files == []
    assert door.done == []
    door.spool.commit()
    assert door.done == [None]
    [(envelope, whole)] = door.spool.stored
    assert whole.startswith(b"Return-Path: <a@b.test>\r\nReceived: from client.test ([192.0.2.1])\r\n")
    assert whole.endswith(b"+0000\r\n" + b"".join(pieces))
    assert incoming.size == sum(map(len, pieces))
    assert (envelope.id, envelope.sender, envelope.params) == ("ID00000001", "a@b.test", {"SIZE": "5"})
    assert envelope.received_at == FakeClock().now()
    assert envelope.id.encode() in whole


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("step", [100, 5000])
def test_the_inline_limit_counts_prefix_and_body(door: Door, over: int, step: int) -> None:
    prefix = len(whole_of(door, b""))
    body = bytes(range(256)) * 16
    body = body[: door.spool.inline_limit - prefix + over]
    assert whole_of(door, body, step).endswith(b"+0000\r\n" + body)
    assert len(door.spool.files) == over
    if over:
        assert bytes(door.spool.files[0].data) == door.spool.stored[-1][1]


def whole_of(door: Door, body: bytes, step: int = 5000) -> bytes:
    """What is stored of ``body``, written in pieces of ``step``."""
    incoming = door.begin()
    for start in range(0, len(body), step):
        incoming.write(body[start : start + step])
    incoming.finish(door.told)
    door.spool.commit()
    return door.spool.stored[-1][1]


def test_a_large_body_does_not_gather_in_memory(door: Door) -> None:
    incoming = door.begin()
    for _ in range(10):
        incoming.write(b"x" * 1000)
    [file] = door.spool.files
    assert len(file.data) > 10_000
    assert file.queue_id == incoming.envelope.id
    assert not incoming._body


def test_back_pressure_is_handed_on(door: Door) -> None:
    door.spool.room = 6000
    incoming = door.begin()
    assert incoming.write(b"x" * 5000) is True
    assert incoming.write(b"x" * 1001) is False
    assert door.resumed == 0
    door.spool.files[0].drain()
    assert door.resumed == 1
    assert incoming.write(b"x") is True


def test_back_pressure_of_the_first_piece(door: Door) -> None:
    door.spool.room = 100
    assert door.begin().write(b"x" * 5000) is False


def test_nobody_is_resumed_after_the_end(door: Door) -> None:
    door.spool.room = 100
    for end in ("finish", "abort"):
        incoming = door.begin()
        incoming.write(b"x" * 5000)
        file = door.spool.files[-1]
        if end == "finish":
            incoming.finish(door.told)
        else:
            incoming.abort()
        file.drain()
        assert door.resumed == 0
        assert file.aborted == (end == "abort")


def test_an_abort_leaves_nothing(door: Door) -> None:
    incoming = door.begin()
    incoming.write(b"x")
    incoming.abort()
    incoming = door.begin()
    incoming.write(b"x" * 10_000)
    incoming.abort()
    door.spool.commit()
    assert door.spool.stored == []
    assert [file.aborted for file in door.spool.files] == [True]


def test_errors_reach_the_one_who_waits(door: Door) -> None:
    incoming = door.begin()
    incoming.finish(door.told)
    error = SpoolFull("no room")
    door.spool.commit(error)
    assert door.done == [reply.SPOOL_FULL]
    assert door.spool.stored == []


def test_replies_to_errors() -> None:
    assert reply_to(SpoolFull("x")) == reply.SPOOL_FULL
    assert reply_to(SpoolFailed("x")) == reply.SPOOL_FAILED
    assert reply_to(SpoolError("x")) == reply.SPOOL_FAILED
    assert (reply.SPOOL_FULL.code, reply.SPOOL_FULL.status) == (452, "4.3.1")
    assert (reply.SPOOL_FAILED.code, reply.SPOOL_FAILED.status) == (451, "4.3.0")


@pytest.mark.parametrize(
    ("error", "answer"), [(SpoolFull("x"), reply.SPOOL_FULL), (SpoolFailed("x"), reply.SPOOL_FAILED)]
)
def test_a_spool_in_trouble_takes_nothing(door: Door, error: SpoolError, answer: reply.Reply) -> None:
    assert door.intake.refusal() is None
    door.spool.trouble = error
    assert door.intake.refusal() == answer
    refused = door.intake.begin(
        sender="", recipients=[], client_ip="", helo="", protocol="", parameters=None, resume=lambda: None
    )
    assert refused == answer
    door.spool.trouble = None
    assert door.intake.refusal() is None
