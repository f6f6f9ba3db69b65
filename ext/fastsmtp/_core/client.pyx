"""The client's side of a session, compiled: sends message after message, without I/O.

Its plain twin, to be read first and with the words about what it promises, is fastsmtp/smtp/client.py. Both run
under the same tests.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* one, const char* other, size_t size)

# As in smtp/client.py.
cdef enum:
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

# As smtp/events.py has them.
cdef enum:
    NO_EVENT = 0
    IS_READY = 1
    IS_SENT = 2
    IS_REFUSED = 3
    IS_OVER = 4

cdef enum:
    FOUND_PIPELINING = 1
    FOUND_CHUNKING = 2
    LINE_LIMIT = 4096

cdef tuple STAGES = ("connect", "helo", "helo", "idle", "mail", "rcpt", "data", "body", "rset", "quit", "over")
cdef bytes NOT_SMTP = b"not an SMTP reply"
cdef bytes NOTHING = b""


cdef inline int digit(char c) noexcept nogil:
    return c - 48 if 48 <= c <= 57 else -1000


cdef inline bint is_keyword(const char* text, Py_ssize_t n, bytes keyword) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(keyword)
    return n >= size and (n == size or text[size] == 32) and strncasecmp(text, PyBytes_AS_STRING(keyword), size) == 0


cdef class ClientProtocol:
    """See `fastsmtp.smtp.client.ClientProtocol`."""

    cdef readonly int event
    cdef readonly list refusals
    cdef int state
    cdef int found
    cdef bint pipelining
    cdef bint chunking
    cdef bint failed
    cdef Py_ssize_t next
    cdef Py_ssize_t accepted
    cdef bytes hello
    cdef bytes held
    cdef tuple rcpts
    cdef bytes body

    def __init__(self, bytes hello not None, *, bint pipelining=False, bint chunking=False):
        self.hello = hello
        self.pipelining = pipelining
        self.chunking = chunking
        self.state = GREETING
        self.held = NOTHING
        self.rcpts = ()
        self.body = NOTHING
        self.refusals = []

    @property
    def stage(self):
        """What the session waits for."""
        return STAGES[self.state]

    def receive(self, data, Py_ssize_t size=-1):
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
        cdef Py_buffer view
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
        whole, self.held = self.held, NOTHING
        return self.read(PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole))

    cdef bytes read(self, const char* data, Py_ssize_t n):
        cdef Py_ssize_t at = 0, length
        cdef const char* line
        cdef const char* end
        cdef int code
        cdef bytes out = NOTHING, answer
        while self.event == NO_EVENT and self.state != OVER:
            line = data + at
            end = <const char*>memchr(line, 10, n - at)
            if end is NULL:
                if n - at > LINE_LIMIT:
                    self.give_up(NOT_SMTP)
                break
            at = end - data + 1
            length = end - line
            if length and line[length - 1] == 13:
                length -= 1
            if length < 3:
                self.give_up(NOT_SMTP)
                break
            code = digit(line[0]) * 100 + digit(line[1]) * 10 + digit(line[2])
            if code < 0 or (length > 3 and line[3] != 32 and line[3] != 45):
                self.give_up(NOT_SMTP)
                break
            if self.state == EHLO and length > 4:
                if is_keyword(line + 4, length - 4, b"PIPELINING"):
                    self.found |= FOUND_PIPELINING
                elif is_keyword(line + 4, length - 4, b"CHUNKING"):
                    self.found |= FOUND_CHUNKING
            if length == 3 or line[3] == 32:
                answer = self.reply(code, line, length)
                out = answer if out is NOTHING else out + answer
        if at < n:
            self.held = PyBytes_FromStringAndSize(data + at, n - at)
        return out

    def send(self, bytes mail not None, tuple rcpts not None, bytes body not None):
        """Begin a message; what to write."""
        if self.state != READY or not rcpts:
            raise RuntimeError("a message needs a session that is ready, and a recipient")
        self.event = NO_EVENT
        self.rcpts = rcpts
        self.body = body
        self.next = 0
        self.accepted = 0
        self.failed = False
        self.state = MAIL
        if not self.pipelining:
            return mail
        return mail + NOTHING.join(rcpts) + (body if self.chunking else b"DATA\r\n")

    def quit(self):
        """Say goodbye; what to write."""
        if self.state != READY:
            raise RuntimeError("QUIT needs a session that is ready")
        self.event = NO_EVENT
        self.state = QUIT
        return b"QUIT\r\n"

    def end(self):
        """The connection is gone."""
        if self.held:
            self.receive(NOTHING)
        if self.state != QUIT and self.state != OVER:
            self.refusals.append((STAGES[self.state], b"connection closed"))
        self.state = OVER
        self.event = IS_OVER

    cdef bytes give_up(self, bytes why):
        self.refusals.append((STAGES[self.state], why))
        self.state = OVER
        self.event = IS_OVER
        return NOTHING

    cdef bytes refused(self, const char* line, Py_ssize_t n):
        """Gives up because of a reply."""
        return self.give_up(PyBytes_FromStringAndSize(line, n))

    cdef int note(self, const char* line, Py_ssize_t n, str stage) except -1:
        self.refusals.append((stage, PyBytes_FromStringAndSize(line, n)))
        return 0

    cdef bytes reply(self, int code, const char* line, Py_ssize_t n):
        cdef int state = self.state
        if code == 421 and state != QUIT:
            return self.refused(line, n)
        if state == MAIL or state == RCPT or state == DATA:
            return self.transaction(code, line, n)
        if state == BODY:
            return self.body_answered(code, line, n)
        if state == GREETING and code == 220:
            self.state = EHLO
            return b"EHLO " + self.hello + b"\r\n"
        if state == EHLO:
            return self.greeted(code, line, n)
        if state == HELO and code == 250:
            return self.ready(IS_READY)
        if state == RSET and code == 250:
            return self.ready(IS_REFUSED)
        if state == QUIT:
            self.state = OVER
            self.event = IS_OVER
            return NOTHING
        return self.refused(line, n)

    cdef bytes greeted(self, int code, const char* line, Py_ssize_t n):
        if (code == 500 or code == 502 or code == 504) and not self.pipelining and not self.chunking:
            self.state = HELO
            return b"HELO " + self.hello + b"\r\n"
        if code != 250:
            return self.refused(line, n)
        if self.pipelining and not self.found & FOUND_PIPELINING:
            return self.give_up(b"PIPELINING is not announced")
        if self.chunking and not self.found & FOUND_CHUNKING:
            return self.give_up(b"CHUNKING is not announced")
        return self.ready(IS_READY)

    cdef bytes ready(self, int event):
        self.state = READY
        self.event = event
        return NOTHING

    cdef bytes transaction(self, int code, const char* line, Py_ssize_t n):
        if self.state == MAIL:
            self.state = RCPT
            if code // 100 == 2:
                return NOTHING if self.pipelining else <bytes?>self.rcpts[0]
            self.failed = True
            self.note(line, n, "mail")
            return NOTHING if self.pipelining else self.reset()
        if self.state == RCPT:
            self.next += 1
            if code // 100 == 2:
                self.accepted += 1
            elif not self.failed:
                self.note(line, n, "rcpt")
            if self.next < len(self.rcpts):
                return NOTHING if self.pipelining else <bytes?>self.rcpts[self.next]
            if not self.pipelining and not self.accepted:
                return self.reset()
            self.state = BODY if self.chunking else DATA
            if self.pipelining:
                return NOTHING
            return self.body if self.chunking else b"DATA\r\n"
        if code == 354:
            self.state = BODY
            return self.body if self.accepted else b".\r\n"
        if self.accepted:
            self.note(line, n, "data")
        return self.reset()

    cdef bytes body_answered(self, int code, const char* line, Py_ssize_t n):
        if code // 100 == 2 and self.accepted:
            return self.ready(IS_SENT)
        if self.accepted:
            self.note(line, n, "body")
        return self.reset() if self.chunking else self.ready(IS_REFUSED)

    cdef bytes reset(self):
        self.state = RSET
        return b"RSET\r\n"
