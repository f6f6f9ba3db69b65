"""How a session begins that is to be secured by STARTTLS, or in which somebody logs in: without I/O.

Replies of the server in by `Opening.receive`, what to write out. `ClientProtocol` begins after it: it is told the
greeting and the last reply to EHLO as if it had asked itself.
"""

import base64
import binascii
from enum import Enum, auto

from fastsmtp.loadgen.plan import Login
from fastsmtp.sasl.client import Mechanism

LINE_LIMIT = 4096
"""Octets of one reply line that are waited for; RFC 5321 §4.5.3.1.5 asks for 512."""


class Stage(Enum):
    """What the server is to answer next; ``TLS``: a handshake is due."""

    CONNECT = auto()
    HELO = auto()
    STARTTLS = auto()
    TLS = auto()
    AUTH = auto()
    DONE = auto()
    OVER = auto()


class Opening:
    """Until ``stage`` is ``DONE``, or ``OVER`` when it came to nothing: ``refusal`` says at which stage and by which
    reply. ``implicit``: the connection begins with a handshake; `secured` tells that one is over."""

    __slots__ = (
        "_held",
        "_hello",
        "_mechanism",
        "_reply",
        "_starttls",
        "greeting",
        "offer",
        "refusal",
        "stage",
    )

    def __init__(self, hello: bytes, *, implicit: bool, starttls: bool, login: Login | None) -> None:
        self._hello = hello
        self._starttls = starttls
        self._mechanism = login.mechanism() if login is not None else None
        self._held = b""
        self._reply = b""
        self.greeting = b""
        self.offer = b""
        self.refusal: tuple[str, bytes] | None = None
        self.stage = Stage.TLS if implicit else Stage.CONNECT

    def receive(self, data: bytes) -> bytes:
        """Take what has come in clear, or out of TLS; what to write in answer."""
        self._held += data
        out = b""
        while self.stage not in (Stage.TLS, Stage.DONE, Stage.OVER):
            line, newline, rest = self._held.partition(b"\n")
            if not newline:
                if len(line) > LINE_LIMIT:
                    self._fail(b"not an SMTP reply")
                break
            self._held = rest
            line = line.removesuffix(b"\r")
            if not line[:3].isdigit() or len(line) < 3 or line[3:4] not in (b"", b" ", b"-"):
                self._fail(b"not an SMTP reply")
                break
            self._reply += line + b"\r\n"
            if line[3:4] != b"-":
                whole, self._reply = self._reply, b""
                out += self._answered(line[:3], line, whole)
        return out

    def secured(self) -> bytes:
        """The handshake is over; what to write. What came in clear after the reply to STARTTLS is forgotten
        (RFC 3207 §4.2)."""
        self._held = b""
        if not self.greeting:
            self.stage = Stage.CONNECT
            return b""
        self._starttls = False
        return self._greet()

    def end(self) -> None:
        """The connection is gone."""
        if self.stage is not Stage.OVER:
            self._fail(b"connection closed")

    def fail(self, why: str) -> None:
        """The handshake has failed."""
        self._fail(why.encode())

    def _fail(self, why: bytes) -> bytes:
        self.refusal = (self.stage.name.lower(), why)
        self.stage = Stage.OVER
        return b""

    def _greet(self) -> bytes:
        self.stage = Stage.HELO
        return b"EHLO " + self._hello + b"\r\n"

    def _answered(self, code: bytes, line: bytes, whole: bytes) -> bytes:
        match self.stage, code:
            case Stage.CONNECT, b"220":
                self.greeting = whole
                return self._greet()
            case Stage.HELO, b"250":
                self.offer = whole
                return self._go_on()
            case Stage.STARTTLS, b"220":
                self.stage = Stage.TLS
                return b""
            case Stage.AUTH, b"334":
                return self._challenged(line[4:])
            case Stage.AUTH, b"235":
                return self._logged_in()
        return self._fail(line)

    def _go_on(self) -> bytes:
        if self._starttls:
            self.stage = Stage.STARTTLS
            return b"STARTTLS\r\n"
        if self._mechanism is None:
            self.stage = Stage.DONE
            return b""
        self.stage = Stage.AUTH
        return _auth(self._mechanism)

    def _challenged(self, text: bytes) -> bytes:
        assert self._mechanism is not None
        try:
            challenge = base64.b64decode(text, validate=True)
            answer = self._mechanism.step(challenge)
        except (binascii.Error, ValueError) as error:
            return self._fail(str(error).encode())
        return base64.b64encode(self._mechanism.work() if answer is None else answer) + b"\r\n"

    def _logged_in(self) -> bytes:
        assert self._mechanism is not None
        if not self._mechanism.complete():
            return self._fail(b"the server has not proven that it knows the password")
        self.stage = Stage.DONE
        return b""


def _auth(mechanism: Mechanism) -> bytes:
    """The command (RFC 4954 §4)."""
    first = mechanism.start()
    line = b"AUTH " + mechanism.name.encode()
    if first is not None:
        line += b" " + (base64.b64encode(first) or b"=")
    return line + b"\r\n"
