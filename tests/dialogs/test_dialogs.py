"""Runs the dialogues of this directory in memory, on both implementations, and over TCP; see README.md."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from fastsmtp.session import connection
from tests.fakes.service import World
from tests.fakes.session import IMPLEMENTATIONS
from tests.system.server import RunningServer
from tests.tools.waiting import until

HERE = Path(__file__).parent
HOSTNAME = "mx.test.example"
LIMITS = {"message_size": 5000, "recipients": 3, "errors": 5}
USERS = ("alice", "bob")

Mail = tuple[str, bytes]
"""A user and a message, without the fields of ours."""


class Step(NamedTuple):
    """``kind`` is ``send``, ``eof``, ``expect`` or ``closes``."""

    kind: str
    data: bytes
    line: int


class Dialogue(NamedTuple):
    """A dialogue's steps, and the mail that must have come of it."""

    steps: list[Step]
    mail: list[Mail]


_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[rn0\\])")
_SIMPLE = {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"\\": b"\\"}
_TIMES = re.compile(r"(.*)\{(\d+)\}")


def unescape(text: str) -> bytes:
    """``text`` as octets; ``{n}`` at its end repeats it."""
    times = _TIMES.fullmatch(text)
    if times:
        text = times[1] * int(times[2])

    def octet(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return _SIMPLE.get(code) or bytes([int(code[1:], 16)])

    return _ESCAPE.sub(octet, text.encode())


def parse(text: str) -> Dialogue:
    """The dialogue of a file."""
    steps: list[Step] = []
    mail: list[tuple[list[str], bytearray]] = []
    for number, line in enumerate(text.splitlines(), 1):
        rest = line[3:]
        if not line or line.startswith("#"):
            continue
        if line.startswith("C: ") or line == "C:":
            steps.append(Step("send", unescape(rest) + b"\r\n", number))
        elif line.startswith("C> "):
            steps.append(Step("send", unescape(rest), number))
        elif line.startswith("S: "):
            steps.append(Step("expect", unescape(rest), number))
        elif line == "C EOF":
            steps.append(Step("eof", b"", number))
        elif line == "S CLOSES":
            steps.append(Step("closes", b"", number))
        elif line.startswith("M: "):
            mail.append((rest.split(", "), bytearray()))
        elif line.startswith("| ") or line == "|":
            mail[-1][1].extend(unescape(line[2:]) + b"\r\n")
        else:
            raise ValueError(f"line {number} is none of a dialogue: {line!r}")
    if steps[-1].kind != "closes":
        steps += [
            Step("send", b"QUIT\r\n", 0),
            Step("expect", b"221 2.0.0 closing the connection", 0),
            Step("closes", b"", 0),
        ]
    return Dialogue(steps, [(user, bytes(text)) for users, text in mail for user in users])


class Line(Protocol):
    """A connection as a dialogue needs it."""

    def send(self, data: bytes) -> None: ...

    def half_close(self) -> None: ...

    def receive(self) -> bytes:
        """More bytes of the server; none when it has closed."""


def play(steps: list[Step], line: Line) -> None:
    """Play a dialogue's client and hold the server to its part."""
    heard = b""
    outgoing = b""

    def next_line() -> bytes | None:
        nonlocal heard
        while b"\r\n" not in heard:
            more = line.receive()
            if not more:
                assert heard == b"", f"half a line: {heard!r}"
                return None
            heard += more
        said, heard = heard.split(b"\r\n", 1)
        return said

    ahead: bytes | None = None
    for step in steps:
        if step.kind == "send":
            outgoing += step.data
            continue
        if outgoing:
            line.send(outgoing)
            outgoing = b""
        if step.kind == "eof":
            line.half_close()
            continue
        said = next_line() if ahead is None else ahead
        ahead = None
        if step.kind == "closes":
            assert said is None, f"line {step.line}: said {said!r} where it was to close"
            return
        assert said is not None, f"line {step.line}: closed where {step.data!r} was to be said"
        assert matches(step.data, said), f"line {step.line}: said {said!r} instead of {step.data!r}"
        while step.data.endswith(b"-...") and said is not None:
            said = next_line()
            if said is None or not matches(step.data, said):
                ahead = said
                break


def matches(pattern: bytes, said: bytes) -> bool:
    """Whether ``said`` is the line ``pattern``, in which ``...`` is any text."""
    return re.fullmatch(b".*".join(map(re.escape, pattern.split(b"..."))), said, re.DOTALL) is not None


DIALOGUES = {path.stem: parse(path.read_text()) for path in sorted(HERE.glob("*.dialog"))}


def below_our_fields(whole: bytes) -> bytes:
    """A stored message without Return-Path and Received."""
    ours = re.match(rb"Return-Path: <[^>]*>\r\nReceived: [^\n]*\n(?:\t[^\n]*\n)*", whole)
    assert ours, whole[:200]
    return whole[ours.end() :]


# --- in memory -------------------------------------------------------------------------------------


class MemoryLine:
    """A connection of a `World`, whose spool stores at once."""

    def __init__(self, world: World, cut: int) -> None:
        self._world = world
        self._transport = world.connect()
        self._cut = cut

    def send(self, data: bytes) -> None:
        size = self._cut or len(data)
        for start in range(0, len(data), size):
            if self._transport.closing:
                return
            self._transport.feed(data[start : start + size])
            self._store()

    def half_close(self) -> None:
        self._transport.protocol.eof_received()
        self._store()

    def receive(self) -> bytes:
        said = self._transport.take()
        assert said or self._transport.closing or self._transport.half_closed, (
            "says nothing, and does not close"
        )
        return said

    def _store(self) -> None:
        while self._world.spool.waiting:
            self._world.spool.commit()


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("core", sorted(IMPLEMENTATIONS))
def test_in_memory(monkeypatch: pytest.MonkeyPatch, core: str, name: str, cut: int) -> None:
    make: Callable[..., Any] = IMPLEMENTATIONS[core]
    monkeypatch.setattr(connection, "ServerProtocol", make)
    world = World(hostname=HOSTNAME, **LIMITS)
    line = MemoryLine(world, cut)
    play(DIALOGUES[name].steps, line)
    line._transport.lose()
    arrived = [
        (recipient.mailbox.partition("@")[0], below_our_fields(whole))
        for envelope, whole in world.spool.stored
        for recipient in envelope.recipients
    ]
    assert arrived == DIALOGUES[name].mail
    assert len(world.service.connections) == 0
    assert not any("internal error" in text for text in world.logged())
    world.close()


# --- over TCP --------------------------------------------------------------------------------------


class TcpLine:
    """A connection to the running server."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, 10)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self) -> bytes:
        return self.socket.recv(65536)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(
        tmp_path_factory.mktemp("dialogues"),
        workers=1,
        hostname=HOSTNAME,
        mailboxes={
            "domains": ["local.test"],
            "unknown_users": "reject",
            "users": list(USERS),
            "postmaster": "alice",
        },
        limits=LIMITS,
    )
    with running:
        yield running
        assert "Traceback" not in running.log
        assert "internal error" not in running.log


def arrived(server: RunningServer) -> dict[Path, Mail]:
    """All mail that stands in the mailboxes."""
    return {
        path: (user, below_our_fields(path.read_bytes()))
        for user in USERS
        for path in (server.mail / "local.test" / user / "new").glob("*")
    }


@pytest.mark.parametrize("name", DIALOGUES)
def test_over_tcp(server: RunningServer, name: str) -> None:
    steps, mail = DIALOGUES[name]
    before = arrived(server)
    line = TcpLine(server.address)
    with line.socket:
        play(steps, line)
    until("the mail arrives", lambda: len(arrived(server)) >= len(before) + len(mail), 60)
    new = [found for path, found in arrived(server).items() if path not in before]
    assert sorted(new) == sorted(mail)


# --- the runner itself -----------------------------------------------------------------------------


def test_there_are_dialogues() -> None:
    assert len(DIALOGUES) >= 15


def test_the_format() -> None:
    dialogue = parse("# x\nS: 2\\\\0\nC: a\\r\\x41\nC> b{3}\nC EOF\nS CLOSES\nM: a, b\n| x\n|\n")
    assert [step[:2] for step in dialogue.steps] == [
        ("expect", b"2\\0"), ("send", b"a\rA\r\n"), ("send", b"bbb"), ("eof", b""), ("closes", b""),
    ]  # fmt: skip
    assert dialogue.mail == [("a", b"x\r\n\r\n"), ("b", b"x\r\n\r\n")]
    with pytest.raises(ValueError, match="line 1 is none"):
        parse("X: y\n")


class Script:
    """A server that says what it is told to."""

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)

    def send(self, data: bytes) -> None:
        pass

    def half_close(self) -> None:
        pass

    def receive(self) -> bytes:
        return self.said.pop(0) if self.said else b""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("S: 220 x\nS CLOSES\n", b"220 y\r\n"),
        ("S: 220 x\nS CLOSES\n", b"220 x\r\n220 x\r\n"),
        ("S: 220 x\nS CLOSES\n", b"220 x"),
        ("S: 220 x\nS: 220 y\nS CLOSES\n", b"220 x\r\n"),
        ("S: 250-...\nS: 250 x\nS CLOSES\n", b"250 x\r\n"),
        ("S: 250-...\nS CLOSES\n", b"250-a\r\n250-b\r\n250 c\r\n"),
    ],
)
def test_the_runner_sees_a_difference(text: str, said: bytes) -> None:
    with pytest.raises(AssertionError):
        play(parse(text).steps, Script(said))


def test_the_runner_sees_no_difference() -> None:
    play(parse("S: 250-...\nS: 250 ...c\nS CLOSES\n").steps, Script(b"250-a\r\n25", b"0-b\r\n250 abc\r\n"))
