"""The sending client's side of SMTP and LMTP, compiled: transactions, without I/O.

Its plain twin, to be read first and with the words about what it promises, is fastsmtp/smtp/outgoing.py. Both run
under the same tests.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from fastsmtp._core.outgoing_session cimport (
    BODY,
    DATA,
    IS_BODY,
    IS_DONE,
    MAIL,
    NO_EVENT,
    RCPT,
    RSET,
    OutgoingSession,
)
from fastsmtp._core.stuff cimport BodyWriter, ascii_only

from fastsmtp.smtp import outgoing_plan
from fastsmtp.smtp.outgoing_judge import is_full
from fastsmtp.smtp.outgoing_plan import unfit
from fastsmtp.smtp.outgoing_values import Outcome

cdef enum:
    WINDOW = 100
    EARLY_CHUNK = 32768

cdef bytes NOTHING = b""
cdef str WRONG = "a reply of the wrong kind came"
cdef str EARLY = "a reply came before the end of the message"


cdef class OutgoingProtocol(OutgoingSession):
    """See `fastsmtp.smtp.outgoing.OutgoingProtocol`."""

    cdef bint converting
    cdef bint probing         # the transaction ends with its RCPT commands
    cdef bint resetting       # RSET is owed before the next transaction
    cdef bint asked           # DATA was written
    cdef bint chunked
    cdef bint binary
    cdef Py_ssize_t early
    cdef Py_ssize_t transactions
    cdef Py_ssize_t count     # RCPT commands there are,
    cdef Py_ssize_t sent      # written,
    cdef Py_ssize_t answered  # and answered
    cdef Py_ssize_t chunks    # BDAT commands written and not answered
    cdef Py_ssize_t told      # recipients that an LMTP server has answered after the body
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
        OutgoingSession.__init__(self, hello, lmtp=lmtp, encrypted=encrypted)
        self.converting = convert
        self.early = 0 if lmtp else early_chunk
        self.rcpts = []
        self.numbers = []
        self.accepted = []

    @property
    def spent(self):
        """Whether the server takes no further transaction over this connection."""
        return 0 < self.offer.mailmax <= self.transactions

    # --- transactions --------------------------------------------------------------------------

    def begin(self, str sender not None, recipients, params, size, body=None):
        """Begin a transaction; what to write."""
        self.probing = False
        return self.start(sender, recipients, params, size, body)

    def probe(self, recipients):
        """Ask whether the server takes mail for ``recipients``, and send none; what to write."""
        self.probing = True
        return self.start("", recipients, None, 0, None)

    cdef bytes start(self, str sender, object recipients, object params, object size, object body):
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
        if self.sent < self.count or self.probing:
            return out
        if not self.chunked:
            self.asked = True
            return out + b"DATA\r\n"
        return out + self.chunk_whole() if self.asked else out

    cdef bytes chunk_whole(self):
        self.chunks = 1
        self.ended = True
        return self.whole

    cdef bytes answer(self, int code, const char* line, Py_ssize_t n):
        cdef int state = self.state
        if state == MAIL:
            return self.mail_answered(code, line, n)
        if state == RCPT:
            return self.rcpt_answered(code, line, n)
        if state == DATA:
            return self.data_answered(code, line, n)
        if state == RSET:
            if code // 100 != 2:
                return self.close(self.judged(code, line, n, state)._replace(status="deferred", enhanced="4.5.0"))
            self.state = MAIL
            return NOTHING if self.sent else self.envelope()
        return self.body_answered(code, line, n)

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
                if self.probing:
                    self.outcomes[number] = self.judged(code, line, n, RCPT)
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
        if self.probing:
            self.resetting = self.refused is None
            return self.ready(IS_DONE)
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
        self.close(Outcome("deferred", 0, enhanced, why, self.stage, True))

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

    cdef int settle_accepted(self, object outcome) except -1:
        for number in self.accepted:
            self.outcomes[number] = outcome
        return 0
