# As smtp/outgoing_session.py has them.
cdef enum State:
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
cdef enum Event:
    NO_EVENT = 0
    IS_READY = 1
    IS_TLS_GO = 2
    IS_REFUSED = 3
    IS_BODY = 4
    IS_DONE = 5
    IS_OVER = 6
    IS_WORK = 7


cdef class OutgoingSession:
    cdef readonly int event
    cdef readonly bint open
    cdef readonly object offer
    cdef readonly list outcomes
    cdef readonly object refusal
    cdef readonly object trouble
    cdef int state
    cdef bint lmtp
    cdef bint encrypted
    cdef bint ended         # the end of a body was written
    cdef bint pipelining
    cdef bint chunking
    cdef Py_ssize_t octets  # in lines
    cdef bytes hello
    cdef bytes held
    cdef list lines         # of the reply that is coming, without its last one
    cdef object exchange
    cdef bytes read_held(self)
    cdef bytes read(self, const char* data, Py_ssize_t n)
    cdef bytes reply(self, int code, const char* line, Py_ssize_t n, Py_ssize_t behind)
    cdef bytes answer(self, int code, const char* line, Py_ssize_t n)
    cdef list reply_lines(self, const char* line, Py_ssize_t n)
    cdef object judged(self, int code, const char* line, Py_ssize_t n, int state)
    cdef bytes greeted(self, int code, const char* line, Py_ssize_t n)
    cdef bytes say_hello(self)
    cdef bytes ready(self, int event)
    cdef bytes starttls_answered(self, int code, const char* line, Py_ssize_t n, Py_ssize_t behind)
    cdef bytes auth_answered(self, int code, const char* line, Py_ssize_t n)
    cdef bint interrupted(self, str command) except -1
    cdef bytes give_up(self, str why)
    cdef str where(self)
    cdef bytes close(self, object why)
    cdef int settle_all(self, object outcome) except -1
