"""The server's side of a session, written to be read: the plain twin of the compiled ``_core/dialog``.

Bytes in by `ServerProtocol.receive`, events out to a `Handler`, replies back as bytes to be written. Order comes
from `states.TABLE`, texts from `mail.reply`. Both implementations run under the same tests and are compared by
a fuzz target.
"""

import binascii
from typing import Literal

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import grammar, limits, xclient
from fastsmtp.smtp.framing import ChunkReader, DotReader
from fastsmtp.smtp.handler import PENDING, AuthAnswer, Challenge, Handler
from fastsmtp.smtp.rules import BODY_FAULTS, FOREIGN, ServerRules
from fastsmtp.smtp.states import VERBS, Command, State, refusal

_UTF8_LINES = (Command.MAIL, Command.RCPT, Command.VRFY)  # RFC 6531 §3.1 item 8


class ServerProtocol:
    """One session.

    After each call: write what it gave; when ``waiting``, more input may be handed in but nothing happens until
    `resume`; when ``full``, the same until `proceed`, which is due when the replies have left; when ``closing``,
    close the connection once the bytes are written, and hand in no more. ``left`` is
    true when it was the client who said QUIT, ``upgrading`` when it is not the connection that ends but this
    session: TLS begins on it, and with it another session (RFC 3207 §4.2).
    """

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
        "_skipped",
        "_stage",
        "_state",
        "_talked",
        "_utf8",
        "closing",
        "full",
        "left",
        "upgrading",
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
        self._skipped = 0
        self._out: list[bytes] = []
        self._out_size = 0
        self._errors = 0
        self._recipients = 0
        self._binary = False
        self._utf8 = False
        self._talked = False
        self._exchanging = False  # AUTH: from its command to its outcome
        self._authenticated = False
        self.closing = False
        self.full = False
        self.left = False
        self.upgrading = False

    @property
    def waiting(self) -> bool:
        """Whether the handler owes an answer."""
        return self._stage is not None

    @property
    def in_transaction(self) -> bool:
        """Whether a sender is given or a body is under way."""
        return self._state >= State.MAIL or self._stage is not None

    @property
    def holding(self) -> bool:
        """Whether input is kept that is not used yet."""
        return bool(self._held)

    def greeting(self) -> bytes:
        """The banner (RFC 5321 §4.2)."""
        return self._rules.greeting

    def receive(self, data: bytes | bytearray | memoryview, size: int = -1) -> bytes:
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
        if self.closing:
            return b""
        self._held += bytes(data[:size] if size >= 0 else data)
        if self._stage is None and not self.full:
            self._run()
        return self._flush()

    def proceed(self) -> bytes:
        """The replies have left: go on with the input that is kept; what to write."""
        self.full = False
        if self._stage is None:
            self._run()
        return self._flush()

    def resume(self, answer: Reply | Challenge | None) -> bytes:
        """The answer to the event that gave `PENDING`; what to write. One that comes too late is nobody's."""
        if self.closing:
            return b""
        stage, self._stage = self._stage, None
        if stage is None:
            raise RuntimeError("resume without a pending event")
        self._answered(stage, answer)
        if self._stage is None and not self.full:
            self._run()
        return self._flush()

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

    # --- input ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._held and not self.closing and self._stage is None:
            if self._out_size >= limits.OUTPUT:
                self.full = True
                break
            if self._body is not None and not self._body.ended:
                self._read_body(self._body)
            elif not self._read_line():
                break

    def _read_line(self) -> bool:
        data = self._held
        if not self._talked and not self._skipped:
            if data[0] == 0x16:  # a TLS record of type handshake (RFC 8446 §5.1)
                self._refuse(reply.NOT_SMTP)
                return True
            if data.startswith(FOREIGN):
                self._refuse(reply.NOT_SMTP)
                return True
        end = data.find(b"\n")
        if end < 0:
            if self._skipped or len(data) > self._rules.line_hard:
                self._skipped += len(data)
                self._held = b""
                if self._skipped > limits.LINE_SKIPPED:
                    self._refuse(reply.LINE_TOO_LONG)
            return False
        line, self._held = data[:end], data[end + 1 :]
        self._talked = True
        if self._skipped or len(line) >= self._rules.line_hard:
            length, self._skipped = self._skipped + len(line), 0
            if length > limits.LINE_SKIPPED:
                self._refuse(reply.LINE_TOO_LONG)
            else:
                self._fault(reply.AUTH_TOO_LONG if self._exchanging else reply.LINE_TOO_LONG)
        elif not line.endswith(b"\r"):
            self._fault(reply.BARE_LINE_END)
        elif b"\0" in line:
            self._fault(reply.NUL_IN_COMMAND)
        elif b"\r" in line[:-1]:
            self._fault(reply.BARE_LINE_END)
        elif self._exchanging:
            self._exchange(line[:-1])
        else:
            self._command(line[:-1])
        return True

    def _fault(self, answer: Reply) -> None:
        """A line that cannot be read; an exchange of AUTH does not survive it."""
        self._cancel()
        self._say(answer)

    def _command(self, line: bytes) -> None:
        verb, _, argument = line.partition(b" ")
        upper = verb.upper()
        command = Command(VERBS.index(upper)) if upper in VERBS else None
        if command is None or command not in self._rules.offered:
            self._say(reply.UNKNOWN_COMMAND if line.isascii() else reply.EIGHT_BIT_COMMAND)
            return
        argument = argument.strip(b" ")
        if command is Command.BDAT:
            self._bdat(line, argument)
            return
        if len(line) + 2 > self._rules.line_limit(command):
            self._say(reply.LINE_TOO_LONG)
            return
        if not line.isascii() and command not in _UTF8_LINES:
            self._say(reply.EIGHT_BIT_COMMAND)
            return
        refused = refusal(self._state, command)
        if refused is not None:
            self._say(refused)
            return
        match command:
            case Command.HELO | Command.EHLO | Command.LHLO:
                self._hello(argument, command is not Command.HELO)
            case Command.MAIL:
                self._mail(argument)
            case Command.RCPT:
                self._rcpt(argument)
            case Command.NOOP:
                self._say(reply.OK)
            case Command.VRFY:
                self._say(reply.VRFY_DUNNO if argument else reply.BAD_SYNTAX)
            case Command.HELP:
                self._say(reply.HELP_TEXT)
            case Command.AUTH:
                self._auth(argument)
            case Command.XCLIENT:
                self._xclient(argument)
            case _ if argument:
                self._say(reply.NO_PARAMETERS)
            case Command.STARTTLS:
                self._starttls()
            case Command.DATA:
                self._data()
            case Command.RSET:
                self._forget()
                self._say(reply.RESET_OK)
            case Command.QUIT:
                self.left = True
                self._forget()
                self._say(reply.BYE)

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

    def _hello(self, argument: bytes, extended: bool) -> None:
        name = grammar.parse_hello(argument.decode("ascii"))
        if name is None:
            self._say(reply.HELLO_NEEDS_NAME)
            return
        self._forget()
        self._state = State.READY
        self._handler.on_hello(name, extended)
        self._put(self._rules.extended_hello if extended else self._rules.hello)

    def _starttls(self) -> None:
        if self._rules.secured:
            self._say(reply.TLS_ACTIVE)
            return
        answer = self._handler.on_starttls()
        if answer is not None:
            self._say(answer)
            return
        self._forget()
        self._put(reply.READY_FOR_TLS.wire)
        self._held = b""  # what was sent in clear behind the command is nobody's (RFC 3207 §4.2)
        self.upgrading = self.closing = True

    def _xclient(self, argument: bytes) -> None:
        found = xclient.parse(argument.decode("ascii"))
        answer = found if isinstance(found, Reply) else self._handler.on_xclient(found)
        if answer is not None:
            self._say(answer)
            return
        self._forget()
        self._state = State.START
        self._authenticated = False
        self._put(self._rules.greeting)

    def _auth(self, argument: bytes) -> None:
        found = reply.AUTH_TWICE if self._authenticated else self._rules.read_auth(argument)
        if isinstance(found, Reply):
            self._say(found)
            return
        mechanism, initial = found
        self._exchanging = True
        self._ask(Command.AUTH, self._handler.on_auth(mechanism, initial))

    def _exchange(self, line: bytes) -> None:
        """The client's next line of an exchange."""
        response = self._rules.read_response(line)
        if isinstance(response, Reply):
            self._fault(response)
        else:
            self._ask(Command.AUTH, self._handler.on_auth_data(response))

    def _cancel(self) -> None:
        if self._exchanging:
            self._exchanging = False
            self._handler.on_auth_cancelled()

    def _mail(self, argument: bytes) -> None:
        if self._rules.gate is not None and not self._authenticated:
            self._say(self._rules.gate)
            return
        self._binary = self._utf8 = False
        found = self._rules.read_mail(argument)
        if isinstance(found, Reply):
            self._say(found)
            return
        sender, parameters = found
        given = parameters or {}
        self._binary = given.get("BODY") == "BINARYMIME"
        self._utf8 = "SMTPUTF8" in given
        self._ask(Command.MAIL, self._handler.on_mail(sender, parameters))

    def _rcpt(self, argument: bytes) -> None:
        found = self._rules.read_rcpt(argument, self._utf8)
        if isinstance(found, Reply):
            if self._state == State.MAIL:
                self._state = State.REFUSED
            self._say(found)
            return
        if self._recipients >= self._rules.recipients:
            self._say(reply.TOO_MANY_RECIPIENTS)
            return
        recipient, parameters = found
        self._ask(Command.RCPT, self._handler.on_rcpt(recipient, parameters))

    def _data(self) -> None:
        if self._binary:
            self._say(reply.DATA_NEEDS_BDAT)  # RFC 3030 §3
            return
        self._body = DotReader(self._rules.size)
        self._ask(Command.DATA, self._handler.on_data(False))

    def _bdat(self, line: bytes, argument: bytes) -> None:
        # RFC 3030 §2: bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CR LF. Without a size nobody knows where
        # the next command begins.
        size, _, marker = argument.partition(b" ")
        last = marker.strip(b" ").upper() == b"LAST"
        if (
            len(line) + 2 > self._rules.line_limit(Command.BDAT)
            or not size.isdigit()
            or len(size) > limits.CHUNK_DIGITS
            or (marker and not last)
        ):
            self._refuse(reply.BAD_CHUNK_SIZE)
            return
        self._chunk_last = last
        octets = int(size)
        refused = refusal(self._state, Command.BDAT)
        if refused is not None:
            self._swallow(octets, refused)
            return
        if self._body is None:
            self._body = ChunkReader(self._rules.size, self._binary)
            self._body.begin(octets)
            self._ask(Command.BDAT, self._handler.on_data(True))
        elif isinstance(self._body, ChunkReader):
            self._body.begin(octets)
            self._chunk_started()

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
