"""Input that is too much, too early, cut short or not SMTP: a clear reply, bounded memory, nothing lost."""

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import arrived, audit
from tests.tools.site import Site, site
from tests.tools.waiting import until
from tests.tools.wire import Gone, Wire, stuffed

LIMIT = 1_000_000
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    limits = {"message_size": LIMIT, "recipients": 100, "errors": 20, "connections_per_ip": 0}
    with site(tmp_path_factory.mktemp("input"), workers=1, limits=limits) as server:
        yield server
        server.stop_in_order()
        assert audit.left_behind(server.data, server.mail) == []


def delivered(server: Site, queue_id: str, user: str = "alice") -> bytes:
    """The content of this message, once it stands in the mailbox."""

    def look() -> list[bytes]:
        return [each.content for each in arrived.messages(server.maildir(user)) if each.queue_id == queue_id]

    (content,) = until(f"{queue_id} is delivered", look, 60)
    return content


def reset(wire: Wire) -> None:
    """Close with RST instead of FIN."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def flood(wire: Wire, piece: bytes, megabytes: int) -> int:
    """Send this again and again, reading nothing, until so much is sent or the server stops taking it;
    returns the bytes sent."""
    wire.socket.settimeout(3)
    sent = 0
    with contextlib.suppress(OSError):
        while sent < megabytes * MEGABYTE:
            wire.socket.sendall(piece)
            sent += len(piece)
    return sent


# --- content that must pass ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: nul\r\n\r\na\0b\r\n\0.\r\n.\0\r\n",
        b"Subject: eight\r\n\r\n" + bytes(range(0x80, 0x100)) + b"\r\n",
        b"Subject: control\r\n\r\n" + bytes(set(range(0x20)) - {10, 13}) + b"\x7f\r\n",
        b"Subject: long line\r\n\r\n" + b"x" * 900_000 + b"\r\n",
        b"Subject: long field " + b"y" * 5_000 + b"\r\n\r\n\r\n",
        b".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
        b"no header at all\r\n",
        b"\r\n",
    ],
    ids=lambda each: repr(each[:16]),
)
def test_every_byte_is_kept(server: Site, content: bytes) -> None:
    with server.wire() as wire:
        wire.hello()
        queue_id = wire.message(content, "alice@example.org").queue_id
    assert delivered(server, queue_id) == content


def test_an_empty_message(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        wire.envelope("alice@example.org")
        queue_id = wire.data(b".\r\n").queue_id
    assert delivered(server, queue_id) == b""


# --- too much -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [b"", b"NOOP ", b"MAIL FROM:<", b"EHLO "], ids=repr)
def test_endless_command_line(server: Site, prefix: bytes) -> None:
    before = server.memory()
    with server.wire() as wire:
        wire.hello()
        wire.send(prefix)
        flood(wire, b"x" * 65536, 64)
        assert server.memory() - before < 8 * MEGABYTE
        with contextlib.suppress(Gone, OSError):
            wire.send(b"\r\n")
            answer = wire.answer()
            assert answer.code in (421, 500), answer
    assert server.wire().usable()


def test_endless_header(server: Site) -> None:
    before = server.memory()
    with server.wire() as wire:
        wire.hello()
        wire.envelope("alice@example.org")
        wire.expect("DATA", "354")
        for number in range(300):
            wire.send(b"".join(b"X-%d-%d: %b\r\n" % (number, i, b"x" * 900) for i in range(100)))
        assert server.memory() - before < 24 * MEGABYTE
        wire.send(b"\r\n.\r\n")
        assert wire.answer().brief == "552 5.3.4"
        assert wire.usable()


def test_endless_header_line(server: Site) -> None:
    before = server.memory()
    with server.wire() as wire:
        wire.hello()
        wire.envelope("alice@example.org")
        wire.expect("DATA", "354")
        wire.send(b"Subject: ")
        for _ in range(400):
            wire.send(b"x" * 65536)
        assert server.memory() - before < 24 * MEGABYTE
        wire.send(b"\r\n\r\n.\r\n")
        assert wire.answer().brief == "552 5.3.4"
        assert wire.usable()


def test_endless_recipients(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        wire.expect("MAIL FROM:<a@client.example>", "250")
        for number in range(100):
            wire.expect(f"RCPT TO:<alice+{number}@example.org>", "250")
        wire.expect("RCPT TO:<bob@example.org>", "452 4.5.3")
        queue_id = wire.data(b"Subject: many\r\n\r\n.\r\n").queue_id
    assert delivered(server, queue_id) == b"Subject: many\r\n\r\n"
    copies = [each for each in arrived.messages(server.maildir("alice")) if each.queue_id == queue_id]
    assert len(copies) == 1, "alice was named a hundred times and gets one copy"


def test_recipients_without_end_in_one_flood(server: Site) -> None:
    before = server.memory()
    with server.wire() as wire:
        wire.hello()
        wire.expect("MAIL FROM:<a@client.example>", "250")
        line = b"RCPT TO:<" + b"alice+" + b"x" * 50 + b"%06d@example.org>\r\n"
        wire.socket.settimeout(3)
        with contextlib.suppress(OSError):
            for start in range(0, 200_000, 1000):
                wire.socket.sendall(b"".join(line % number for number in range(start, start + 1000)))
        assert server.memory() - before < 16 * MEGABYTE
    assert server.wire().usable()


def test_replies_that_nobody_reads(server: Site) -> None:
    before = server.memory()
    with server.wire() as wire:
        wire.hello()
        flood(wire, b"NOOP\r\n" * 10_000, 64)
        assert server.memory() - before < 16 * MEGABYTE
    assert server.wire().usable()


def test_size_refused_at_mail(server: Site) -> None:
    with server.wire() as wire:
        assert f"SIZE {LIMIT}" in wire.hello().lines
        wire.expect(f"MAIL FROM:<a@client.example> SIZE={LIMIT + 1}", "552 5.3.4")
        wire.expect(f"MAIL FROM:<a@client.example> SIZE={LIMIT}", "250 2.1.0")
        wire.expect("RCPT TO:<alice@example.org>", "250 2.1.5")
        wire.data(b"Subject: fits\r\n\r\n.\r\n").queue_id  # noqa: B018 - checks that it was accepted


def test_body_over_the_limit_is_read_to_its_end(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        too_much = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 998 + b"\r\n") * 5_000
        assert wire.message(too_much, "alice@example.org").brief == "552 5.3.4"
        queue_id = wire.message(b"Subject: next\r\n\r\nnext\r\n", "alice@example.org").queue_id
    assert delivered(server, queue_id) == b"Subject: next\r\n\r\nnext\r\n"


def test_exactly_at_the_limit(server: Site) -> None:
    content = b"Subject: edge\r\n\r\n"
    content += b"z" * (LIMIT - len(content) - 2) + b"\r\n"
    assert len(content) == LIMIT
    with server.wire() as wire:
        wire.hello()
        queue_id = wire.message(content, "alice@example.org").queue_id
        assert wire.message(b"a" + content, "alice@example.org").brief == "552 5.3.4"
    assert delivered(server, queue_id) == content


def test_chunks_over_the_limit(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        wire.envelope("alice@example.org")
        chunk = b"x" * 398 + b"\r\n"
        codes = []
        for _ in range(4):
            wire.send(b"BDAT 400000\r\n" + chunk * 1000)
            codes.append(wire.answer().brief)
        wire.send(b"BDAT 0 LAST\r\n")
        codes.append(wire.answer().brief)
        assert "552 5.3.4" in codes, codes
        assert not any(code.startswith("2") for code in codes[codes.index("552 5.3.4") :]), codes
        wire.expect("RSET", "250 2.0.0")
        queue_id = wire.message(b"Subject: next\r\n\r\nnext\r\n", "alice@example.org").queue_id
    assert delivered(server, queue_id)


# --- cut short ----------------------------------------------------------------------------------

CUTS = {
    "in a small DATA": b"DATA\r\nSubject: cut\r\n\r\nhalf a li",
    "before the last dot": b"DATA\r\nSubject: cut\r\n\r\nline\r\n",
    "after the last dot": b"DATA\r\nSubject: cut\r\n\r\nline\r\n.",
    "before the last LF": b"DATA\r\nSubject: cut\r\n\r\nline\r\n.\r",
    "in a large DATA": b"DATA\r\nSubject: cut\r\n\r\n" + b"large\r\n" * 50_000,
    "in a chunk": b"BDAT 1000\r\nSubject: cut\r\n\r\n",
    "in a large chunk": b"BDAT 900000\r\n" + b"large\r\n" * 50_000,
    "between chunks": b"BDAT 16\r\nSubject: cut\r\n\r\n",
    "between large chunks": b"BDAT 700000\r\n" + b"large\r\n" * 100_000,
    "before BDAT LAST's end": b"BDAT 1000 LAST\r\nSubject: cut\r\n\r\n",
}
NO_REPLY_BEFORE = ("in a chunk", "in a large chunk", "before BDAT LAST's end")


def open_files(server: Site) -> int:
    """Files below the data directory that the workers have open, unnamed ones too."""
    count = 0
    for pid in server.worker_pids():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                count += str(link.readlink()).startswith(str(server.data))
    return count


@pytest.mark.parametrize("how", ["FIN", "RST", "half-close"])
@pytest.mark.parametrize("cut", CUTS)
def test_client_vanishes(server: Site, cut: str, how: str) -> None:
    held = len(arrived.messages(server.maildir("carol")))
    before = open_files(server)
    with server.wire() as wire:
        wire.hello()
        wire.envelope("carol@example.org")
        wire.send(CUTS[cut])
        if cut not in NO_REPLY_BEFORE:
            assert wire.answer().code in (250, 354)
        if how == "RST":
            reset(wire)
        elif how == "half-close":
            wire.half_close()
            assert b"queued" not in wire.rest()
    until("the open body is given up", lambda: open_files(server) <= before, 60)
    until("no body file is left", lambda: not audit.body_files(server.data), 60)
    until("tmp/ is empty", lambda: not arrived.left_in_tmp(server.mail), 60)
    with server.wire() as wire:
        wire.hello()
        queue_id = wire.message(b"Subject: after\r\n\r\nafter\r\n", "carol@example.org").queue_id
    delivered(server, queue_id, "carol")
    assert len(arrived.messages(server.maildir("carol"))) == held + 1


# --- not SMTP, too early ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: mx.example.org\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: mx.example.org\r\nContent-Length: 12\r\n\r\nMAIL FROM:<>",
        b"CONNECT mx.example.org:25 HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(32, 64)) * 5,
    ],
    ids=lambda each: repr(each[:12]),
)
def test_another_protocol_is_refused_and_closed(server: Site, start: bytes) -> None:
    with server.wire() as wire:
        with contextlib.suppress(OSError):
            wire.send(start)
            wire.send(b"EHLO client.example\r\nMAIL FROM:<evil@client.example>\r\n")
        said = wire.rest()
    replies = said.split(b"\r\n")[:-1]
    assert len(replies) <= 1, said
    assert not replies or replies[0][:1] in (b"4", b"5"), said


@contextlib.contextmanager
def stopped(server: Site) -> Iterator[None]:
    """The workers do not run in the meantime."""
    pids = server.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_talk_before_the_banner_is_refused(server: Site) -> None:
    """The worker stands still while the clients connect, so what one of them says then is early talk."""
    with stopped(server):
        early, polite = server.wire(banner=False), server.wire(banner=False)
        early.send(b"EHLO client.example\r\nMAIL FROM:<evil@client.example>\r\n")
    with early, polite:
        said = early.rest()
        assert said[:1] in (b"4", b"5"), said
        assert said.count(b"\r\n") == 1, said
        assert polite.answer().code == 220


# --- half-close and pipelining --------------------------------------------------------------------


def test_half_close_after_the_last_command(server: Site) -> None:
    with server.wire() as wire:
        wire.send(
            b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<alice@example.org>\r\n"
            b"RCPT TO:<nobody@example.org>\r\nRSET\r\nNOOP\r\nVRFY alice\r\nQUIT\r\n"
        )
        wire.half_close()
        codes = [wire.answer().code for _ in range(8)]
        assert codes == [250, 250, 250, 550, 250, 250, 252, 221]
        assert wire.at_end()


def test_half_close_without_quit(server: Site) -> None:
    with server.wire() as wire:
        wire.send(b"EHLO client.example\r\nNOOP\r\n")
        wire.half_close()
        assert [wire.answer().code for _ in range(2)] == [250, 250]
        assert wire.at_end()


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("quits", [b"", b"QUIT\r\n"])
def test_half_close_after_the_end_of_data(server: Site, size: int, quits: bytes) -> None:
    content = b"Subject: half\r\n\r\n" + b"h" * size + b"\r\n"
    with server.wire() as wire:
        wire.hello()
        wire.envelope("bob@example.org")
        wire.expect("DATA", "354")
        wire.send(stuffed(content) + quits)
        wire.half_close()
        queue_id = wire.answer().queue_id
        if quits:
            assert wire.answer().code == 221
        assert wire.at_end()
    assert delivered(server, queue_id, "bob") == content


def test_half_close_after_bdat_last(server: Site) -> None:
    content = b"Subject: half\r\n\r\nchunked\r\n"
    with server.wire() as wire:
        wire.hello()
        wire.send(
            b"MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@example.org>\r\n"
            b"BDAT %d LAST\r\n%bNOOP\r\nQUIT\r\n" % (len(content), content)
        )
        wire.half_close()
        answers = [wire.answer() for _ in range(5)]
        assert [each.code for each in answers] == [250, 250, 250, 250, 221]
        queue_id = answers[2].queue_id
        assert wire.at_end()
    assert delivered(server, queue_id, "bob") == content


def test_replies_to_a_group_leave_in_one_write(server: Site) -> None:
    """One send, one receive: a server that writes per reply shows several segments sooner or later."""
    group = b"MAIL FROM:<a@client.example>\r\n" + b"RCPT TO:<alice@example.org>\r\n" * 20 + b"DATA\r\n"
    with server.wire() as wire:
        wire.hello()
        for _ in range(50):
            wire.send(group)
            piece = wire.socket.recv(65536)
            lines = piece.split(b"\r\n")
            assert len(lines) == 23, piece
            assert lines[-2].startswith(b"354 "), piece
            wire.send(b"Subject: group\r\n\r\n.\r\n")
            wire.answer().queue_id  # noqa: B018 - checks that it was accepted


def test_slow_commands_do_not_disturb_others(server: Site) -> None:
    """A command that comes byte by byte is one command, and another session is served meanwhile."""
    with server.wire() as slow, server.wire() as quick:
        for byte in b"EHLO client.example\r\n":
            slow.send(bytes((byte,)))
            assert quick.usable()
        assert slow.answer().code == 250


def test_nothing_is_said_before_a_command_is_whole(server: Site) -> None:
    with server.wire() as wire:
        wire.send(b"NOOP\r")
        wire.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        wire.socket.settimeout(10)
        wire.send(b"\n")
        assert wire.answer().code == 250
