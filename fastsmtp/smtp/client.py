"""The client's side of a session, written to be read: the plain twin of the compiled ``_core/client``.

Bytes of the server in by `ClientProtocol.receive`, bytes to be written out, and what happened in ``event``. It
knows no socket, no clock and no waiting. Both implementations run under the same tests.
"""

from enum import IntEnum

from fastsmtp.smtp.events import Event

LINE_LIMIT = 4096
"""Octets of one reply line that are waited for; RFC 5321 §4.5.3.1.5 asks for 512."""

_NOT_SMTP = b"not an SMTP reply"
_CLOSED = b"connection closed"


class _State(IntEnum):
    GREETING = 0
    EHLO = 1
    HELO = 2
    READY = 3
    MAIL = 4
    RCPT = 5
    DATA = 6
    BODY = 7
    RSET = 8
    QUIT = 9
    OVER = 10


_STAGES = ("connect", "helo", "helo", "idle", "mail", "rcpt", "data", "body", "rset", "quit", "over")


class ClientProtocol:
    """One session of a client that sends message after message.

    After each call: write what it gave, then look at ``event``: ``READY`` for a message (or `quit`), the message
    was ``SENT`` or ``REFUSED`` (and the session is ready again), or the session is ``OVER`` and the connection is
    to be closed. ``refusals`` gathers every reply that was not the hoped-for one, as stage and reply line; the
    driver empties it.

    ``hello`` is the name to give in EHLO. With ``pipelining`` a transaction's commands leave in one piece
    (RFC 2920); with ``chunking`` a body goes by BDAT (RFC 3030), and is handed in with its BDAT line before it.
    A server that does not announce what is asked for is a refusal.
    """

    __slots__ = (
        "_accepted",
        "_body",
        "_chunking",
        "_failed",
        "_found",
        "_held",
        "_hello",
        "_next",
        "_pipelining",
        "_rcpts",
        "_state",
        "event",
        "refusals",
    )

    def __init__(self, hello: bytes, *, pipelining: bool = False, chunking: bool = False) -> None:
        self._hello = hello
        self._pipelining = pipelining
        self._chunking = chunking
        self._found: set[bytes] = set()
        self._state = _State.GREETING
        self._held = b""
        self._rcpts: tuple[bytes, ...] = ()
        self._body = b""
        self._next = 0
        self._accepted = 0
        self._failed = False
        self.event = Event.NOTHING
        self.refusals: list[tuple[str, bytes]] = []

    @property
    def stage(self) -> str:
        """What the session waits for: connect, helo, idle, mail, rcpt, data, body, rset, quit, over."""
        return _STAGES[self._state]

    def receive(self, data: bytes | bytearray | memoryview, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
        self.event = Event.NOTHING
        self._held += bytes(data[:size] if size >= 0 else data)
        out = b""
        while self.event is Event.NOTHING and self._state is not _State.OVER:
            end = self._held.find(b"\n")
            if end < 0:
                if len(self._held) > LINE_LIMIT:
                    self._give_up(_NOT_SMTP)
                break
            line, self._held = self._held[:end].removesuffix(b"\r"), self._held[end + 1 :]
            if len(line) < 3 or not line[:3].isdigit() or line[3:4] not in (b"", b" ", b"-"):
                self._give_up(_NOT_SMTP)
                break
            if self._state is _State.EHLO:
                self._found.add(line[4:].split(b" ")[0].upper())
            if line[3:4] != b"-":
                out += self._reply(int(line[:3]), line)
        return out

    def send(self, mail: bytes, rcpts: tuple[bytes, ...], body: bytes) -> bytes:
        """Begin a message; what to write. ``mail`` and each of ``rcpts`` is a whole command line with its CRLF;
        ``body`` what follows 354, dots stuffed and ended by CRLF.CRLF, or the BDAT line and its chunk.
        Raises RuntimeError unless the session is ready and there is a recipient."""
        if self._state is not _State.READY or not rcpts:
            raise RuntimeError("a message needs a session that is ready, and a recipient")
        self.event = Event.NOTHING
        self._rcpts, self._body = rcpts, body
        self._next = self._accepted = 0
        self._failed = False
        self._state = _State.MAIL
        if not self._pipelining:
            return mail
        return mail + b"".join(rcpts) + (body if self._chunking else b"DATA\r\n")

    def quit(self) -> bytes:
        """Say goodbye; what to write. Raises RuntimeError unless the session is ready."""
        if self._state is not _State.READY:
            raise RuntimeError("QUIT needs a session that is ready")
        self.event = Event.NOTHING
        self._state = _State.QUIT
        return b"QUIT\r\n"

    def end(self) -> None:
        """The connection is gone: unless goodbyes were said, that is one more refusal."""
        if self._held:
            self.receive(b"")
        if self._state not in (_State.QUIT, _State.OVER):
            self.refusals.append((self.stage, _CLOSED))
        self._state = _State.OVER
        self.event = Event.OVER

    def _give_up(self, why: bytes) -> bytes:
        self.refusals.append((self.stage, why))
        self._state = _State.OVER
        self.event = Event.OVER
        return b""

    def _reply(self, code: int, line: bytes) -> bytes:
        """The last line of a reply has come; what to write."""
        if code == 421 and self._state is not _State.QUIT:
            return self._give_up(line)
        match self._state:
            case _State.GREETING:
                if code != 220:
                    return self._give_up(line)
                self._state = _State.EHLO
                return b"EHLO " + self._hello + b"\r\n"
            case _State.EHLO:
                return self._greeted(code, line)
            case _State.HELO if code == 250:
                return self._ready(Event.READY)
            case _State.MAIL | _State.RCPT | _State.DATA:
                return self._transaction(code, line)
            case _State.BODY:
                return self._body_answered(code, line)
            case _State.RSET if code == 250:
                return self._ready(Event.REFUSED)
            case _State.QUIT:
                self._state = _State.OVER
                self.event = Event.OVER
                return b""
        return self._give_up(line)

    def _greeted(self, code: int, line: bytes) -> bytes:
        if code in (500, 502, 504) and not (self._pipelining or self._chunking):
            self._state = _State.HELO  # RFC 5321 §3.2
            return b"HELO " + self._hello + b"\r\n"
        if code != 250:
            return self._give_up(line)
        for wanted, keyword in ((self._pipelining, b"PIPELINING"), (self._chunking, b"CHUNKING")):
            if wanted and keyword not in self._found:
                return self._give_up(keyword + b" is not announced")
        return self._ready(Event.READY)

    def _ready(self, event: Event) -> bytes:
        self._state = _State.READY
        self.event = event
        return b""

    def _transaction(self, code: int, line: bytes) -> bytes:
        """A reply to MAIL, RCPT or DATA. What is refused only because something before it was is not told."""
        if self._state is _State.MAIL:
            self._state = _State.RCPT
            if code // 100 == 2:
                return b"" if self._pipelining else self._rcpts[0]
            self._failed = True
            self.refusals.append(("mail", line))
            return b"" if self._pipelining else self._reset()
        if self._state is _State.RCPT:
            self._next += 1
            if code // 100 == 2:
                self._accepted += 1
            elif not self._failed:
                self.refusals.append(("rcpt", line))
            if self._next < len(self._rcpts):
                return b"" if self._pipelining else self._rcpts[self._next]
            if self._pipelining:
                self._state = _State.BODY if self._chunking else _State.DATA
                return b""
            if not self._accepted:
                return self._reset()
            self._state = _State.BODY if self._chunking else _State.DATA
            return self._body if self._chunking else b"DATA\r\n"
        if code == 354:
            self._state = _State.BODY
            return self._body if self._accepted else b".\r\n"  # RFC 2920 §3.1
        if self._accepted:
            self.refusals.append(("data", line))
        return self._reset()

    def _body_answered(self, code: int, line: bytes) -> bytes:
        if code // 100 == 2 and self._accepted:
            return self._ready(Event.SENT)
        if self._accepted:
            self.refusals.append(("body", line))
        return self._reset() if self._chunking else self._ready(Event.REFUSED)

    def _reset(self) -> bytes:
        self._state = _State.RSET
        return b"RSET\r\n"
