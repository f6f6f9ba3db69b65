"""The mail log: its lines, that nothing a client says can forge one, and that nothing is lost or raised."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.mail.reply import MAILBOX_UNKNOWN, Reply
from fastsmtp.telemetry import maillog, stream
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.text import quoted


class StillClock:
    def __init__(self, now: float = 1_795_498_500.125) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Pipe:
    """A log into a pipe of this test."""

    def __init__(self) -> None:
        self.end, self.fd = os.pipe()
        os.set_blocking(self.end, False)
        self.clock = StillClock()
        self.log = MailLog(self.clock, slot=3, fd=self.fd)

    def read(self) -> str:
        self.log.flush()
        parts = []
        try:
            while part := os.read(self.end, 1 << 20):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts).decode("ascii")

    def events(self) -> list[str]:
        """The lines without time and process."""
        return [line.partition("] ")[2] for line in self.read().splitlines()]

    def close(self) -> None:
        for fd in (self.end, self.fd):
            try:
                os.close(fd)
            except OSError:
                pass


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def receive(log: MailLog, **changed: object) -> None:
    values = {
        "sender": "a@example.org",
        "recipients": ["b@example.net"],
        "size": 4096,
        "client": "192.0.2.1",
        "helo": "mail.example.org",
        "protocol": "ESMTP",
        **changed,
    }
    log.received("0abcdefghijkl", **values)  # type: ignore[arg-type]


def test_logins(pipe: Pipe) -> None:
    pipe.log.login(client="192.0.2.1", mechanism="PLAIN", login="alice@example.org", reason=None)
    pipe.log.login(client="::1", mechanism="LOGIN", login='a" b\n' + "x" * 2000, reason="no such account")
    good, bad = pipe.events()
    assert good == "authenticated client=192.0.2.1 mechanism=PLAIN login=alice@example.org"
    assert bad.startswith('login-failed client=::1 mechanism=LOGIN login="a\\" b\\nxxx')
    assert bad.endswith('xxx" reason="no such account"')
    assert len(bad) < 420


def test_every_event(pipe: Pipe) -> None:
    log = pipe.log
    receive(log)
    log.rejected(
        client="192.0.2.1", stage="RCPT", sender="", recipient="x@example.org", reply=MAILBOX_UNKNOWN
    )
    log.rejected(client="192.0.2.1", stage="connect", sender=None, recipient=None, reply=MAILBOX_UNKNOWN)
    log.delivered("0abcdefghijkl", to="B@example.net", mailbox="b@example.net", delay=0.0312)
    log.failed("0abcdefghijkl", to="b@example.net", reason="gone")
    log.event("worker 3 is ready")
    assert pipe.events() == [
        "received id=0abcdefghijkl from=<a@example.org> to=<b@example.net> size=4096 client=192.0.2.1"
        " helo=mail.example.org with=ESMTP",
        "rejected stage=RCPT client=192.0.2.1 from=<> to=<x@example.org>"
        ' reply="550 5.1.1 no such mailbox here"',
        'rejected stage=connect client=192.0.2.1 reply="550 5.1.1 no such mailbox here"',
        "delivered id=0abcdefghijkl to=<B@example.net> mailbox=b@example.net delay=0.03",
        "failed id=0abcdefghijkl to=<b@example.net> reason=gone",
        "event worker 3 is ready",
    ]


def test_attempts_at_other_hosts(pipe: Pipe) -> None:
    log = pipe.log
    log.attempted(
        "ID1", "sent", to="b@far.test", relay="mx.far.test[192.0.2.1]:25", reply="250 2.0.0 ok", delay=1.5
    )
    log.attempted("ID2", "deferred", to="b c@far.test", relay="", reply='connection "refused"\n', delay=0.1)
    log.notified("ID3", about="ID2", to="a@near.test", kind="delayed", recipients=1)
    assert pipe.events() == [
        'sent id=ID1 to=<b@far.test> relay=mx.far.test[192.0.2.1]:25 delay=1.50 reply="250 2.0.0 ok"',
        'deferred id=ID2 to="<b c@far.test>" relay=none delay=0.10 reply="connection \\"refused\\"\\n"',
        "notified id=ID3 about=ID2 to=<a@near.test> kind=delayed recipients=1",
    ]


def test_time_process_and_slot(pipe: Pipe) -> None:
    pipe.log.event("one")
    pipe.clock.time += 1.75
    pipe.log.event("two")
    assert pipe.read().splitlines() == [
        f"2026-11-24T05:35:00.125Z fastsmtp[{os.getpid()}/3] event one",
        f"2026-11-24T05:35:01.875Z fastsmtp[{os.getpid()}/3] event two",
    ]


def test_the_master_has_no_slot(pipe: Pipe) -> None:
    log = MailLog(pipe.clock, slot=None, fd=pipe.fd)
    log.event("x")
    log.flush()
    assert f"fastsmtp[{os.getpid()}/master] event x\n" in pipe.read()


def test_many_recipients_make_no_endless_line(pipe: Pipe) -> None:
    receive(pipe.log, recipients=["a@x", "b@x"])
    receive(pipe.log, recipients=[f"{i}@x" for i in range(1000)])
    two, many = pipe.events()
    assert " to=<a@x>,<b@x> " in two
    assert " to=<0@x>,<1@x>,<2@x>,<3@x>,<4@x>,<5@x>,<6@x>,<7@x>,<8@x>,<9@x>,<and-990-more> " in many


EVIL = [
    'a b"@x',
    "a\r\n2026 received id=forged",
    "a\x00\x1b[31m",
    "bücher@例え.example",
    "a\udcff\x7f\x85\u2028",
    'x" size=1 to="y',
    "a\\b c",
]


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_is_forged(pipe: Pipe, evil: str) -> None:
    log = pipe.log
    receive(log, sender=evil)
    receive(log, recipients=[evil])
    receive(log, helo=evil)
    said = Reply(550, "1.1", evil.encode("ascii", "replace").decode())  # a next hop's words
    log.rejected(client="192.0.2.1", stage="RCPT", sender=evil, recipient=evil, reply=said)
    log.delivered("0abcdefghijkl", to=evil, mailbox=evil, delay=0)
    log.failed("0abcdefghijkl", to=evil, reason=evil)
    log.event(evil)
    text = pipe.read()
    assert text.isascii()
    lines = text.splitlines()
    assert len(lines) == 7
    assert all(line.isprintable() for line in lines)
    keys = [[part.partition("=")[0] for part in split(line.partition("] ")[2])] for line in lines[:-1]]
    for line in keys[:3]:
        assert line == ["received", "id", "from", "to", "size", "client", "helo", "with"]
    assert keys[3] == ["rejected", "stage", "client", "from", "to", "reply"]
    assert keys[4] == ["delivered", "id", "to", "mailbox", "delay"]
    assert keys[5] == ["failed", "id", "to", "reason"]


def split(line: str) -> list[str]:
    """The parts of a line as a reader takes it apart: at blanks outside quotes."""
    parts, quote, escaped = [""], False, False
    for letter in line:
        if letter == " " and not quote:
            parts.append("")
            continue
        parts[-1] += letter
        if escaped:
            escaped = False
        elif letter == "\\" and quote:
            escaped = True
        elif letter == '"':
            quote = not quote
    assert not quote
    return parts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", '""'),
        ("a b", '"a b"'),
        ('"', '"\\""'),
        ("\\", "\\"),
        ("\\ ", '"\\\\ "'),
        ("ü", '"\\xfc"'),
    ],
)
def test_quoted(value: str, text: str) -> None:
    assert quoted(value) == text


def test_flushes_itself_when_many_wait(pipe: Pipe) -> None:
    for _ in range(maillog.FLUSH_EVENTS - 1):
        pipe.log.event("x")
    with pytest.raises(BlockingIOError):
        os.read(pipe.end, 1)
    pipe.log.event("x")
    assert len(os.read(pipe.end, 1 << 20).splitlines()) == maillog.FLUSH_EVENTS


def replace_write(patch: pytest.MonkeyPatch, pipe: Pipe, write: Callable[[bytes], int]) -> None:
    """Let ``write`` take what goes into the pipe; the rest of the process writes as ever."""
    real = os.write
    number = os.fstat(pipe.fd).st_ino
    patch.setattr(
        os, "write", lambda fd, data: write(bytes(data)) if os.fstat(fd).st_ino == number else real(fd, data)
    )


def test_partial_writes(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    replace_write(monkeypatch, pipe, lambda data: real(pipe.fd, data[:7]))
    pipe.log.event("a line of some length")
    assert pipe.events() == ["event a line of some length"]


def test_slow_reader_keeps_lines(pipe: Pipe) -> None:
    expected = [f"event {i:05} " + "x" * 100 for i in range(2000)]
    for line in expected:
        pipe.log.event(line.removeprefix("event "))
    text = ""
    while part := pipe.read():
        text += part
    assert [line.partition("] ")[2] for line in text.splitlines()] == expected


def test_a_reader_that_stops_costs_lines_but_no_time_and_is_told(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The descriptor is a blocking one, as standard error is: not one of these calls may wait for it."""
    assert os.get_blocking(pipe.fd)
    monkeypatch.setattr(stream, "KEEP_BYTES", 10_000)
    total = 5000
    for i in range(total):
        pipe.log.event(f"{i:05} " + "x" * 100)
        if i % 100 == 0:
            pipe.log.flush()
    text = ""
    while part := pipe.read():
        text += part
    lines = text.splitlines()
    dropped = [line for line in lines if "lost where=log" in line]
    kept = [line for line in lines if line.endswith("x" * 100)]
    assert dropped
    assert len(kept) + len(dropped) == len(lines)
    assert len(kept) + sum(int(line.rpartition("=")[2]) for line in dropped) == total
    assert os.get_blocking(pipe.fd)  # it is not ours alone


def test_what_waits_behind_a_hanging_write_is_bounded(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on a disk that hangs: one thread is in its write, the others go on."""
    monkeypatch.setattr(maillog, "KEEP_EVENTS", 1000)
    writing, go_on = threading.Event(), threading.Event()

    def hang(data: bytes) -> int:
        writing.set()
        assert go_on.wait(20)
        return len(data)

    with monkeypatch.context() as patch:
        replace_write(patch, pipe, hang)
        pipe.log.event("x")
        thread = threading.Thread(target=pipe.log.flush)
        thread.start()
        assert writing.wait(20)
        for _ in range(maillog.KEEP_EVENTS + 7):
            pipe.log.event("x")
        go_on.set()
        thread.join()
    text = ""
    while part := pipe.read():
        text += part
    assert text.count("event x\n") == maillog.KEEP_EVENTS
    assert text.endswith("] lost where=log count=7\n")


def test_the_last_flush_waits_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maillog, "FINISH_WAIT", 0.2)
    end, fd = os.pipe()
    log = MailLog(SystemClock(), slot=0, fd=fd)
    for i in range(2000):
        log.event(f"{i:05} " + "x" * 100)
    log.finish()  # nobody reads: it ends all the same
    monkeypatch.setattr(maillog, "FINISH_WAIT", 60.0)
    read: list[bytes] = []

    def slowly() -> None:
        while b"".join(read).count(b"\n") < 2000:
            read.append(os.read(end, 4096))

    reader = threading.Thread(target=slowly)
    reader.start()
    log.finish()
    reader.join()
    assert b"01999 xx" in b"".join(read)
    os.close(end)
    os.close(fd)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])
def test_write_errors_never_raise(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        replace_write(patch, pipe, fail)
        pipe.log.event("lost")
        pipe.log.event("lost")
        pipe.log.flush()
        pipe.log.event("lost")
        pipe.log.flush()
    pipe.log.event("back")
    assert pipe.events()[-2:] == ["event back", "lost where=log count=3"]


def test_closed_descriptor_never_raises(pipe: Pipe) -> None:
    os.close(pipe.fd)
    pipe.log.event("lost")
    pipe.log.flush()


def test_many_threads_lose_nothing(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maillog, "FINISH_WAIT", 60.0)
    each = 2000
    read: list[bytes] = []
    os.set_blocking(pipe.end, True)

    def drain() -> None:
        while b"".join(read).count(b"\n") < 4 * each:
            read.append(os.read(pipe.end, 1 << 16))

    def write(name: int) -> None:
        for i in range(each):
            pipe.log.event(f"{name}-{i}.")
            if i % 97 == 0:
                pipe.log.flush()

    reader = threading.Thread(target=drain)
    reader.start()
    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    pipe.log.finish()
    reader.join()
    lines = b"".join(read).decode().splitlines()
    assert sorted(line.rpartition(" ")[2] for line in lines) == sorted(
        f"{name}-{i}." for name in range(4) for i in range(each)
    )


class Keeping:
    """A sink that keeps its lines, and who called."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.threads: set[int] = set()
        self.batches = 0

    def append(self, lines: bytes, count: int) -> None:
        """See `Sink`."""
        self.threads.add(threading.get_ident())
        self.batches += 1
        kept = lines.splitlines()
        assert len(kept) == count
        self.lines += kept


def test_on_a_loop_batches_leave_by_themselves_on_its_thread(pipe: Pipe) -> None:
    sink = Keeping()

    def others() -> None:
        for number in range(200):
            pipe.log.event(f"other {number}")

    async def main() -> None:
        pipe.log.attach(sink)
        pipe.log.run_on(asyncio.get_running_loop())
        for number in range(200):
            pipe.log.event(f"own {number}")
        thread = threading.Thread(target=others)
        thread.start()
        thread.join()  # the loop's turn comes when all of it waits
        while len(sink.lines) < 400:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 20))
    pipe.log.event("after the loop")
    pipe.log.finish()
    assert sink.threads == {threading.get_ident()}
    assert sink.batches < 20
    told = [json.loads(line)["text"] for line in sink.lines]
    assert sorted(told[:-1]) == sorted(f"{who} {number}" for who in ("own", "other") for number in range(200))
    assert told[-1] == "after the loop"
    assert len(pipe.events()) == 401


def test_what_threads_tell_after_the_loop_has_ended(pipe: Pipe) -> None:
    """Threads that tell something after the loop has ended lose nothing: the last flush brings it."""
    loop = asyncio.new_event_loop()
    pipe.log.run_on(loop)
    loop.close()
    thread = threading.Thread(target=lambda: pipe.log.event("late"))
    thread.start()
    thread.join()
    pipe.log.finish()
    assert pipe.events() == ["event late"]


def test_what_is_told_late_is_counted_once(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEEP_BYTES", 2000)
    for number in range(3000):
        pipe.log.event(f"number {number}")
        if number % 100 == 99:
            pipe.log.flush()
    lost = pipe.log.meter.row.counters("fastsmtp_lost")["log",]
    read = [line for _ in range(3) for line in pipe.events()]
    told = [int(line.rpartition("=")[2]) for line in read if line.startswith("lost where=log")]
    missing = 3000 - sum(line.startswith("event number") for line in read)
    assert missing > 0
    assert sum(told) == lost.get() == missing
