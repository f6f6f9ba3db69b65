"""Large messages for servers that take less than what they hold."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes

import pytest

from fastsmtp.mail.result import DeliveryResult
from fastsmtp.smtp.outgoing_plan import NO_EIGHT_BIT, NO_UTF8_HEADER
from fastsmtp.smtp.outgoing_values import Offer, Outcome
from fastsmtp.transport.smtp import fitting
from fastsmtp.transport.smtp.connection import FileContent
from fastsmtp.transport.smtp.fitting import PIECE, Fitted, fit
from tests.fakes.outbound import World, envelope, place, run
from tests.fakes.scripted_peer import ScriptedPeer

LINES = 40_000
"""Lines of a message that is read in several pieces."""
HEAD = b"Subject: large\r\n\r\n"
EIGHT = HEAD + b"plain line\r\n" * LINES + "käse\r\n".encode() * LINES
SEVEN = HEAD + b"plain line of some text\r\n" * 2 * LINES
SIGNED = b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nk\xc3\xa4se\r\n--b--\r\n"


@contextmanager
def filed(text: bytes) -> Iterator[FileContent]:
    """``text`` in the middle of a file."""
    fd = os.memfd_create("message")
    try:
        os.write(fd, b"before" + text + b"behind")
        yield FileContent(fd, 6, len(text))
    finally:
        os.close(fd)


def fitted(text: bytes, *keywords: str, **params: str) -> Fitted | Outcome:
    with filed(text) as content:
        return fit(content, os.dup(content.fd), Offer(keywords=frozenset(keywords)), params)


def octets(found: Fitted | Outcome) -> bytes:
    assert isinstance(found, Fitted)
    return os.pread(found.content.fd, found.content.length, found.content.offset)


# --- what becomes of it --------------------------------------------------------------------------------------------


def test_what_is_ascii_goes_as_it_is() -> None:
    assert len(SEVEN) > PIECE
    found = fitted(SEVEN, BODY="8BITMIME")
    assert isinstance(found, Fitted)
    assert (found.file, found.content.offset, found.content.length) == (None, 6, len(SEVEN))


def test_eight_bits_become_seven() -> None:
    found = fitted(EIGHT, BODY="8BITMIME", RET="HDRS")
    text = octets(found)
    assert isinstance(found, Fitted)
    assert text.isascii()
    assert message_from_bytes(text).get_payload(decode=True) == EIGHT[len(HEAD) :]
    assert found.params == {"RET": "HDRS"}
    found.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(found.content.fd)


def test_binary_becomes_seven_bits_unless_the_server_takes_it() -> None:
    text = b"Mime-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\xff"
    converted = fitted(text, "8BITMIME", BODY="BINARYMIME")
    assert octets(converted).isascii()
    assert isinstance(converted, Fitted)
    converted.close()
    found = fitted(text, "BINARYMIME", "CHUNKING", BODY="BINARYMIME")
    assert isinstance(found, Fitted)
    assert (found.file, found.params) == (None, {"BODY": "BINARYMIME"})


def test_a_header_in_utf_8_has_to_be_understood() -> None:
    assert fitted("Subject: käse\r\n\r\nx\r\n".encode(), "8BITMIME", SMTPUTF8="") == NO_UTF8_HEADER
    found = fitted(EIGHT, "8BITMIME", SMTPUTF8="", BODY="8BITMIME")
    assert isinstance(found, Fitted)
    assert found.params == {"BODY": "8BITMIME"}


def test_what_has_no_form_in_seven_bits() -> None:
    assert fitted(SIGNED) == NO_EIGHT_BIT


def test_what_is_too_large_to_be_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "LARGEST", len(EIGHT) - 1)
    assert fitted(EIGHT) == fitting.TOO_LARGE
    assert isinstance(fitted(SEVEN), Fitted), "only what changes is bounded"


def test_a_file_that_has_shrunk() -> None:
    with filed(SEVEN) as content:
        found = fit(FileContent(content.fd, 0, 1 << 30), os.dup(content.fd), Offer(), None)
    assert isinstance(found, Outcome)
    assert (found.status, found.enhanced) == ("deferred", "4.3.0")


# --- in a delivery --------------------------------------------------------------------------------------------------


def sent(peer: ScriptedPeer, text: bytes, *to: str, **params: str) -> list[DeliveryResult]:
    async def attempt() -> list[DeliveryResult]:
        async with World(recipients=1) as world:
            letter = envelope(*(to or ("b@far.test",)), **params)
            with filed(text) as content:
                results, _ = await world.send(place(peer), letter, content)
                assert "internal error" not in world.logged()
            (after,), _ = await world.send(place(peer))
            assert after.status == "relayed", "the connection is still good"
            return results

    with peer:
        return run(attempt())


def test_a_server_without_8bitmime_gets_it_converted() -> None:
    peer = ScriptedPeer(extensions=["PIPELINING", "SIZE 10000000"])
    (result,) = sent(peer, EIGHT, BODY="8BITMIME")
    assert (result.status, result.code) == ("relayed", 250)
    assert peer.connections == 1
    assert message_from_bytes(peer.bodies[0]).get_payload(decode=True) == EIGHT[len(HEAD) :]
    assert "BODY=" not in "".join(peer.commands)


def test_each_transaction_of_it() -> None:
    peer = ScriptedPeer(extensions=["PIPELINING"])
    results = sent(peer, EIGHT, "b@far.test", "c@far.test", "d@far.test")
    assert [one.status for one in results] == ["relayed"] * 3
    assert len({*peer.bodies[:3]}) == 1


def test_what_cannot_be_converted_comes_back_and_the_session_goes_on() -> None:
    peer = ScriptedPeer(extensions=["PIPELINING"])
    (result,) = sent(peer, SIGNED)
    assert (result.status, result.enhanced) == ("failed", "5.6.3")
    assert peer.verbs().count("MAIL") == 1, "only that of the message after it"


def test_a_connection_that_is_lost_meanwhile_has_delivered_nothing() -> None:
    """What the transaction before came to must not be taken for an answer."""

    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            await world.send(place(peer))
            with filed(EIGHT) as content:
                delivery, future = world.begin(place(peer), content=content)
                (connection,) = world.transport.lines.connections
                connection.drop("gone")
                (result,), _ = await future
                assert result.status == "relayed"
                del delivery

    with ScriptedPeer(extensions=["PIPELINING"]) as peer:
        run(attempt(peer))
    assert peer.connections == 2
    assert len(peer.bodies) == 2


def test_a_delivery_that_is_cancelled_meanwhile() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            with filed(EIGHT) as content:
                await world.send(place(peer))
                delivery, future = world.begin(place(peer), content=content)
                delivery.cancel("enough")
                (result,), _ = await future
                assert (result.status, result.text) == ("deferred", "enough")
            while world.transport._tasks:
                await asyncio.sleep(0.005)

    with ScriptedPeer(extensions=["PIPELINING"]) as peer:
        run(attempt(peer))
    assert len(peer.bodies) == 1
