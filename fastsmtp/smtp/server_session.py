"""What a server's session says, and the body of a message. `fastsmtp.smtp.server` adds the input and the commands;
both have compiled twins.
"""

import binascii
from typing import Literal

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.framing import ChunkReader, DotReader
from fastsmtp.smtp.handler import PENDING, AuthAnswer, Challenge, Handler
from fastsmtp.smtp.rules import BODY_FAULTS, ServerRules
from fastsmtp.smtp.states import Command, State


class ServerSession:
    """The part of `ServerProtocol` that does not look at commands."""

    __slots__ = (
        "_authenticated",
        "_binary",
        "_body",
        "_chunk_last",
        "_chunk_more",
        "_chunk_reply",
        "_errors",
        "_exchanging",
        "_handler",
        "_held",
        "_out",
        "_out_size",
        "_recipients",
        "_refused",
        "_rules",
        "_stage",
        "_state",
        "_utf8",
        "closing",
    )

    def __init__(self, rules: ServerRules, handler: Handler) -> None:
        self._rules = rules
        self._handler = handler
        self._state = State.START
        self._stage: Command | Literal["body"] | None = None  # what `resume` answers
        self._body: DotReader | ChunkReader | None = None
        self._chunk_last = False
        self._chunk_more = 0  # times it is said again
        self._chunk_reply: Reply | None = None  # a chunk nobody wanted: swallowed, then this
        self._refused = False  # the handler knows that the body is at fault
        self._held = b""
        self._out: list[bytes] = []
        self._out_size = 0
        self._errors = 0
        self._recipients = 0
        self._binary = False
        self._utf8 = False
        self._exchanging = False  # AUTH: from its command to its outcome
        self._authenticated = False
        self.closing = False

    @property
    def waiting(self) -> bool:
        """Whether the handler owes an answer."""
        return self._stage is not None

    @property
    def in_transaction(self) -> bool:
        """Whether a sender is given or a body is under way."""
        return self._state >= State.MAIL or self._stage is not None

    def greeting(self) -> bytes:
        """The banner (RFC 5321 §4.2)."""
        return self._rules.greeting

    def say_goodbye(self, last: Reply) -> bytes:
        """End the session with ``last``, such as 421; what to write."""
        if self.closing:
            return b""
        self._forget()
        self._say(last)
        self.closing = True
        return self._flush()

    def end(self) -> None:
        """The connection is gone: a transaction under way is over, unless its reply is already owed."""
        self._forget()
        self.closing = True

    # --- output -----------------------------------------------------------------------------------

    def _flush(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        self._out_size = 0
        return out

    def _put(self, wire: bytes) -> None:
        self._out.append(wire)
        self._out_size += len(wire)

    def _say(self, answer: Reply, *, counts: bool = False) -> None:
        if answer.code >= 500 or counts:
            self._errors += 1
            if self._errors > self._rules.errors:
                answer = reply.TOO_MANY_ERRORS
        self._put(answer.wire)
        if answer.closes:
            self._forget()
            self.closing = True

    def _refuse(self, answer: Reply) -> None:
        """Say ``answer`` and close: the stream can no longer be trusted."""
        self._say(answer)
        self._forget()
        self.closing = True

    def _forget(self) -> None:
        """End the transaction under way, if there is one (RFC 5321 §4.1.1.5). A message whose end was handed out
        is the handler's: only its reply is lost."""
        under_way = self.in_transaction and self._stage not in ("body", Command.AUTH)
        self._cancel()
        told, self._refused = self._refused, False
        self._stage = None
        self._body = None
        self._chunk_reply = None
        self._recipients = 0
        self._binary = self._utf8 = False
        if self._state != State.START:
            self._state = State.READY
        if under_way and not told:
            self._handler.on_reset()

    def _cancel(self) -> None:
        if self._exchanging:
            self._exchanging = False
            self._handler.on_auth_cancelled()

    # --- answers ----------------------------------------------------------------------------------

    def _ask(self, stage: Command | Literal["body"], answer: AuthAnswer) -> None:
        if answer is PENDING:
            self._stage = stage
        else:
            self._answered(stage, answer)

    def _answered(self, stage: Command | Literal["body"], answer: Reply | Challenge | None) -> None:
        if isinstance(answer, Challenge):
            self._put(b"334 " + binascii.b2a_base64(answer.data, newline=False) + b"\r\n")
            return
        accepted = answer is None or answer.positive
        match stage:
            case Command.MAIL:
                if accepted:
                    self._state = State.MAIL
                # a client that goes on asking when told to try later is no better than one that errs
                self._say(answer or reply.SENDER_OK, counts=not accepted)
            case Command.RCPT:
                if accepted:
                    self._state = State.RCPT
                    self._recipients += 1
                elif self._state == State.MAIL:
                    self._state = State.REFUSED
                self._say(answer or reply.RECIPIENT_OK)
            case Command.AUTH:
                self._exchanging = False
                self._authenticated = accepted
                self._say(answer or reply.AUTHENTICATED, counts=not accepted)
            case Command.DATA:
                if answer is None:
                    self._put(reply.SEND_DATA.wire)
                else:
                    self._forget()
                    self._say(answer)
            case Command.BDAT:
                if answer is None:
                    self._state = State.CHUNKS
                    self._chunk_started()
                else:
                    left = self._body.left if isinstance(self._body, ChunkReader) else 0
                    more = self._more()
                    self._forget()
                    self._swallow(left, answer, more)
            case "body":
                self._body_answered(answer or reply.LOCAL_ERROR)

    # --- bodies -----------------------------------------------------------------------------------

    def _read_body(self, body: DotReader | ChunkReader) -> None:
        piece, used = body.feed(self._held)
        self._held = self._held[used:]
        if self._chunk_reply is not None:
            if body.ended:
                self._swallowed()
            return
        if piece:
            self._handler.on_body(piece)
        self._check_fault(body)
        if body.ended:
            self._body_part_ended(body)

    def _chunk_started(self) -> None:
        body = self._body
        if body is not None:
            self._check_fault(body)
            if body.ended:
                self._body_part_ended(body)

    def _check_fault(self, body: DotReader | ChunkReader) -> None:
        if body.fault and not self._refused:
            self._refused = True
            self._handler.on_body_refused(BODY_FAULTS[body.fault])

    def _body_part_ended(self, body: DotReader | ChunkReader) -> None:
        if isinstance(body, ChunkReader):
            if self._chunk_last:
                body.finish()
                self._check_fault(body)
            if not body.fault and not self._chunk_last:
                self._say(reply.CHUNK_OK)
                return
        if body.fault:
            self._body_answered(BODY_FAULTS[body.fault])
            return
        self._ask("body", self._handler.on_body_end())

    def _body_answered(self, answer: Reply) -> None:
        """The reply to a message: the transaction ends with it."""
        more = self._more()
        self._state = State.READY
        self._forget()
        self._say_again(answer, more)

    def _more(self) -> int:
        """How many replies the end of a message has beside the first: in LMTP there is one for each recipient
        (RFC 2033 §4.2), but to a chunk that is not the last there is one (§4.3)."""
        ends = isinstance(self._body, DotReader) or self._chunk_last
        return self._recipients - 1 if self._rules.lmtp and ends else 0

    def _say_again(self, answer: Reply, more: int) -> None:
        self._say(answer)
        if not self.closing:
            self._put(answer.wire * more)

    def _swallow(self, octets: int, answer: Reply, more: int = 0) -> None:
        """Read a chunk that is not wanted, and only then refuse it (RFC 3030 §2), ``more`` than once in LMTP."""
        self._chunk_reply = answer
        self._chunk_more = more
        self._body = ChunkReader(0, True)
        self._body.begin(octets)
        if self._body.ended:
            self._swallowed()

    def _swallowed(self) -> None:
        answer, self._chunk_reply, self._body = self._chunk_reply, None, None
        if answer is not None:
            self._say_again(answer, self._chunk_more)
