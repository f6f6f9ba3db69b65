"""The sending client's side of SMTP and LMTP, compiled: greeting, STARTTLS, AUTH, transactions, without I/O.

Its plain twin, to be read first and with the words about what it promises, is fastsmtp/smtp/outgoing.py. Both run
under the same tests. What comes once a connection, or not with every message (EHLO, AUTH, refusals), is the same
Python for both.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcmp, memcpy

from fastsmtp._core.stuff cimport BodyWriter, ascii_only

from fastsmtp.smtp import outgoing_plan
from fastsmtp.smtp.outgoing_judge import is_full, judge, lost, nonsense, read_offer
from fastsmtp.smtp.outgoing_plan import Plan, unfit
from fastsmtp.smtp.outgoing_sasl import Exchange
from fastsmtp.smtp.outgoing_values import NO_OFFER, Outcome

# As in smtp/outgoing.py.
cdef enum:
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

# As smtp/outgoing_values.py has them.
cdef enum:
    NO_EVENT = 0
    IS_READY = 1
    IS_TLS_GO = 2
    IS_REFUSED = 3
    IS_BODY = 4
    IS_DONE = 5
    IS_OVER = 6

cdef enum:
    LINE_LIMIT = 4096
    REPLY_LINES = 100
    REPLY_OCTETS = 32768
    WINDOW = 100
    EARLY_CHUNK = 32768

cdef tuple STAGES = (
    "connect", "helo", "helo", "starttls", "tls", "auth", "idle", "rset", "mail", "rcpt", "data", "body", "quit", "over"
)
cdef bytes NOTHING = b""
cdef str NOT_SMTP = "what is not an SMTP reply came"
cdef str TOO_LONG = "a reply without end came"
cdef str UNASKED = "a reply came that nothing had asked for"
cdef str WRONG = "a reply of the wrong kind came"
cdef str EARLY = "a reply came before the end of the message"
cdef object NO_PLAN = Plan(b"", [], [], [])


cdef inline int digit(char c) noexcept nogil:
    return c - 48 if 48 <= c <= 57 else -1000


cdef class OutgoingProtocol:
    """See `fastsmtp.smtp.outgoing.OutgoingProtocol`."""

    cdef readonly int event
    cdef readonly bint open
    cdef readonly object offer
    cdef readonly list outcomes
    cdef readonly object refusal
    cdef readonly object trouble
    cdef int state
    cdef bint lmtp
    cdef bint converting
    cdef bint encrypted
    cdef bint pipelining
    cdef bint chunking
    cdef bint resetting       # RSET is owed before the next transaction
    cdef bint asked           # DATA was written
    cdef bint ended           # the end of the body was written
    cdef bint chunked
    cdef bint binary
    cdef Py_ssize_t early
    cdef Py_ssize_t octets    # in lines
    cdef Py_ssize_t transactions
    cdef Py_ssize_t count     # RCPT commands there are,
    cdef Py_ssize_t sent      # written,
    cdef Py_ssize_t answered  # and answered
    cdef Py_ssize_t chunks    # BDAT commands written and not answered
    cdef Py_ssize_t told      # recipients that an LMTP server has answered after the body
    cdef bytes hello
    cdef bytes held
    cdef list lines           # of the reply that is coming, without its last one
    cdef object exchange
    cdef bytes mail
    cdef list rcpts
    cdef list numbers
    cdef list accepted        # places in outcomes
    cdef bytes whole          # the body as it is to be written, when it was given whole
    cdef object refused       # what MAIL or a chunk was refused with
    cdef BodyWriter writer

    def __init__(
        self,
        bytes hello not None,
        *,
        bint lmtp=False,
        bint encrypted=False,
        bint convert=False,
        Py_ssize_t early_chunk=EARLY_CHUNK,
    ):
        self.hello = hello
        self.lmtp = lmtp
        self.encrypted = encrypted
        self.converting = convert
        self.early = 0 if lmtp else early_chunk
        self.held = NOTHING
        self.lines = []
        self.offer = NO_OFFER
        self.outcomes = []
        self.rcpts = []
        self.numbers = []
        self.accepted = []

    @property
    def stage(self):
        """What the session waits for."""
        return STAGES[self.state]

    @property
    def spent(self):
        """Whether the server takes no further transaction over this connection."""
        return 0 < self.offer.mailmax <= self.transactions

    # --- what the server says ------------------------------------------------------------------

    def receive(self, data, Py_ssize_t size=-1):
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
        cdef Py_buffer view
        if self.state == OVER:
            return NOTHING
        self.event = NO_EVENT
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if size < 0 or size > view.len:
                size = view.len
            if PyBytes_GET_SIZE(self.held) == 0:
                return self.read(<const char*>view.buf, size)
            self.held += PyBytes_FromStringAndSize(<const char*>view.buf, size)
        finally:
            PyBuffer_Release(&view)
        return self.read_held()

    def end(self, str why="connection closed", str enhanced="4.4.2"):
        """The connection is gone, or is given up."""
        if self.held and self.state != OVER:
            self.event = NO_EVENT
            self.read_held()
        if self.state == QUIT:
            self.state = OVER
        if self.state != OVER:
            self.close(lost(why, enhanced, STAGES[self.state], self.ended))
        self.event = IS_OVER

    cdef bytes read_held(self):
        whole, self.held = self.held, NOTHING
        return self.read(PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole))

    cdef bytes read(self, const char* data, Py_ssize_t n):
        # self.held is empty: what is left of data goes there at the end.
        cdef Py_ssize_t at = 0, length
        cdef const char* line
        cdef const char* end
        cdef int code
        cdef bytes out = NOTHING, answer
        while self.event == NO_EVENT and self.state != OVER:
            line = data + at
            end = <const char*>memchr(line, 10, n - at)
            if end is NULL or end - line > LINE_LIMIT:
                if n - at > LINE_LIMIT:
                    self.give_up(TOO_LONG)
                break
            at = end - data + 1
            length = end - line
            if length and line[length - 1] == 13:
                length -= 1
            code = -1
            if length >= 3 and (length == 3 or line[3] == 32 or line[3] == 45):
                code = digit(line[0]) * 100 + digit(line[1]) * 10 + digit(line[2])
            if code < 0 or (self.lines and memcmp(line, PyBytes_AS_STRING(self.lines[0]), 3) != 0):
                self.give_up(NOT_SMTP)
                break
            if length == 3 or line[3] == 32:
                answer = self.reply(code, line, length, n - at)
                if self.lines:
                    self.lines = []
                    self.octets = 0
                if answer is not NOTHING:
                    out = answer if out is NOTHING else out + answer
            else:
                self.lines.append(PyBytes_FromStringAndSize(line, length))
                self.octets += length
                if len(self.lines) >= REPLY_LINES or self.octets > REPLY_OCTETS:
                    self.give_up(TOO_LONG)
        if at < n and self.state != OVER:
            self.held = PyBytes_FromStringAndSize(data + at, n - at)
        return out

    cdef bytes reply(self, int code, const char* line, Py_ssize_t n, Py_ssize_t behind):
        # A whole reply has come, `behind` it there are so many octets; what to write.
        cdef int state = self.state
        cdef int first = code // 100
        if state == QUIT:
            self.state = OVER
            self.event = IS_OVER
            return NOTHING
        if code == 421:
            return self.close(self.judged(code, line, n, state))
        if state == TLS or state == READY:
            return self.give_up(UNASKED)
        if first != 2 and first != 4 and first != 5 and not (first == 3 and (state == DATA or state == AUTH)):
            return self.give_up(WRONG)
        if state == MAIL:
            return self.mail_answered(code, line, n)
        if state == RCPT:
            return self.rcpt_answered(code, line, n)
        if state == DATA:
            return self.data_answered(code, line, n)
        if state == BODY:
            return self.body_answered(code, line, n)
        if state == RSET:
            if first != 2:
                return self.close(self.judged(code, line, n, state)._replace(status="deferred", enhanced="4.5.0"))
            self.state = MAIL
            return NOTHING if self.sent else self.envelope()
        if state == STARTTLS:
            return self.starttls_answered(code, line, n, behind)
        if state == AUTH:
            return self.auth_answered(code, line, n)
        return self.greeted(code, line, n)

    cdef list reply_lines(self, const char* line, Py_ssize_t n):
        last = PyBytes_FromStringAndSize(line, n)
        return [*self.lines, last] if self.lines else [last]

    cdef object judged(self, int code, const char* line, Py_ssize_t n, int state):
        taken = "delivered" if self.lmtp or "DSN" in self.offer.keywords else "relayed"
        return judge(code, self.reply_lines(line, n), STAGES[state], taken)

    # --- beginning of a session ----------------------------------------------------------------

    cdef bytes greeted(self, int code, const char* line, Py_ssize_t n):
        if self.state == EHLO and code // 100 == 5 and not self.lmtp:
            self.state = HELO
            return b"HELO " + self.hello + b"\r\n"
        if code // 100 != 2:
            return self.close(self.judged(code, line, n, self.state))
        if self.state == GREETING:
            return self.say_hello()
        if self.state == EHLO:
            self.offer = read_offer(self.reply_lines(line, n))
            self.pipelining = "PIPELINING" in self.offer.keywords
            self.chunking = "CHUNKING" in self.offer.keywords
        return self.ready(IS_READY)

    cdef bytes say_hello(self):
        self.state = EHLO
        return (b"LHLO " if self.lmtp else b"EHLO ") + self.hello + b"\r\n"

    cdef bytes ready(self, int event):
        self.state = READY
        self.event = event
        return NOTHING

    def starttls(self):
        """Ask for TLS; what to write."""
        if self.interrupted("STARTTLS"):
            return NOTHING
        self.state = STARTTLS
        return b"STARTTLS\r\n"

    cdef bytes starttls_answered(self, int code, const char* line, Py_ssize_t n, Py_ssize_t behind):
        if code // 100 != 2:
            self.refusal = self.judged(code, line, n, self.state)
            return self.ready(IS_REFUSED)
        if behind:
            return self.give_up(UNASKED)  # RFC 3207 §4.2
        self.state = TLS
        self.event = IS_TLS_GO
        return NOTHING

    def tls_done(self):
        """The handshake has succeeded; what to write."""
        if self.state != TLS:
            raise RuntimeError("no TLS handshake was waited for")
        self.event = NO_EVENT
        self.offer = NO_OFFER
        self.pipelining = self.chunking = False
        self.encrypted = True
        return self.say_hello()

    def auth(self, mechanism):
        """Authenticate; what to write."""
        if self.interrupted("AUTH"):
            return NOTHING
        self.exchange = Exchange(mechanism)
        out = self.exchange.begin()
        self.state = AUTH
        return out

    cdef bytes auth_answered(self, int code, const char* line, Py_ssize_t n):
        if code // 100 == 3:
            return self.exchange.answer(self.reply_lines(line, n))
        if code // 100 != 2:
            self.refusal = self.exchange.failure or self.judged(code, line, n, self.state)
            return self.ready(IS_REFUSED)
        doubt = self.exchange.doubt()
        return self.ready(IS_READY) if doubt is None else self.close(doubt)

    # --- transactions --------------------------------------------------------------------------

    def begin(self, str sender not None, recipients, params, size, body=None):
        """Begin a transaction; what to write."""
        cdef bytes out
        if not recipients:
            raise RuntimeError("a transaction needs a recipient")
        self.outcomes = [None] * len(recipients)
        if self.interrupted("MAIL"):
            return NOTHING
        self.whole = None
        self.sent = 0
        self.answered = 0
        self.chunks = 0
        self.told = 0
        self.accepted = []
        self.refused = None
        self.asked = False
        self.ended = False
        self.open = False
        self.plan(sender, recipients, params, size, body)
        if self.count == 0 or None not in self.outcomes:
            return self.ready(IS_DONE)
        self.transactions += 1
        if self.resetting:
            self.resetting = False
            self.state = RSET
            return b"RSET\r\n" + self.envelope() if self.pipelining else b"RSET\r\n"
        self.state = MAIL
        return self.envelope()

    cdef int plan(self, str sender, object recipients, object params, object size, object body) except -1:
        cdef Py_buffer view
        cdef bint seven = True
        if body is not None:
            PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)
            seven = ascii_only(<const unsigned char*>view.buf, view.len)
            PyBuffer_Release(&view)
        plan = outgoing_plan.make(self.offer, self.encrypted, sender, recipients, params, size, body, seven)
        self.outcomes = plan.outcomes
        self.mail = plan.mail
        self.rcpts = plan.rcpts
        self.numbers = plan.numbers
        self.count = len(self.rcpts)
        self.chunked = plan.chunked
        self.binary = plan.binary
        if self.count == 0:
            return 0
        if body is None:
            self.writer = BodyWriter(stuff=not self.chunked, convert=self.converting, seven=plan.seven)
            return 0
        return self.frame(plan.body)

    cdef int frame(self, object body) except -1:
        # Decides on DATA or BDAT, and writes a whole body as it will leave.
        cdef Py_buffer view
        cdef bytes end
        cdef object out = body
        cdef char head[40]
        cdef char* target
        cdef Py_ssize_t first = 0, last
        self.asked = (
            self.chunking and self.pipelining and self.count <= WINDOW and 0 <= len(body) <= self.early and self.early
        )
        if self.asked:
            self.chunked = True
        end = NOTHING
        if not self.binary:
            writer = BodyWriter(stuff=not self.chunked, convert=self.converting)
            out = writer.put(body)
            end = writer.close()
            if writer.fault:
                self.settle_all(unfit(writer.fault))
        PyObject_GetBuffer(out, &view, PyBUF_SIMPLE)
        last = PyBytes_GET_SIZE(end)
        if self.chunked:
            first = snprintf(head, sizeof(head), b"BDAT %zd LAST\r\n", view.len + last)
        self.whole = PyBytes_FromStringAndSize(NULL, first + view.len + last)
        target = PyBytes_AS_STRING(self.whole)
        memcpy(target, head, first)
        memcpy(target + first, view.buf, view.len)
        memcpy(target + first + view.len, PyBytes_AS_STRING(end), last)
        PyBuffer_Release(&view)
        return 0

    cdef bytes envelope(self):
        return self.mail + self.more() if self.pipelining else self.mail

    cdef bytes more(self):
        # The next RCPT commands, up to WINDOW on their way; behind the last one DATA, or the body as a chunk.
        cdef Py_ssize_t first = self.sent
        cdef bytes out
        self.sent = min(self.count, self.answered + WINDOW)
        if self.count == 1:
            out = self.rcpts[0]
        else:
            out = NOTHING.join(self.rcpts[first:self.sent])
        if self.sent < self.count:
            return out
        if not self.chunked:
            self.asked = True
            return out + b"DATA\r\n"
        return out + self.chunk_whole() if self.asked else out

    cdef bytes chunk_whole(self):
        self.chunks = 1
        self.ended = True
        return self.whole

    cdef bytes mail_answered(self, int code, const char* line, Py_ssize_t n):
        self.state = RCPT
        if code // 100 != 2:
            self.refused = self.judged(code, line, n, MAIL)
            self.settle_all(self.refused)
            return self.no_more_rcpts() if self.answered == self.sent else NOTHING
        if self.sent:
            return NOTHING
        self.sent = 1
        return self.rcpts[0]

    cdef bytes rcpt_answered(self, int code, const char* line, Py_ssize_t n):
        cdef object number = self.numbers[self.answered]
        self.answered += 1
        if self.refused is None:
            if code // 100 == 2:
                self.accepted.append(number)
            else:
                outcome = self.judged(code, line, n, RCPT)
                if self.accepted and is_full(outcome):
                    outcome = outcome._replace(status="again")
                self.outcomes[number] = outcome
            if self.sent < self.count:
                if not self.pipelining:
                    self.sent += 1
                    return self.rcpts[self.sent - 1]
                if self.sent - self.answered <= WINDOW // 2:
                    return self.more()
        return self.no_more_rcpts() if self.answered == self.sent else NOTHING

    cdef bytes no_more_rcpts(self):
        # All RCPT that were written are answered.
        if self.chunks:
            self.state = BODY
            return NOTHING
        if self.chunked and self.accepted:
            self.state = BODY
            if self.whole is not None:
                return self.chunk_whole()
            self.open = True
            self.event = IS_BODY
            return NOTHING
        if self.asked and not self.chunked:
            self.state = DATA
            return NOTHING
        if self.accepted:
            self.asked = True
            self.state = DATA
            return b"DATA\r\n"
        self.resetting = self.refused is None
        return self.ready(IS_DONE)

    cdef bytes data_answered(self, int code, const char* line, Py_ssize_t n):
        if code // 100 == 2:
            return self.give_up(WRONG)
        if code // 100 != 3:
            if self.accepted:
                self.settle_accepted(self.judged(code, line, n, DATA))
            self.resetting = self.refused is None
            return self.ready(IS_DONE)
        self.state = BODY
        if self.accepted:
            if self.whole is not None:
                self.ended = True
                return self.whole
            self.open = True
            self.event = IS_BODY
            return NOTHING
        self.ended = True
        if self.lmtp:
            self.ready(IS_DONE)
        return b".\r\n"

    # --- bodies --------------------------------------------------------------------------------

    def body(self, piece, bint last=False):
        """Hand in the next ``piece`` of the body; what to write, in order."""
        cdef list parts = []
        cdef object out = piece
        cdef bytes tail = NOTHING, answer
        self.event = NO_EVENT
        if not self.open:
            return parts
        if not self.binary:
            out = self.writer.put(piece)
            if last:
                tail = self.writer.close()
            if self.writer.fault:
                reason = unfit(self.writer.fault)
                self.settle_all(reason)
                self.close(reason)
                return parts
        if len(out):
            parts.append(out)
        if tail:
            parts.append(tail)
        if self.chunked:
            if not parts and not last:
                return parts
            parts.insert(0, b"BDAT %d%s\r\n" % (len(out) + len(tail), b" LAST" if last else NOTHING))
            self.chunks += 1
            self.open = self.pipelining
        if last:
            self.open = False
            self.ended = True
        if self.held:
            answer = self.read_held()
            if answer:
                parts.append(answer)
        return parts

    def abandon(self, str why not None, str enhanced="4.3.0"):
        """The rest of the body cannot be had: the session is over."""
        self.close(Outcome("deferred", 0, enhanced, why, STAGES[self.state], True))

    cdef bytes body_answered(self, int code, const char* line, Py_ssize_t n):
        if self.chunked:
            return self.chunk_answered(code, line, n)
        if self.ended:
            return self.settled(self.judged(code, line, n, BODY))
        if code // 100 == 2:
            return self.give_up(EARLY)
        # The server has made up its mind; only closing tells it that no more comes.
        outcome = self.judged(code, line, n, BODY)
        self.settle_accepted(outcome)
        return self.close(outcome)

    cdef bytes chunk_answered(self, int code, const char* line, Py_ssize_t n):
        if not self.chunks:
            return self.give_up(EARLY)
        if self.chunks == 1 and self.ended:
            if code // 100 != 2 or self.refused is not None:
                self.resetting = True
            return self.settled(self.refused or self.judged(code, line, n, BODY))
        self.chunks -= 1
        if code // 100 != 2 and self.refused is None:
            self.refused = self.judged(code, line, n, BODY)
            self.open = False
        if self.refused is None:
            if not self.ended and not self.chunks and not self.open:
                self.open = True
                self.event = IS_BODY
            return NOTHING
        if self.chunks:
            return NOTHING
        self.settle_accepted(self.refused)
        self.resetting = True
        return self.ready(IS_DONE)

    cdef bytes settled(self, object outcome):
        # An answer after the whole body.
        if self.lmtp and self.accepted and self.refused is None:
            self.outcomes[self.accepted[self.told]] = outcome
            self.told += 1
            if self.told < len(self.accepted):
                return NOTHING
            return self.ready(IS_DONE)
        self.settle_accepted(outcome)
        return self.ready(IS_DONE)

    # --- ends ----------------------------------------------------------------------------------

    def quit(self):
        """Say goodbye; what to write."""
        if self.interrupted("QUIT"):
            return NOTHING
        self.state = QUIT
        return b"QUIT\r\n"

    cdef bint interrupted(self, str command) except -1:
        # Before a command: whether the server has said something that would pass for the command's answer.
        if self.state != READY:
            raise RuntimeError(f"{command} needs a session that is ready")
        self.event = NO_EVENT
        if not self.held:
            return False
        self.read_held()
        if self.state == READY:
            self.give_up(UNASKED)
        return True

    cdef bytes give_up(self, str why):
        return self.close(nonsense(why, STAGES[self.state]))

    cdef bytes close(self, object why):
        self.trouble = why
        self.settle_all(why if why.status != "failed" or why.ours else why._replace(status="deferred"))
        self.state = OVER
        self.event = IS_OVER
        self.open = False
        self.held = NOTHING
        return NOTHING

    cdef int settle_all(self, object outcome) except -1:
        cdef Py_ssize_t number
        for number in range(len(self.outcomes)):
            if self.outcomes[number] is None:
                self.outcomes[number] = outcome
        return 0

    cdef int settle_accepted(self, object outcome) except -1:
        for number in self.accepted:
            self.outcomes[number] = outcome
        return 0
