"""The beginning and the end of a sending client's session, compiled, and how replies are read.

The plain twin is fastsmtp/smtp/outgoing_session.py. What comes once a connection, or not with every message (EHLO,
AUTH, refusals), is the same Python for both.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from fastsmtp.smtp.outgoing_judge import judge, lost, nonsense, read_offer
from fastsmtp.smtp.outgoing_sasl import Exchange
from fastsmtp.smtp.outgoing_values import NO_OFFER

cdef enum:
    LINE_LIMIT = 4096
    REPLY_LINES = 100
    REPLY_OCTETS = 32768

cdef tuple STAGES = (
    *("connect", "helo", "helo", "starttls", "tls", "auth", "idle"),
    *("rset", "mail", "rcpt", "data", "body", "quit", "over"),
)
cdef bytes NOTHING = b""
cdef str NOT_SMTP = "what is not an SMTP reply came"
cdef str TOO_LONG = "a reply without end came"
cdef str UNASKED = "a reply came that nothing had asked for"
cdef str WRONG = "a reply of the wrong kind came"


cdef inline int digit(char c) noexcept nogil:
    return c - 48 if 48 <= c <= 57 else -1000


cdef class OutgoingSession:
    """See `fastsmtp.smtp.outgoing_session.OutgoingSession`."""

    def __init__(self, bytes hello not None, *, bint lmtp, bint encrypted):
        self.hello = hello
        self.lmtp = lmtp
        self.encrypted = encrypted
        self.held = NOTHING
        self.lines = []
        self.offer = NO_OFFER
        self.outcomes = []

    @property
    def stage(self):
        """What the session waits for."""
        return STAGES[self.state]

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
            self.close(lost(why, enhanced, self.where(), self.ended))
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
        if state == STARTTLS:
            return self.starttls_answered(code, line, n, behind)
        if state == AUTH:
            return self.auth_answered(code, line, n)
        if state <= HELO:
            return self.greeted(code, line, n)
        return self.answer(code, line, n)

    cdef bytes answer(self, int code, const char* line, Py_ssize_t n):
        # A reply within a transaction; what to write.
        raise NotImplementedError

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
            out = self.exchange.answer(self.reply_lines(line, n))
            if self.exchange.working:
                self.event = IS_WORK
            return out
        if code // 100 != 2:
            self.refusal = self.exchange.failure or self.judged(code, line, n, self.state)
            return self.ready(IS_REFUSED)
        doubt = self.exchange.doubt()
        return self.ready(IS_READY) if doubt is None else self.close(doubt)

    def worked(self, bytes response not None):
        """What was asked for is done; what to write."""
        if self.state != AUTH:
            return NOTHING
        self.event = NO_EVENT
        return self.exchange.worked(response)

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
        return self.close(nonsense(why, self.where()))

    cdef str where(self):
        # The stage of a failure. A message that went with its envelope may have arrived before MAIL is answered.
        return "body" if self.ended and RSET <= self.state <= DATA else STAGES[self.state]

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
