"""The sending client's side of SMTP and LMTP, written to be read: the plain twin of the compiled ``_core/outgoing``.

Bytes of the server in by `OutgoingProtocol.receive`, bytes to be written out, and what happened in ``event``. It
knows no socket, no clock and no waiting. Both implementations run under the same tests.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum

from fastsmtp.smtp import outgoing_plan
from fastsmtp.smtp.outgoing_body import BodyWriter, is_ascii
from fastsmtp.smtp.outgoing_judge import is_full, judge, lost, nonsense, read_offer
from fastsmtp.smtp.outgoing_plan import Plan, Recipient, unfit
from fastsmtp.smtp.outgoing_sasl import Exchange
from fastsmtp.smtp.outgoing_values import (
    EARLY_CHUNK,
    LINE_LIMIT,
    NO_OFFER,
    REPLY_LINES,
    REPLY_OCTETS,
    WINDOW,
    Event,
    Mechanism,
    Offer,
    Outcome,
)

Buffer = bytes | bytearray | memoryview

_NOT_SMTP = "what is not an SMTP reply came"
_TOO_LONG = "a reply without end came"
_UNASKED = "a reply came that nothing had asked for"
_WRONG = "a reply of the wrong kind came"
_EARLY = "a reply came before the end of the message"


class _State(IntEnum):
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


_STAGES = (
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


class OutgoingProtocol:
    """One session of a client: greeting, STARTTLS, AUTH, transaction after transaction, QUIT.

    After each call write what it gave, in one write, then look at ``event`` (see `Event`); while it is ``NOTHING``
    wait for the server, at most `PATIENCE` of the ``stage``, and call `receive`, or `end` when the connection is gone
    or patience has run out.

    ``hello`` is the name to give in EHLO, HELO or LHLO. ``lmtp``: RFC 2033 is spoken, where each accepted recipient
    has an answer of its own after the body. ``encrypted``: the connection began with TLS. ``convert``: a bare CR or
    LF in a body becomes CRLF; without it such a body fails with 5.6.0. ``early_chunk``: see `EARLY_CHUNK`; 0 sends
    BDAT only where it is needed.

    Whatever the server does leads to an outcome for every recipient of a transaction, in ``outcomes``, which are
    complete at ``DONE`` and at ``OVER``. ``trouble`` is the reason why a session is over, None after a QUIT.
    """

    __slots__ = (
        "_accepted",
        "_answered",
        "_asked",
        "_body",
        "_chunks",
        "_convert",
        "_early",
        "_encrypted",
        "_ended",
        "_exchange",
        "_held",
        "_hello",
        "_lines",
        "_lmtp",
        "_octets",
        "_plan",
        "_refused",
        "_reset",
        "_sent",
        "_state",
        "_told",
        "_transactions",
        "_writer",
        "event",
        "offer",
        "open",
        "outcomes",
        "refusal",
        "trouble",
    )

    _exchange: Exchange

    def __init__(
        self,
        hello: bytes,
        *,
        lmtp: bool = False,
        encrypted: bool = False,
        convert: bool = False,
        early_chunk: int = EARLY_CHUNK,
    ) -> None:
        self._hello = hello
        self._lmtp = lmtp
        self._convert = convert
        self._early = 0 if lmtp else early_chunk
        self._encrypted = encrypted
        self._state = _State.GREETING
        self._held = b""
        self._lines: list[bytes] = []  # of the reply that is coming
        self._octets = 0  # in them
        self._reset = False  # RSET is owed before the next transaction
        self._transactions = 0
        self._plan = Plan(b"", [], [], [])
        self._body: bytes | None = None  # as it is to be written, when it was given whole
        self._sent = 0  # RCPT commands written,
        self._answered = 0  # and answered
        self._accepted: list[int] = []  # places in outcomes
        self._refused: Outcome | None = None  # what MAIL or a chunk was refused with
        self._asked = False  # DATA was written
        self._chunks = 0  # BDAT commands written and not answered
        self._ended = False  # the end of the body was written
        self._told = 0  # recipients that an LMTP server has answered after the body
        self._writer = BodyWriter()
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
        return _STAGES[self._state]

    @property
    def spent(self) -> bool:
        """Whether the server takes no further transaction over this connection (RFC 9422 §4 MAILMAX)."""
        return 0 < self.offer.mailmax <= self._transactions

    # --- what the server says ------------------------------------------------------------------

    def receive(self, data: Buffer, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
        if self._state is _State.OVER:
            return b""
        self.event = Event.NOTHING
        self._held += bytes(data[:size] if size >= 0 else data)
        return self._read()

    def end(self, why: str = "connection closed", enhanced: str = "4.4.2") -> None:
        """The connection is gone, or is given up; ``why`` in words, ``enhanced`` a status of class 4 (RFC 3463)."""
        if self._held and self._state is not _State.OVER:
            self.event = Event.NOTHING
            self._read()
        if self._state is _State.QUIT:
            self._state = _State.OVER
        if self._state is not _State.OVER:
            self._close(lost(why, enhanced, self.stage, self._ended))
        self.event = Event.OVER

    def _read(self) -> bytes:
        out = b""
        while self.event is Event.NOTHING and self._state is not _State.OVER:
            end = self._held.find(b"\n")
            if end < 0 or end > LINE_LIMIT:
                if len(self._held) > LINE_LIMIT:
                    self._nonsense(_TOO_LONG)
                break
            line, self._held = self._held[:end].removesuffix(b"\r"), self._held[end + 1 :]
            if not _is_reply_line(line) or (self._lines and line[:3] != self._lines[0][:3]):
                self._nonsense(_NOT_SMTP)
                break
            self._lines.append(line)
            self._octets += len(line)
            if line[3:4] != b"-":
                lines, self._lines, self._octets = self._lines, [], 0
                out += self._reply(int(line[:3]), lines)
            elif len(self._lines) >= REPLY_LINES or self._octets > REPLY_OCTETS:
                self._nonsense(_TOO_LONG)
        return out

    def _reply(self, code: int, lines: list[bytes]) -> bytes:
        """A whole reply has come; what to write."""
        state = self._state
        if state is _State.QUIT:
            self._state = _State.OVER
            self.event = Event.OVER
            return b""
        if code == 421:  # RFC 5321 §3.8: in answer to anything
            return self._close(self._judged(code, lines))
        good = 3 if state is _State.AUTH or state is _State.DATA else 2
        if code // 100 not in (good, 2, 4, 5) or state is _State.TLS or state is _State.READY:
            return self._nonsense(_UNASKED if state in (_State.TLS, _State.READY) else _WRONG)
        match state:
            case _State.GREETING | _State.EHLO | _State.HELO:
                return self._greeted(code, lines)
            case _State.STARTTLS:
                return self._starttls_answered(code, lines)
            case _State.AUTH:
                return self._auth_answered(code, lines)
            case _State.RSET:
                if code // 100 != 2:
                    return self._close(
                        self._judged(code, lines)._replace(status="deferred", enhanced="4.5.0")
                    )
                self._state = _State.MAIL
                return b"" if self._sent else self._envelope()
            case _State.MAIL:
                return self._mail_answered(code, lines)
            case _State.RCPT:
                return self._rcpt_answered(code, lines)
            case _State.DATA:
                return self._data_answered(code, lines)
        return self._body_answered(code, lines)

    def _judged(self, code: int, lines: list[bytes]) -> Outcome:
        final = self._lmtp or "DSN" in self.offer.keywords
        return judge(code, lines, self.stage, "delivered" if final else "relayed")

    # --- beginning of a session ----------------------------------------------------------------

    def _greeted(self, code: int, lines: list[bytes]) -> bytes:
        good = code // 100 == 2
        if self._state is _State.EHLO and code // 100 == 5 and not self._lmtp:
            self._state = _State.HELO  # RFC 5321 §3.2
            return b"HELO " + self._hello + b"\r\n"
        if not good:
            return self._close(self._judged(code, lines))
        if self._state is _State.GREETING:
            return self._say_hello()
        if self._state is _State.EHLO:
            self.offer = read_offer(lines)
        return self._ready(Event.READY)

    def _say_hello(self) -> bytes:
        self._state = _State.EHLO
        return (b"LHLO " if self._lmtp else b"EHLO ") + self._hello + b"\r\n"

    def _ready(self, event: Event) -> bytes:
        self._state = _State.READY
        self.event = event
        return b""

    def starttls(self) -> bytes:
        """Ask for TLS (RFC 3207); what to write. Then comes `TLS_GO` or `REFUSED`. RuntimeError unless ready."""
        if self._interrupted("STARTTLS"):
            return b""
        self._state = _State.STARTTLS
        return b"STARTTLS\r\n"

    def _starttls_answered(self, code: int, lines: list[bytes]) -> bytes:
        if code // 100 != 2:
            self.refusal = self._judged(code, lines)
            return self._ready(Event.REFUSED)
        if self._held:
            # RFC 3207 §4.2 and §6: what came in clear behind the reply was put there by somebody else
            return self._nonsense(_UNASKED)
        self._state = _State.TLS
        self.event = Event.TLS_GO
        return b""

    def tls_done(self) -> bytes:
        """The handshake has succeeded: what was offered in clear is forgotten (RFC 3207 §4.2); what to write.
        RuntimeError unless it was waited for. A handshake that failed is told by `end`."""
        if self._state is not _State.TLS:
            raise RuntimeError("no TLS handshake was waited for")
        self.event = Event.NOTHING
        self.offer = NO_OFFER
        self._encrypted = True
        return self._say_hello()

    def auth(self, mechanism: Mechanism) -> bytes:
        """Authenticate (RFC 4954); what to write. Then comes `READY` or `REFUSED`; an exchange that the server
        does not keep to is `OVER`. RuntimeError unless ready."""
        if self._interrupted("AUTH"):
            return b""
        self._exchange = Exchange(mechanism)
        out = self._exchange.begin()
        self._state = _State.AUTH
        return out

    def _auth_answered(self, code: int, lines: list[bytes]) -> bytes:
        exchange = self._exchange
        if code // 100 == 3:
            return exchange.answer(lines)
        if code // 100 != 2:
            self.refusal = exchange.failure or self._judged(code, lines)
            return self._ready(Event.REFUSED)
        doubt = exchange.doubt()
        return self._ready(Event.READY) if doubt is None else self._close(doubt)

    # --- transactions --------------------------------------------------------------------------

    def begin(
        self,
        sender: str,
        recipients: Sequence[Recipient],
        params: Mapping[str, str] | None,
        size: int,
        body: Buffer | None = None,
    ) -> bytes:
        """Begin a transaction; what to write. Then comes ``DONE``, before it ``BODY`` when the body was not given.

        ``sender`` and the recipients' addresses are without brackets; ``params`` are MAIL's (BODY, SMTPUTF8, RET,
        ENVID, REQUIRETLS) as the message came with them: they are passed on where the server offers them. ``size``
        in octets. ``body``: the whole content, or None when it is handed in by `body`; a content that may have to be
        converted for a server without 8BITMIME should be given whole.
        RuntimeError unless the session is ready and there is a recipient.
        """
        if not recipients:
            raise RuntimeError("a transaction needs a recipient")
        self.outcomes = [None] * len(recipients)
        if self._interrupted("MAIL"):
            return b""
        self._writer = BodyWriter(convert=self._convert)
        self._body = None
        self._sent = self._answered = self._chunks = self._told = 0
        self._accepted = []
        self._refused = None
        self._asked = self._ended = self.open = False
        seven = body is None or is_ascii(body)
        plan = outgoing_plan.make(self.offer, self._encrypted, sender, recipients, params, size, body, seven)
        self._plan = plan
        self.outcomes = plan.outcomes
        if plan.rcpts:
            self._frame(None if plan.body is None else bytes(plan.body))
        if not plan.rcpts or None not in self.outcomes:
            return self._ready(Event.DONE)
        self._transactions += 1
        out = b""
        if self._reset:
            self._reset = False
            self._state = _State.RSET
            out = b"RSET\r\n"
            if "PIPELINING" not in self.offer.keywords:
                return out
        else:
            self._state = _State.MAIL
        return out + self._envelope()

    def _frame(self, whole: bytes | None) -> None:
        """Decides on DATA or BDAT, and writes a whole body as it will leave."""
        plan = self._plan
        if whole is None:
            self._writer = BodyWriter(stuff=not plan.chunked, convert=self._convert, seven=plan.seven)
            return
        early = (
            self._early > 0
            and len(whole) <= self._early
            and len(plan.rcpts) <= WINDOW
            and "CHUNKING" in self.offer.keywords
            and "PIPELINING" in self.offer.keywords
        )
        plan.chunked = plan.chunked or early
        if plan.binary:
            self._body = whole
        else:
            writer = BodyWriter(stuff=not plan.chunked, convert=self._convert)
            self._body = bytes(writer.write(whole)) + writer.finish()
            if writer.fault:
                self._settle_all(unfit(writer.fault))
        if plan.chunked:
            self._body = b"BDAT %d LAST\r\n" % len(self._body) + self._body
        self._asked = early

    def _envelope(self) -> bytes:
        """MAIL, and with PIPELINING as many RCPT as may be on their way, and what follows the last of them."""
        if "PIPELINING" not in self.offer.keywords:
            return self._plan.mail
        return self._plan.mail + self._more()

    def _more(self) -> bytes:
        """The next RCPT commands, up to `WINDOW` on their way; behind the last one DATA (RFC 2920 §3.1), or the
        body as a chunk."""
        plan = self._plan
        first = self._sent
        self._sent = min(len(plan.rcpts), self._answered + WINDOW)
        out = b"".join(plan.rcpts[first : self._sent])
        if self._sent < len(plan.rcpts):
            return out
        if not plan.chunked:
            self._asked = True
            return out + b"DATA\r\n"
        return out + self._chunk_whole() if self._asked else out

    def _chunk_whole(self) -> bytes:
        self._chunks = 1
        self._ended = True
        return self._body or b""

    def _mail_answered(self, code: int, lines: list[bytes]) -> bytes:
        if code // 100 != 2:
            self._refused = self._judged(code, lines)
            self._settle_all(self._refused)
        self._state = _State.RCPT
        if self._refused is not None:
            return self._no_more_rcpts() if self._answered == self._sent else b""
        if self._sent:
            return b""
        self._sent = 1
        return self._plan.rcpts[0]

    def _rcpt_answered(self, code: int, lines: list[bytes]) -> bytes:
        plan = self._plan
        number = plan.numbers[self._answered]
        self._answered += 1
        if self._refused is None:
            if code // 100 == 2:
                self._accepted.append(number)
            else:
                outcome = self._judged(code, lines)
                if self._accepted and is_full(outcome):
                    outcome = outcome._replace(status="again")
                self.outcomes[number] = outcome
            if self._answered == self._sent < len(plan.rcpts) and "PIPELINING" not in self.offer.keywords:
                self._sent += 1
                return plan.rcpts[self._sent - 1]
            if self._sent < len(plan.rcpts) and self._sent - self._answered <= WINDOW // 2:
                return self._more()
        return self._no_more_rcpts() if self._answered == self._sent else b""

    def _no_more_rcpts(self) -> bytes:
        """All RCPT that were written are answered."""
        plan = self._plan
        if self._chunks:
            self._state = _State.BODY
            return b""
        if plan.chunked and self._accepted:
            self._state = _State.BODY
            if self._body is not None:
                return self._chunk_whole()
            self.open = True
            self.event = Event.BODY
            return b""
        if self._asked and not plan.chunked:
            self._state = _State.DATA
            return b""
        if self._accepted:
            self._asked = True
            self._state = _State.DATA
            return b"DATA\r\n"
        self._reset = self._refused is None
        return self._ready(Event.DONE)

    def _data_answered(self, code: int, lines: list[bytes]) -> bytes:
        if code // 100 == 2:
            return self._nonsense(_WRONG)
        if code // 100 != 3:
            self._settle_accepted(self._judged(code, lines))
            self._reset = self._refused is None
            return self._ready(Event.DONE)
        self._state = _State.BODY
        if self._accepted:
            if self._body is not None:
                self._ended = True
                return self._body
            self.open = True
            self.event = Event.BODY
            return b""
        # RFC 2920 §3.1: 354 though nobody was accepted. An LMTP server owes no answer then (RFC 2033 §4.2).
        self._ended = True
        if self._lmtp:
            self._ready(Event.DONE)
        return b".\r\n"

    # --- bodies --------------------------------------------------------------------------------

    def body(self, piece: Buffer, last: bool = False) -> list[Buffer]:
        """Hand in the next ``piece`` of the body after `BODY`, while ``open`` is true; ``last`` with the final one,
        which may be empty. What to write, in order; a part may be memory of ``piece`` itself, which must stay as it
        is until it is written. Without ``open`` nothing is taken. Look at ``event`` afterwards, too: `OVER` when the
        content may not be sent, or ``BODY`` in a later `receive` when the server wants to answer each chunk first.
        """
        self.event = Event.NOTHING
        if not self.open:
            return []
        if self._plan.binary:
            out: Buffer = piece
            tail = b""
        else:
            out = self._writer.write(piece)
            tail = self._writer.finish() if last else b""
            if self._writer.fault:
                self._settle_all(unfit(self._writer.fault))
                self._close(unfit(self._writer.fault))
                return []
        parts = [part for part in (out, tail) if len(part)]
        if self._plan.chunked:
            if not parts and not last:
                return []
            size = sum(len(part) for part in parts)
            parts.insert(0, b"BDAT %d%s\r\n" % (size, b" LAST" if last else b""))
            self._chunks += 1
            self.open = "PIPELINING" in self.offer.keywords
        if last:
            self.open = False
            self._ended = True
        if self._held:
            answer = self._read()
            if answer:
                parts.append(answer)
        return parts

    def abandon(self, why: str, enhanced: str = "4.3.0") -> None:
        """The rest of the body cannot be had: what was sent of it must not count, so the session is `OVER`, and
        each recipient without an outcome is deferred. ``why`` in words."""
        self._close(Outcome("deferred", 0, enhanced, why, self.stage, True))

    def _body_answered(self, code: int, lines: list[bytes]) -> bytes:
        if self._plan.chunked:
            return self._chunk_answered(code, lines)
        outcome = self._judged(code, lines)
        if not self._ended:
            # The server has made up its mind; only closing tells it that no more comes (RFC 5321 §4.1.1.4).
            if code // 100 == 2:
                return self._nonsense(_EARLY)
            self._settle_accepted(outcome)
            return self._close(outcome)
        return self._settled(outcome)

    def _chunk_answered(self, code: int, lines: list[bytes]) -> bytes:
        if not self._chunks:
            return self._nonsense(_EARLY)
        outcome = self._judged(code, lines)
        if self._chunks == 1 and self._ended:
            if code // 100 != 2 or self._refused is not None:
                self._reset = True
            return self._settled(self._refused or outcome)
        self._chunks -= 1
        if code // 100 != 2 and self._refused is None:
            # RFC 3030 §2: the transaction has failed; RSET before the next one
            self._refused = outcome
            self.open = False
        if self._refused is None:
            if not self._ended and not self._chunks and not self.open:
                self.open = True
                self.event = Event.BODY
            return b""
        if self._chunks:
            return b""
        self._settle_accepted(self._refused)
        self._reset = True
        return self._ready(Event.DONE)

    def _settled(self, outcome: Outcome) -> bytes:
        """An answer after the whole body."""
        if self._lmtp and self._accepted and self._refused is None:
            # RFC 2033 §4.2: one answer for each accepted recipient, in the order of RCPT
            self.outcomes[self._accepted[self._told]] = outcome
            self._told += 1
            if self._told < len(self._accepted):
                return b""
            return self._ready(Event.DONE)
        self._settle_accepted(outcome)
        return self._ready(Event.DONE)

    # --- ends ----------------------------------------------------------------------------------

    def quit(self) -> bytes:
        """Say goodbye; what to write. RuntimeError unless the session is ready."""
        if self._interrupted("QUIT"):
            return b""
        self._state = _State.QUIT
        return b"QUIT\r\n"

    def _interrupted(self, command: str) -> bool:
        """Before a command: whether the server has said something that would pass for the command's answer."""
        if self._state is not _State.READY:
            raise RuntimeError(f"{command} needs a session that is ready")
        self.event = Event.NOTHING
        if self._held:
            self._read()
            if self._state is _State.READY:
                self._nonsense(_UNASKED)
            return True
        return False

    def _nonsense(self, why: str) -> bytes:
        return self._close(nonsense(why, self.stage))

    def _close(self, why: Outcome) -> bytes:
        """The session is over, and what has no outcome is deferred."""
        self.trouble = why
        self._settle_all(why if why.status != "failed" or why.ours else why._replace(status="deferred"))
        self._state = _State.OVER
        self.event = Event.OVER
        self.open = False
        self._held = b""
        return b""

    def _settle_all(self, outcome: Outcome) -> None:
        for number, known in enumerate(self.outcomes):
            if known is None:
                self.outcomes[number] = outcome

    def _settle_accepted(self, outcome: Outcome) -> None:
        for number in self._accepted:
            self.outcomes[number] = outcome


def _is_reply_line(line: bytes) -> bool:
    # RFC 5321 §4.2: three digits, then a space, a hyphen, or nothing
    return len(line) >= 3 and line[:3].isdigit() and line[3:4] in (b"", b" ", b"-")
