"""What a server's session says, and the body of a message, compiled.

The plain twin is fastsmtp/smtp/server_session.py. `fastsmtp._core.dialog` adds the input and the commands.
"""

from cpython.bytes cimport PyBytes_GET_SIZE

from fastsmtp._core.body cimport ChunkReader, DotReader
from fastsmtp._core.server_rules cimport (
    CHUNKS, CMD_AUTH, CMD_DATA, CMD_MAIL, CMD_RCPT, MAIL, RCPT, READY, REFUSED, START, compile_rules,
)

import binascii

from fastsmtp.mail import reply


cdef class ServerSession:
    """See `fastsmtp.smtp.server_session.ServerSession`."""

    def __init__(self, rules, handler):
        self.rules = compile_rules(rules)
        self.handler = handler
        self.state = START
        self.stage = STAGE_NONE

    @property
    def waiting(self):
        """Whether the handler owes an answer."""
        return self.stage != STAGE_NONE

    @property
    def in_transaction(self):
        """Whether a sender is given or a body is under way."""
        return self.state >= MAIL or self.stage != STAGE_NONE

    def greeting(self):
        """The banner (RFC 5321 §4.2)."""
        return self.rules.greeting

    def say_goodbye(self, last):
        """End the session with ``last``, such as 421; what to write."""
        if self.closing:
            return b""
        self.refuse(last)
        return self.flush()

    def end(self):
        """The connection is gone: a transaction under way is over, unless its reply is already owed."""
        self.forget()
        self.closing = True

    # --- output -----------------------------------------------------------------------------------

    cdef bytes flush(self):
        out = self.out
        if out is None:
            return b""
        self.out = None
        self.out_size = 0
        return <bytes>out if type(out) is bytes else b"".join(<list>out)

    cdef int put(self, bytes wire) except -1:
        out = self.out
        self.out_size += <int>PyBytes_GET_SIZE(wire)
        if out is None:
            self.out = wire
        elif type(out) is bytes:
            self.out = [out, wire]
        else:
            (<list>out).append(wire)
        return 0

    cdef int say(self, answer, bint counts=False) except -1:
        cdef int code = answer.code
        if code >= 500 or counts:
            self.errors += 1
            if self.errors > self.rules.errors:
                answer = reply.TOO_MANY_ERRORS
        self.put(answer.wire)
        if answer.closes:
            self.forget()
            self.closing = True
        return 0

    cdef int refuse(self, answer) except -1:
        self.say(answer)
        self.forget()
        self.closing = True
        return 0

    cdef int forget(self) except -1:
        """End the transaction under way, if there is one (RFC 5321 §4.1.1.5)."""
        cdef bint under_way = (
            (self.state >= MAIL or self.stage != STAGE_NONE) and self.stage != STAGE_BODY and self.stage != CMD_AUTH
        )
        cdef bint told = self.refused
        self.cancel()
        self.stage = STAGE_NONE
        self.body = None
        self.chunk_reply = None
        self.recipients = 0
        self.binary = self.utf8 = self.refused = False
        if self.state != START:
            self.state = READY
        if under_way and not told:
            self.handler.on_reset()
        return 0

    cdef int cancel(self) except -1:
        if self.exchanging:
            self.exchanging = False
            self.handler.on_auth_cancelled()
        return 0

    # --- answers ----------------------------------------------------------------------------------

    cdef int ask(self, int stage, answer) except -1:
        if answer is self.rules.pending:
            self.stage = stage
            return 0
        return self.answered(stage, answer)

    cdef int answered(self, int stage, answer) except -1:
        cdef bint accepted
        cdef long long left, more
        if stage == CMD_AUTH:
            return self.auth_answered(answer)
        accepted = answer is None or answer.code < 400
        if stage == CMD_RCPT:
            if accepted:
                self.state = RCPT
                self.recipients += 1
            elif self.state == MAIL:
                self.state = REFUSED
            return self.say(reply.RECIPIENT_OK if answer is None else answer)
        if stage == CMD_MAIL:
            if accepted:
                self.state = MAIL
            # a client that goes on asking when told to try later is no better than one that errs
            return self.say(reply.SENDER_OK if answer is None else answer, not accepted)
        if stage == STAGE_BODY:
            return self.body_answered(reply.LOCAL_ERROR if answer is None else answer)
        if stage == CMD_DATA:
            if answer is None:
                return self.put(reply.SEND_DATA.wire)
            self.forget()
            return self.say(answer)
        # CMD_BDAT
        if answer is None:
            self.state = CHUNKS
            return self.chunk_started()
        left = (<ChunkReader>self.body).left
        more = self.more()
        self.forget()
        return self.swallow(left, answer, <int>more)

    cdef int auth_answered(self, answer) except -1:
        if type(answer) is self.rules.challenge:
            return self.put(b"334 " + binascii.b2a_base64(answer.data, newline=False) + b"\r\n")
        self.exchanging = False
        self.authenticated = answer is None or answer.code < 400
        return self.say(reply.AUTHENTICATED if answer is None else answer, not self.authenticated)

    cdef int body_answered(self, answer) except -1:
        cdef int more = self.more()
        self.state = READY  # the transaction ended with the message
        self.forget()
        return self.say_again(answer, more)

    cdef int more(self):
        """How many replies the end of a message has beside the first (RFC 2033 §4.2, §4.3)."""
        cdef bint ends = type(self.body) is DotReader or self.chunk_last
        return self.recipients - 1 if self.rules.lmtp and ends else 0

    cdef int say_again(self, answer, int more) except -1:
        self.say(answer)
        return self.put(answer.wire * more) if more and not self.closing else 0

    # --- bodies -----------------------------------------------------------------------------------

    cdef Py_ssize_t read_body(self, const unsigned char* p, Py_ssize_t n) except -1:
        cdef Py_ssize_t used = 0
        cdef bytes piece
        cdef bint ended
        body = self.body
        if type(body) is DotReader:
            piece = (<DotReader>body).read(p, n, &used)
            ended = (<DotReader>body).ended
        else:
            piece = (<ChunkReader>body).read(p, n, &used)
            ended = (<ChunkReader>body).ended
        if self.chunk_reply is not None:
            if ended:
                self.swallowed()
            return used
        if PyBytes_GET_SIZE(piece):
            self.handler.on_body(piece)
        self.check_fault()
        if ended:
            self.body_part_ended()
        return used

    cdef int chunk_started(self) except -1:
        self.check_fault()
        if (<ChunkReader>self.body).ended:
            self.body_part_ended()
        return 0

    cdef int body_fault(self):
        body = self.body
        return (<DotReader>body).fault if type(body) is DotReader else (<ChunkReader>body).fault

    cdef int check_fault(self) except -1:
        cdef int fault = self.body_fault()
        if fault and not self.refused:
            self.refused = True
            self.handler.on_body_refused(self.rules.faults[fault])
        return 0

    cdef int body_part_ended(self) except -1:
        cdef int fault
        if type(self.body) is not DotReader:
            if self.chunk_last:
                (<ChunkReader>self.body).finish()
                self.check_fault()
            elif not self.body_fault():
                return self.say(reply.CHUNK_OK)
        fault = self.body_fault()
        if fault:
            return self.body_answered(self.rules.faults[fault])
        return self.ask(STAGE_BODY, self.handler.on_body_end())

    cdef int swallow(self, long long octets, answer, int more=0) except -1:
        """Read a chunk that is not wanted, and only then refuse it (RFC 3030 §2), ``more`` than once in LMTP."""
        self.chunk_reply = answer
        self.chunk_more = more
        self.body = ChunkReader(0, True)
        (<ChunkReader>self.body).begin(octets)
        return self.swallowed() if octets == 0 else 0

    cdef int swallowed(self) except -1:
        answer, self.chunk_reply, self.body = self.chunk_reply, None, None
        return self.say_again(answer, self.chunk_more)
