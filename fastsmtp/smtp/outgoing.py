"""The sending client's side of SMTP and LMTP, written to be read: the plain twin of the compiled ``_core/outgoing``.

Bytes of the server in by `OutgoingProtocol.receive`, bytes to be written out, and what happened in ``event``. It
knows no socket, no clock and no waiting. Both implementations run under the same tests.
"""

from collections.abc import Mapping, Sequence

from fastsmtp.smtp import outgoing_plan
from fastsmtp.smtp.outgoing_body import BodyWriter, is_ascii
from fastsmtp.smtp.outgoing_judge import is_full
from fastsmtp.smtp.outgoing_plan import Plan, Recipient, unfit
from fastsmtp.smtp.outgoing_session import WRONG, Buffer, OutgoingSession, State
from fastsmtp.smtp.outgoing_values import EARLY_CHUNK, WINDOW, Event, Outcome

_EARLY = "a reply came before the end of the message"


class OutgoingProtocol(OutgoingSession):
    """One session of a client: greeting, STARTTLS, AUTH, transaction after transaction, QUIT.

    After each call write what it gave, in one write, then look at ``event`` (see `Event`); while it is ``NOTHING``
    wait for the server, for the time that its ``stage`` has (RFC 5321 §4.5.3.2), and call `receive`, or `end` when
    the connection is gone or that time is over.

    ``hello`` is the name to give in EHLO, HELO or LHLO. ``lmtp``: RFC 2033 is spoken, where each accepted recipient
    has an answer of its own after the body. ``encrypted``: the connection began with TLS. ``convert``: a bare CR or
    LF in a body becomes CRLF; without it such a body fails with 5.6.0. ``early_chunk``: see `EARLY_CHUNK`; 0 sends
    BDAT only where it is needed.

    Whatever the server does leads to an outcome for every recipient of a transaction, in ``outcomes``, which are
    complete at ``DONE`` and at ``OVER``. ``trouble`` is the reason why a session is over, None after a QUIT. When its
    stage is "body" and it is no reply, the message may have arrived; at any other stage it has not.
    """

    __slots__ = (
        "_accepted",
        "_answered",
        "_asked",
        "_body",
        "_chunks",
        "_convert",
        "_early",
        "_plan",
        "_probing",
        "_refused",
        "_reset",
        "_sent",
        "_told",
        "_transactions",
        "_writer",
    )

    def __init__(
        self,
        hello: bytes,
        *,
        lmtp: bool = False,
        encrypted: bool = False,
        convert: bool = False,
        early_chunk: int = EARLY_CHUNK,
    ) -> None:
        super().__init__(hello, lmtp=lmtp, encrypted=encrypted)
        self._convert = convert
        self._early = 0 if lmtp else early_chunk
        self._probing = False  # the transaction ends with its RCPT commands
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
        self._told = 0  # recipients that an LMTP server has answered after the body
        self._writer = BodyWriter()

    @property
    def spent(self) -> bool:
        """Whether the server takes no further transaction over this connection (RFC 9422 §4 MAILMAX)."""
        return 0 < self.offer.mailmax <= self._transactions

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
        self._probing = False
        return self._begin(sender, recipients, params, size, body)

    def probe(self, recipients: Sequence[Recipient]) -> bytes:
        """Ask whether the server takes mail from the null sender for ``recipients``, and send none; what to write.
        Then comes ``DONE``: an outcome says what the server answered to that RCPT, or to MAIL when that was refused.
        The next transaction begins with RSET. RuntimeError unless the session is ready and there is a recipient.
        """
        self._probing = True
        return self._begin("", recipients, None, 0, None)

    def _begin(
        self,
        sender: str,
        recipients: Sequence[Recipient],
        params: Mapping[str, str] | None,
        size: int,
        body: Buffer | None,
    ) -> bytes:
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
            self._state = State.RSET
            out = b"RSET\r\n"
            if "PIPELINING" not in self.offer.keywords:
                return out
        else:
            self._state = State.MAIL
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
        if self._sent < len(plan.rcpts) or self._probing:
            return out
        if not plan.chunked:
            self._asked = True
            return out + b"DATA\r\n"
        return out + self._chunk_whole() if self._asked else out

    def _chunk_whole(self) -> bytes:
        self._chunks = 1
        self._ended = True
        return self._body or b""

    def _answer(self, code: int, lines: list[bytes]) -> bytes:
        match self._state:
            case State.RSET:
                if code // 100 != 2:
                    return self._close(
                        self._judged(code, lines)._replace(status="deferred", enhanced="4.5.0")
                    )
                self._state = State.MAIL
                return b"" if self._sent else self._envelope()
            case State.MAIL:
                return self._mail_answered(code, lines)
            case State.RCPT:
                return self._rcpt_answered(code, lines)
            case State.DATA:
                return self._data_answered(code, lines)
        return self._body_answered(code, lines)

    def _mail_answered(self, code: int, lines: list[bytes]) -> bytes:
        if code // 100 != 2:
            self._refused = self._judged(code, lines)
            self._settle_all(self._refused)
        self._state = State.RCPT
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
                if self._probing:
                    self.outcomes[number] = self._judged(code, lines)
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
        if self._probing:
            self._reset = self._refused is None
            return self._ready(Event.DONE)
        if self._chunks:
            self._state = State.BODY
            return b""
        if plan.chunked and self._accepted:
            self._state = State.BODY
            if self._body is not None:
                return self._chunk_whole()
            self.open = True
            self.event = Event.BODY
            return b""
        if self._asked and not plan.chunked:
            self._state = State.DATA
            return b""
        if self._accepted:
            self._asked = True
            self._state = State.DATA
            return b"DATA\r\n"
        self._reset = self._refused is None
        return self._ready(Event.DONE)

    def _data_answered(self, code: int, lines: list[bytes]) -> bytes:
        if code // 100 == 2:
            return self._nonsense(WRONG)
        if code // 100 != 3:
            self._settle_accepted(self._judged(code, lines))
            self._reset = self._refused is None
            return self._ready(Event.DONE)
        self._state = State.BODY
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

    def _settle_accepted(self, outcome: Outcome) -> None:
        for number in self._accepted:
            self.outcomes[number] = outcome
