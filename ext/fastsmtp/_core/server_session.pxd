from fastsmtp._core.server_rules cimport CompiledRules

# What `resume` answers: nothing, one of the commands, or the end of a body.
cdef enum:
    STAGE_NONE = -1
    STAGE_BODY = 100


cdef class ServerSession:
    cdef CompiledRules rules
    cdef object handler
    cdef object body          # a DotReader or ChunkReader, or None
    cdef object chunk_reply   # a chunk nobody wanted: swallowed, then this
    cdef object out           # bytes, a list of them, or None
    cdef int state
    cdef int stage
    cdef int errors
    cdef int recipients
    cdef int out_size
    cdef int chunk_more       # times it is said again
    cdef bint chunk_last
    cdef bint refused
    cdef bint binary
    cdef bint utf8
    cdef bint exchanging      # AUTH: from its command to its outcome
    cdef bint authenticated
    cdef readonly bint closing
    cdef bytes flush(self)
    cdef int put(self, bytes wire) except -1
    cdef int say(self, answer, bint counts=*) except -1
    cdef int refuse(self, answer) except -1
    cdef int forget(self) except -1
    cdef int cancel(self) except -1
    cdef int ask(self, int stage, answer) except -1
    cdef int answered(self, int stage, answer) except -1
    cdef int auth_answered(self, answer) except -1
    cdef int body_answered(self, answer) except -1
    cdef int more(self)
    cdef int say_again(self, answer, int more) except -1
    cdef Py_ssize_t read_body(self, const unsigned char* p, Py_ssize_t n) except -1
    cdef int chunk_started(self) except -1
    cdef int body_fault(self)
    cdef int check_fault(self) except -1
    cdef int body_part_ended(self) except -1
    cdef int swallow(self, long long octets, answer, int more=*) except -1
    cdef int swallowed(self) except -1
