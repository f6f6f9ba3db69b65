"""The server's side of a session, written to be read: the plain twin of the compiled ``_core/dialog``.

Bytes in by `ServerProtocol.receive`, events out to a `Handler`, replies back as bytes to be written. Order comes
from `states.TABLE`, texts from `mail.reply`. Both implementations run under the same tests and are compared by
a fuzz target.
"""

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import grammar, limits, xclient
from fastsmtp.smtp.framing import ChunkReader, DotReader
from fastsmtp.smtp.handler import Challenge, Handler
from fastsmtp.smtp.rules import FOREIGN, ServerRules
from fastsmtp.smtp.server_session import ServerSession
from fastsmtp.smtp.states import VERBS, Command, State, refusal

_UTF8_LINES = (Command.MAIL, Command.RCPT, Command.VRFY)  # RFC 6531 §3.1 item 8


class ServerProtocol(ServerSession):
    """One session.

    After each call: write what it gave; when ``waiting``, more input may be handed in but nothing happens until
    `resume`; when ``full``, the same until `proceed`, which is due when the replies have left; when ``closing``,
    close the connection once the bytes are written, and hand in no more. ``left`` is
    true when it was the client who said QUIT, ``upgrading`` when it is not the connection that ends but this
    session: TLS begins on it, and with it another session (RFC 3207 §4.2).
    """

    __slots__ = ("_skipped", "_talked", "full", "left", "upgrading")

    def __init__(self, rules: ServerRules, handler: Handler) -> None:
        super().__init__(rules, handler)
        self._skipped = 0
        self._talked = False
        self.full = False
        self.left = False
        self.upgrading = False

    @property
    def holding(self) -> bool:
        """Whether input is kept that is not used yet."""
        return bool(self._held)

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
        self._authenticated = bool(isinstance(found, dict) and found.get("LOGIN"))
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
