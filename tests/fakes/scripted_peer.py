"""An SMTP or LMTP server on the loopback that does what its script says, at every stage.

A script gives for a stage the act, or a list of acts, one for each time it is reached (the last one repeats). An
act is a reply (text, CRLF is added), raw bytes, one of `Act`, or a tuple of these, done in turn. Stages:
``greeting``, ``ehlo``, ``helo``, ``starttls``, ``tls`` (before the handshake), ``auth``, ``mail``, ``rcpt``,
``data``, ``bdat``, ``body`` (after the final dot or chunk; in LMTP once for each recipient), ``rset``, ``quit``.
What the script leaves out is answered as a friendly server does. With ``forgetful`` DATA is answered also when no
recipient was accepted.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Sequence
from enum import Enum
from types import TracebackType
from typing import Any, Self

DEADLINE = 60.0
EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 10000000", "ENHANCEDSTATUSCODES")


class Act(Enum):
    """What is not a reply. ``HANG`` until the client is gone or the test is over; ``STUCK`` the same, without
    reading on; ``CLOSE`` politely, by a FIN; ``RESET`` by a RST; ``FLOOD`` one endless line, until the client hangs
    up."""

    HANG = 1
    CLOSE = 2
    RESET = 3
    FLOOD = 4
    STUCK = 5


class Bytewise(bytes):
    """Sent one byte in each segment."""


Script = dict[str, Any]

FRIENDLY: Script = {
    "greeting": "220 peer.test ESMTP",
    "starttls": "220 2.0.0 go ahead",
    "tls": (),
    "auth": "235 2.7.0 welcome",
    "mail": "250 2.1.0 sender ok",
    "rcpt": "250 2.1.5 recipient ok",
    "data": "354 go on",
    "body": "250 2.0.0 taken",
    "rset": "250 2.0.0 reset",
    "quit": "221 2.0.0 bye",
}


class _Over(Exception):
    """The connection is at its end."""


class ScriptedPeer:
    """The server; a context manager. ``scripts`` has one script for each connection in turn, the last one for all
    that follow. ``commands`` gathers the command lines of all connections, ``bodies`` what came as content, as it
    was sent but for the final dot."""

    def __init__(
        self,
        *scripts: Script,
        extensions: Sequence[str] = EXTENSIONS,
        lmtp: bool = False,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.scripts = [FRIENDLY | script for script in scripts] or [FRIENDLY]
        self.extensions = list(extensions)
        self.lmtp = lmtp
        self.tls = tls
        self.implicit = implicit
        self.commands: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._stages: list[str] = []
        self._changed = threading.Condition()
        self.over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self.address, self.port = self._listener.getsockname()[:2]
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        for sock in [*self._open, self._listener]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE)
        self._listener.close()

    def reached(self, stage: str, times: int = 1) -> None:
        """Wait until ``stage`` was reached so many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._stages.count(stage) >= times, DEADLINE), (
                f"the peer saw no {stage} but {self._stages}"
            )

    def verbs(self) -> list[str]:
        """The verbs of all commands."""
        return [line.split(" ")[0].split(":")[0].upper() for line in self.commands]

    def _run(self, call: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=call, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(DEADLINE)
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            self._open.append(sock)
            self._run(_Session(self, script, sock).run)

    def saw(self, stage: str) -> None:
        """A session reached ``stage``."""
        with self._changed:
            self._stages.append(stage)
            self._changed.notify_all()

    def hang(self, sock: socket.socket) -> None:
        """Until the client has gone or the test is over."""
        sock.settimeout(0.05)
        while not self.over.is_set():
            try:
                if not sock.recv(65536):
                    return
            except TimeoutError:
                continue


class _Session:
    def __init__(self, peer: ScriptedPeer, script: Script, sock: socket.socket) -> None:
        self.peer = peer
        self.script = script
        self.sock = sock
        self.held = b""
        self.counts: dict[str, int] = {}
        self.secure = False
        self.sender = False
        self.accepted = 0

    def run(self) -> None:
        """The whole session; whatever the client does to the connection ends it."""
        try:
            if self.peer.implicit:
                self._secure()
            self._act("greeting")
            for line in self._lines():
                self.peer.commands.append(line.decode("utf-8", "replace"))
                self._command(line)
        except (_Over, OSError, ssl.SSLError):
            pass
        finally:
            self.sock.close()

    def _lines(self) -> Iterator[bytes]:
        while True:
            yield self._read_until(b"\r\n")

    def _read(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise _Over
        self.held += data

    def _read_until(self, end: bytes) -> bytes:
        while end not in self.held:
            self._read()
        found, _, self.held = self.held.partition(end)
        return found

    def _read_octets(self, count: int) -> bytes:
        while len(self.held) < count:
            self._read()
        found, self.held = self.held[:count], self.held[count:]
        return found

    def _command(self, line: bytes) -> None:
        verb = line.split(b" ")[0].upper().decode("ascii", "replace")
        match verb:
            case "EHLO" | "LHLO":
                if "ehlo" not in self.script:
                    self.peer.saw("ehlo")
                    self._send(self._hello().encode())
                else:
                    self._act("ehlo")
            case "HELO":
                self._act("helo", "250 peer.test")
            case "STARTTLS":
                if self._act("starttls") == 2:
                    self._secure()
            case "MAIL":
                self.accepted = 0
                self.sender = self._act("mail") == 2
            case "RCPT" if not self.sender:
                self._send(b"503 5.5.1 MAIL first\r\n")
            case "RCPT":
                self.accepted += self._act("rcpt") == 2
            case "DATA" if not self.accepted and not self.script.get("forgetful"):
                self._send(b"503 5.5.1 RCPT first\r\n")
            case "DATA":
                if self._act("data") == 3:
                    while len(self.held) < 3:
                        self._read()
                    # the dot alone is an empty message
                    end = b".\r\n" if self.held.startswith(b".\r\n") else b"\r\n.\r\n"
                    self._body(self._read_until(end) + end[:-3])
            case "BDAT":
                words = line.split()
                self.peer.bodies.append(self._read_octets(int(words[1])))
                if words[-1].upper() == b"LAST":
                    self._ended()
                else:
                    self._act("bdat", "250 2.0.0 chunk")
            case "QUIT":
                self._act("quit")
                raise _Over
            case _:
                self._act(verb.lower(), "250 2.0.0 ok" if verb == "NOOP" else "500 5.5.2 what?")

    def _body(self, body: bytes) -> None:
        self.peer.bodies.append(body)
        self._ended()

    def _ended(self) -> None:
        for _ in range(self.accepted if self.peer.lmtp else 1):
            self._act("body")
        self.accepted = 0

    def _hello(self) -> str:
        words = ["peer.test", *self.peer.extensions]
        if self.peer.tls is not None and not self.secure and not self.peer.implicit:
            words.append("STARTTLS")
        return "".join(f"250{' ' if i == len(words) - 1 else '-'}{w}\r\n" for i, w in enumerate(words))

    def _secure(self) -> None:
        if self.script["tls"]:
            # What comes before the client has begun would be talk in clear.
            self.sock.recv(1, socket.MSG_PEEK)
        self._act("tls")
        assert self.peer.tls is not None
        self.peer._open.remove(self.sock)
        self.sock = self.peer.tls.wrap_socket(self.sock, server_side=True)
        self.peer._open.append(self.sock)
        self.held = b""
        self.secure = True

    def _act(self, stage: str, otherwise: str = "") -> int:
        """Do what is scripted; the first digit of the last reply."""
        act = self.script.get(stage, otherwise)
        if isinstance(act, list):
            number = self.counts.get(stage, 0)
            self.counts[stage] = number + 1
            act = act[min(number, len(act) - 1)]
        self.peer.saw(stage)
        digit = 0
        for one in act if isinstance(act, tuple) else (act,):
            digit = self._do(one) or digit
        return digit

    def _do(self, act: Any) -> int:
        match act:
            case Act.HANG:
                self.peer.hang(self.sock)
                raise _Over
            case Act.STUCK:
                self.peer.over.wait(DEADLINE)
                raise _Over
            case Act.CLOSE:
                self.sock.shutdown(socket.SHUT_WR)
                self.peer.hang(self.sock)  # closed with bytes unread, it would be a RST
                raise _Over
            case Act.RESET:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise _Over
            case Act.FLOOD:
                while True:
                    self._send(b"250-" + b"x" * 65536)
            case Bytewise():
                for byte in act:
                    self._send(bytes((byte,)))
            case bytes():
                self._send(act)
            case _:
                self._send(act.encode() + b"\r\n")
                return int(act[:1]) if act[:1].isdigit() else 0
        return int(act[:1]) if act[:1].isdigit() else 0

    def _send(self, data: bytes) -> None:
        self.sock.sendall(data)
