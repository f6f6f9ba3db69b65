"""The beginning and the end of a sending client's session: greeting, EHLO, STARTTLS, AUTH, QUIT, and how replies are
read. `fastsmtp.smtp.outgoing` adds the transactions; both have compiled twins.
"""

from enum import IntEnum

from fastsmtp.smtp.outgoing_judge import judge, lost, nonsense, read_offer
from fastsmtp.smtp.outgoing_sasl import Exchange
from fastsmtp.smtp.outgoing_values import (
    LINE_LIMIT,
    NO_OFFER,
    REPLY_LINES,
    REPLY_OCTETS,
    Event,
    Mechanism,
    Offer,
    Outcome,
)

Buffer = bytes | bytearray | memoryview

NOT_SMTP = "what is not an SMTP reply came"
TOO_LONG = "a reply without end came"
UNASKED = "a reply came that nothing had asked for"
WRONG = "a reply of the wrong kind came"


class State(IntEnum):
    GREETING = 0
    EHLO = 1
    HELO = 2
    STARTTLS = 3
    TLS = 4
    AUTH = 5
    READY = 6
    RSET = 7
    MAIL = 8
    RCPT = 9
    DATA = 10
    BODY = 11
    QUIT = 12
    OVER = 13


STAGES = (
    "connect",
    "helo",
    "helo",
    "starttls",
    "tls",
    "auth",
    "idle",
    "rset",
    "mail",
    "rcpt",
    "data",
    "body",
    "quit",
    "over",
)


class OutgoingSession:
    """What `OutgoingProtocol` is made of, without its transactions."""

    __slots__ = (
        "_encrypted",
        "_ended",
        "_exchange",
        "_held",
        "_hello",
        "_lines",
        "_lmtp",
        "_octets",
        "_state",
        "event",
        "offer",
        "open",
        "outcomes",
        "refusal",
        "trouble",
    )

    _exchange: Exchange

    def __init__(self, hello: bytes, *, lmtp: bool, encrypted: bool) -> None:
        self._hello = hello
        self._lmtp = lmtp
        self._encrypted = encrypted
        self._state = State.GREETING
        self._held = b""
        self._lines: list[bytes] = []  # of the reply that is coming
        self._octets = 0  # in them
        self._ended = False  # the end of a body was written
        self.event = Event.NOTHING
        self.offer: Offer = NO_OFFER
        self.open = False
        self.outcomes: list[Outcome | None] = []
        self.refusal: Outcome | None = None
        self.trouble: Outcome | None = None

    @property
    def stage(self) -> str:
        """What the session waits for: connect, helo, starttls, tls, auth, idle, rset, mail, rcpt, data, body, quit,
        over. What is written at the stage auth is a secret."""
        return STAGES[self._state]

    # --- what the server says ------------------------------------------------------------------

    def receive(self, data: Buffer, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
        if self._state is State.OVER:
            return b""
        self.event = Event.NOTHING
        self._held += bytes(data[:size] if size >= 0 else data)
        return self._read()

    def end(self, why: str = "connection closed", enhanced: str = "4.4.2") -> None:
        """The connection is gone, or is given up; ``why`` in words, ``enhanced`` a status of class 4 (RFC 3463)."""
        if self._held and self._state is not State.OVER:
            self.event = Event.NOTHING
            self._read()
        if self._state is State.QUIT:
            self._state = State.OVER
        if self._state is not State.OVER:
            self._close(lost(why, enhanced, self._where(), self._ended))
        self.event = Event.OVER

    def _read(self) -> bytes:
        out = b""
        while self.event is Event.NOTHING and self._state is not State.OVER:
            end = self._held.find(b"\n")
            if end < 0 or end > LINE_LIMIT:
                if len(self._held) > LINE_LIMIT:
                    self._nonsense(TOO_LONG)
                break
            line, self._held = self._held[:end].removesuffix(b"\r"), self._held[end + 1 :]
            if not _is_reply_line(line) or (self._lines and line[:3] != self._lines[0][:3]):
                self._nonsense(NOT_SMTP)
                break
            self._lines.append(line)
            self._octets += len(line)
            if line[3:4] != b"-":
                lines, self._lines, self._octets = self._lines, [], 0
                out += self._reply(int(line[:3]), lines)
            elif len(self._lines) >= REPLY_LINES or self._octets > REPLY_OCTETS:
                self._nonsense(TOO_LONG)
        return out

    def _reply(self, code: int, lines: list[bytes]) -> bytes:
        """A whole reply has come; what to write."""
        state = self._state
        if state is State.QUIT:
            self._state = State.OVER
            self.event = Event.OVER
            return b""
        if code == 421:  # RFC 5321 §3.8: in answer to anything
            return self._close(self._judged(code, lines))
        good = 3 if state is State.AUTH or state is State.DATA else 2
        if code // 100 not in (good, 2, 4, 5) or state is State.TLS or state is State.READY:
            return self._nonsense(UNASKED if state in (State.TLS, State.READY) else WRONG)
        match state:
            case State.GREETING | State.EHLO | State.HELO:
                return self._greeted(code, lines)
            case State.STARTTLS:
                return self._starttls_answered(code, lines)
            case State.AUTH:
                return self._auth_answered(code, lines)
        return self._answer(code, lines)

    def _answer(self, code: int, lines: list[bytes]) -> bytes:
        """A reply within a transaction; what to write."""
        raise NotImplementedError

    def _judged(self, code: int, lines: list[bytes]) -> Outcome:
        final = self._lmtp or "DSN" in self.offer.keywords
        return judge(code, lines, self.stage, "delivered" if final else "relayed")

    # --- beginning of a session ----------------------------------------------------------------

    def _greeted(self, code: int, lines: list[bytes]) -> bytes:
        good = code // 100 == 2
        if self._state is State.EHLO and code // 100 == 5 and not self._lmtp:
            self._state = State.HELO  # RFC 5321 §3.2
            return b"HELO " + self._hello + b"\r\n"
        if not good:
            return self._close(self._judged(code, lines))
        if self._state is State.GREETING:
            return self._say_hello()
        if self._state is State.EHLO:
            self.offer = read_offer(lines)
        return self._ready(Event.READY)

    def _say_hello(self) -> bytes:
        self._state = State.EHLO
        return (b"LHLO " if self._lmtp else b"EHLO ") + self._hello + b"\r\n"

    def _ready(self, event: Event) -> bytes:
        self._state = State.READY
        self.event = event
        return b""

    def starttls(self) -> bytes:
        """Ask for TLS (RFC 3207); what to write. Then comes `TLS_GO` or `REFUSED`. RuntimeError unless ready."""
        if self._interrupted("STARTTLS"):
            return b""
        self._state = State.STARTTLS
        return b"STARTTLS\r\n"

    def _starttls_answered(self, code: int, lines: list[bytes]) -> bytes:
        if code // 100 != 2:
            self.refusal = self._judged(code, lines)
            return self._ready(Event.REFUSED)
        if self._held:
            # RFC 3207 §4.2 and §6: what came in clear behind the reply was put there by somebody else
            return self._nonsense(UNASKED)
        self._state = State.TLS
        self.event = Event.TLS_GO
        return b""

    def tls_done(self) -> bytes:
        """The handshake has succeeded: what was offered in clear is forgotten (RFC 3207 §4.2); what to write.
        RuntimeError unless it was waited for. A handshake that failed is told by `end`."""
        if self._state is not State.TLS:
            raise RuntimeError("no TLS handshake was waited for")
        self.event = Event.NOTHING
        self.offer = NO_OFFER
        self._encrypted = True
        return self._say_hello()

    def auth(self, mechanism: Mechanism) -> bytes:
        """Authenticate (RFC 4954); what to write. Then comes `READY` or `REFUSED`, before it `WORK` where an answer
        takes long; an exchange that the server does not keep to is `OVER`. RuntimeError unless ready."""
        if self._interrupted("AUTH"):
            return b""
        self._exchange = Exchange(mechanism)
        out = self._exchange.begin()
        self._state = State.AUTH
        return out

    def _auth_answered(self, code: int, lines: list[bytes]) -> bytes:
        exchange = self._exchange
        if code // 100 == 3:
            out = exchange.answer(lines)
            if exchange.working:
                self.event = Event.WORK
            return out
        if code // 100 != 2:
            self.refusal = exchange.failure or self._judged(code, lines)
            return self._ready(Event.REFUSED)
        doubt = exchange.doubt()
        return self._ready(Event.READY) if doubt is None else self._close(doubt)

    def worked(self, response: bytes) -> bytes:
        """What `WORK` asked for is done, and ``response`` came of it; what to write."""
        if self._state is not State.AUTH:
            return b""
        self.event = Event.NOTHING
        return self._exchange.worked(response)

    # --- ends ----------------------------------------------------------------------------------

    def quit(self) -> bytes:
        """Say goodbye; what to write. RuntimeError unless the session is ready."""
        if self._interrupted("QUIT"):
            return b""
        self._state = State.QUIT
        return b"QUIT\r\n"

    def _interrupted(self, command: str) -> bool:
        """Before a command: whether the server has said something that would pass for the command's answer."""
        if self._state is not State.READY:
            raise RuntimeError(f"{command} needs a session that is ready")
        self.event = Event.NOTHING
        if self._held:
            self._read()
            if self._state is State.READY:
                self._nonsense(UNASKED)
            return True
        return False

    def _nonsense(self, why: str) -> bytes:
        return self._close(nonsense(why, self._where()))

    def _where(self) -> str:
        """The stage of a failure. A message that went with its envelope may have arrived before MAIL is answered."""
        return "body" if self._ended and State.RSET <= self._state <= State.DATA else self.stage

    def _close(self, why: Outcome) -> bytes:
        """The session is over, and what has no outcome is deferred."""
        self.trouble = why
        self._settle_all(why if why.status != "failed" or why.ours else why._replace(status="deferred"))
        self._state = State.OVER
        self.event = Event.OVER
        self.open = False
        self._held = b""
        return b""

    def _settle_all(self, outcome: Outcome) -> None:
        for number, known in enumerate(self.outcomes):
            if known is None:
                self.outcomes[number] = outcome


def _is_reply_line(line: bytes) -> bool:
    # RFC 5321 §4.2: three digits, then a space, a hyphen, or nothing
    return len(line) >= 3 and line[:3].isdigit() and line[3:4] in (b"", b" ", b"-")
