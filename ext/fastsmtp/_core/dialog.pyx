"""The server's side of a session, compiled: the whole command dialogue without I/O.

Its plain twin, to be read first, is fastsmtp/smtp/server.py; both are driven by the same table, texts and
grammar, run under the same tests and are compared by a fuzz target. Only the common form of MAIL and RCPT (an
ASCII dot-string address, no parameters) is read here; every other goes to the grammar.
"""

from cython cimport final

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memchr, memcmp, memcpy

from fastsmtp._core.body cimport ChunkReader, DotReader
from fastsmtp._core.path cimport plain_address
from fastsmtp._core.server_rules cimport (
    CMD_AUTH, CMD_BDAT, CMD_DATA, CMD_EHLO, CMD_HELO, CMD_HELP, CMD_LHLO, CMD_MAIL, CMD_NOOP, CMD_QUIT, CMD_RCPT,
    CMD_STARTTLS, CMD_VRFY, CMD_XCLIENT, COMMANDS, MAIL, READY, REFUSED, START, is_ascii, verb_code, verb_length,
)
from fastsmtp._core.server_session cimport STAGE_NONE, ServerSession

from fastsmtp.mail import reply
from fastsmtp.mail.address import NULL_SENDER


@final
cdef class ServerProtocol(ServerSession):
    """One session; see the twin for what each method promises."""

    cdef bytes held           # input not used yet, or None
    cdef int skipped
    cdef bint talked
    cdef readonly bint full
    cdef readonly bint left
    cdef readonly bint upgrading

    @property
    def holding(self):
        """Whether input is kept that is not used yet."""
        return self.held is not None

    def receive(self, data, Py_ssize_t size=-1):
        """Take the first ``size`` bytes of ``data`` (-1: all of it); what to write in answer."""
        cdef Py_buffer view
        cdef Py_ssize_t n, used, before
        cdef const unsigned char* p
        cdef bytes joined
        if self.closing:
            return b""
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            n = view.len if size < 0 or size > view.len else size
            p = <const unsigned char*>view.buf
            if self.held is None:
                used = self.run(p, n) if self.stage == STAGE_NONE and not self.full else 0
                if used < n and not self.closing:
                    self.held = PyBytes_FromStringAndSize(<const char*>p + used, n - used)
            else:
                before = PyBytes_GET_SIZE(self.held)
                joined = PyBytes_FromStringAndSize(NULL, before + n)
                memcpy(PyBytes_AS_STRING(joined), PyBytes_AS_STRING(self.held), before)
                memcpy(PyBytes_AS_STRING(joined) + before, p, n)
                self.held = joined
                if self.stage == STAGE_NONE and not self.full:
                    self.run_held()
        finally:
            PyBuffer_Release(&view)
        return self.flush()

    def proceed(self):
        """The replies have left: go on with the input that is kept; what to write."""
        self.full = False
        if self.stage == STAGE_NONE and self.held is not None:
            self.run_held()
        return self.flush()

    def resume(self, answer):
        """The answer to the event that gave `PENDING`; what to write."""
        cdef int stage = self.stage
        if self.closing:
            return b""
        if stage == STAGE_NONE:
            raise RuntimeError("resume without a pending event")
        self.stage = STAGE_NONE
        self.answered(stage, answer)
        if self.stage == STAGE_NONE and not self.full and self.held is not None:
            self.run_held()
        return self.flush()

    # --- input ------------------------------------------------------------------------------------

    cdef int run_held(self) except -1:
        cdef bytes data = self.held
        cdef Py_ssize_t n = PyBytes_GET_SIZE(data), used
        self.held = None
        used = self.run(<const unsigned char*>PyBytes_AS_STRING(data), n)
        if used < n and not self.closing:
            self.held = data[used:] if used else data
        return 0

    cdef Py_ssize_t run(self, const unsigned char* p, Py_ssize_t n) except -1:
        """Use what can be used of the ``n`` bytes at ``p``; how much that was."""
        cdef Py_ssize_t i = 0, used
        while i < n and not self.closing and self.stage == STAGE_NONE:
            if self.out_size >= self.rules.output:
                self.full = True
                break
            if self.body is not None and self.reading():
                used = self.read_body(p + i, n - i)
            else:
                used = self.read_line(p + i, n - i)
                if used == 0:
                    break
            i += used
        return i

    cdef inline bint reading(self):
        if type(self.body) is DotReader:
            return not (<DotReader>self.body).ended
        return not (<ChunkReader>self.body).ended

    cdef Py_ssize_t read_line(self, const unsigned char* p, Py_ssize_t n) except -1:
        cdef const unsigned char* found
        cdef Py_ssize_t length, total
        if not self.talked and not self.skipped:
            if p[0] == 0x16:  # a TLS record of type handshake (RFC 8446 §5.1)
                self.refuse(reply.NOT_SMTP)
                return n
            for verb in self.rules.foreign:
                if (n >= PyBytes_GET_SIZE(verb)
                        and memcmp(p, PyBytes_AS_STRING(verb), PyBytes_GET_SIZE(verb)) == 0):
                    self.refuse(reply.NOT_SMTP)
                    return n
        found = <const unsigned char*>memchr(p, 10, n)
        if found is NULL:
            if self.skipped or n > self.rules.line_hard:
                self.skipped += <int>min(n, 1 << 24)
                if self.skipped > self.rules.line_skipped:
                    self.refuse(reply.LINE_TOO_LONG)
                return n
            return 0
        length = found - p
        self.talked = True
        if self.skipped or length >= self.rules.line_hard:
            total = self.skipped + length
            self.skipped = 0
            if total > self.rules.line_skipped:
                self.refuse(reply.LINE_TOO_LONG)
            else:
                self.fault(reply.AUTH_TOO_LONG if self.exchanging else reply.LINE_TOO_LONG)
        elif length == 0 or p[length - 1] != 13:
            self.fault(reply.BARE_LINE_END)
        elif memchr(p, 0, length) is not NULL:
            self.fault(reply.NUL_IN_COMMAND)
        elif memchr(p, 13, length - 1) is not NULL:
            self.fault(reply.BARE_LINE_END)
        elif self.exchanging:
            self.exchange(PyBytes_FromStringAndSize(<const char*>p, length - 1))
        else:
            self.command(p, length - 1)
        return length + 1

    cdef int fault(self, answer) except -1:
        """A line that cannot be read; an exchange of AUTH does not survive it."""
        self.cancel()
        return self.say(answer)

    cdef int command(self, const unsigned char* p, Py_ssize_t n) except -1:
        """One line of ``n`` bytes, without its CRLF."""
        cdef int command = -1, i, cell
        cdef unsigned int code
        cdef Py_ssize_t start
        if n >= 4 and (n == 4 or p[4] == 32):
            code = verb_code(p)
            for i in range(COMMANDS):
                if self.rules.verbs[i] == code:
                    command = i
                    break
        if command < 0 and n > 4 and self.rules.longer:
            command = self.longer(p, n)
        if command < 0:
            return self.say(reply.UNKNOWN_COMMAND if is_ascii(p, n) else reply.EIGHT_BIT_COMMAND)
        if command == CMD_BDAT:
            return self.bdat(p, n)
        if n + 2 > self.rules.line_limits[command]:
            return self.say(reply.LINE_TOO_LONG)
        if command != CMD_MAIL and command != CMD_RCPT and command != CMD_VRFY and not is_ascii(p, n):
            return self.say(reply.EIGHT_BIT_COMMAND)
        cell = <unsigned char>PyBytes_AS_STRING(self.rules.table)[self.state * COMMANDS + command]
        if cell:
            return self.say(self.rules.refusals[cell - 1])
        start = 4 if command < CMD_STARTTLS or command == CMD_AUTH or command == CMD_LHLO else verb_length(p, n)
        while start < n and p[start] == 32:
            start += 1
        while n > start and p[n - 1] == 32:
            n -= 1
        if command == CMD_RCPT:
            return self.rcpt(p + start, n - start)
        if command == CMD_MAIL:
            return self.mail(p + start, n - start)
        if command == CMD_HELO or command == CMD_EHLO or command == CMD_LHLO:
            return self.hello(p + start, n - start, command != CMD_HELO)
        if command == CMD_NOOP:
            return self.say(reply.OK)
        if command == CMD_VRFY:
            return self.say(reply.VRFY_DUNNO if n > start else reply.BAD_SYNTAX)
        if command == CMD_HELP:
            return self.say(reply.HELP_TEXT)
        if command == CMD_AUTH:
            return self.auth(PyBytes_FromStringAndSize(<const char*>p + start, n - start))
        if command == CMD_XCLIENT:
            return self.xclient(PyUnicode_DecodeASCII(<const char*>p + start, n - start, "strict"))
        if n > start:
            return self.say(reply.NO_PARAMETERS)
        if command == CMD_STARTTLS:
            return self.starttls()
        if command == CMD_DATA:
            return self.begin_data()
        self.left = command == CMD_QUIT
        self.forget()
        return self.say(reply.BYE if self.left else reply.RESET_OK)

    cdef int longer(self, const unsigned char* p, Py_ssize_t n) except -2:
        """The command of a line that begins with none of four letters, or -1."""
        cdef Py_ssize_t length = verb_length(p, n)
        if length > 8:
            return -1
        return <int>self.rules.longer.get(PyBytes_FromStringAndSize(<const char*>p, length).upper(), -1)

    cdef int hello(self, const unsigned char* p, Py_ssize_t n, bint extended) except -1:
        name = self.rules.parse_hello(PyUnicode_DecodeASCII(<const char*>p, n, "strict"))
        if name is None:
            return self.say(reply.HELLO_NEEDS_NAME)
        self.forget()
        self.state = READY
        self.handler.on_hello(name, extended)
        return self.put(self.rules.extended_hello if extended else self.rules.hello)

    cdef int starttls(self) except -1:
        if self.rules.rules.secured:
            return self.say(reply.TLS_ACTIVE)
        answer = self.handler.on_starttls()
        if answer is not None:
            return self.say(answer)
        self.forget()
        self.put(reply.READY_FOR_TLS.wire)
        # what was sent in clear behind the command is nobody's (RFC 3207 §4.2): who closes keeps nothing
        self.upgrading = self.closing = True
        return 0

    cdef int xclient(self, str argument) except -1:
        found = self.rules.parse_xclient(argument)
        answer = self.handler.on_xclient(found) if type(found) is dict else found
        if answer is not None:
            return self.say(answer)
        self.forget()
        self.state = START
        self.authenticated = bool(found.get("LOGIN"))
        return self.put(self.rules.greeting)

    cdef int auth(self, bytes argument) except -1:
        found = reply.AUTH_TWICE if self.authenticated else self.rules.rules.read_auth(argument)
        if type(found) is not tuple:
            return self.say(found)
        mechanism, initial = found
        self.exchanging = True
        return self.ask(CMD_AUTH, self.handler.on_auth(mechanism, initial))

    cdef int exchange(self, bytes line) except -1:
        """The client's next line of an exchange."""
        response = self.rules.rules.read_response(line)
        if type(response) is not bytes:
            return self.fault(response)
        return self.ask(CMD_AUTH, self.handler.on_auth_data(response))

    cdef int mail(self, const unsigned char* p, Py_ssize_t n) except -1:
        address = None
        if self.rules.gate is not None and not self.authenticated:
            return self.say(self.rules.gate)
        if n >= 7 and verb_code(p) == 0x46524F4D and p[4] == 58:  # FROM:
            if p[5] == 60 and p[6] == 62 and n == 7:
                address = NULL_SENDER
            else:
                address = plain_address(p + 5, n - 5)
        parameters = None
        self.binary = self.utf8 = False
        if address is None:
            found = self.rules.rules.read_mail(PyBytes_FromStringAndSize(<const char*>p, n))
            if type(found) is not tuple:
                return self.say(found)
            address, parameters = found
            if parameters is not None:
                self.binary = parameters.get("BODY") == "BINARYMIME"
                self.utf8 = "SMTPUTF8" in parameters
        return self.ask(CMD_MAIL, self.handler.on_mail(address, parameters))

    cdef int rcpt(self, const unsigned char* p, Py_ssize_t n) except -1:
        address = None
        if n >= 5 and (p[0] & 0xDF) == 84 and (p[1] & 0xDF) == 79 and p[2] == 58:  # TO:
            address = plain_address(p + 3, n - 3)
        parameters = None
        if address is None:
            found = self.rules.rules.read_rcpt(PyBytes_FromStringAndSize(<const char*>p, n), self.utf8)
            if type(found) is not tuple:
                if self.state == MAIL:
                    self.state = REFUSED
                return self.say(found)
            address, parameters = found
        if self.recipients >= self.rules.recipients:
            return self.say(reply.TOO_MANY_RECIPIENTS)
        return self.ask(CMD_RCPT, self.handler.on_rcpt(address, parameters))

    cdef int begin_data(self) except -1:
        if self.binary:
            return self.say(reply.DATA_NEEDS_BDAT)  # RFC 3030 §3
        self.body = DotReader(self.rules.size)
        return self.ask(CMD_DATA, self.handler.on_data(False))

    cdef int bdat(self, const unsigned char* p, Py_ssize_t n) except -1:
        # RFC 3030 §2: "BDAT" SP chunk-size [ SP end-marker ]. Without a size nobody knows where the next
        # command begins.
        cdef Py_ssize_t i = 4, start, digits
        cdef long long octets = 0
        cdef bint last = False, good
        cdef int cell
        while i < n and p[i] == 32:
            i += 1
        start = i
        while i < n and 48 <= p[i] <= 57 and i - start < self.rules.chunk_digits:
            octets = octets * 10 + (p[i] - 48)
            i += 1
        digits = i - start
        good = digits > 0 and (i == n or p[i] == 32) and n + 2 <= self.rules.line_limits[CMD_BDAT]
        while i < n and p[i] == 32:
            i += 1
        while n > i and p[n - 1] == 32:
            n -= 1
        if i < n:
            last = n - i == 4 and verb_code(p + i) == 0x4C415354  # LAST
            good = good and last
        if not good:
            return self.refuse(reply.BAD_CHUNK_SIZE)
        self.chunk_last = last
        cell = <unsigned char>PyBytes_AS_STRING(self.rules.table)[self.state * COMMANDS + CMD_BDAT]
        if cell:
            return self.swallow(octets, self.rules.refusals[cell - 1])
        if self.body is None:
            self.body = ChunkReader(self.rules.size, self.binary)
            (<ChunkReader>self.body).begin(octets)
            return self.ask(CMD_BDAT, self.handler.on_data(True))
        (<ChunkReader>self.body).begin(octets)
        return self.chunk_started()
