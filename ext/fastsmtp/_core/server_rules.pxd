"""A `ServerRules` as the compiled dialogue reads it, and the numbers both know the commands by."""

from libc.string cimport memchr

# In the order of smtp/states.py, whose tables come in with the rules.
cdef enum:
    START = 0
    READY = 1
    MAIL = 2
    REFUSED = 3
    RCPT = 4
    CHUNKS = 5

cdef enum:
    CMD_HELO = 0
    CMD_EHLO = 1
    CMD_MAIL = 2
    CMD_RCPT = 3
    CMD_DATA = 4
    CMD_BDAT = 5
    CMD_RSET = 6
    CMD_NOOP = 7
    CMD_VRFY = 8
    CMD_HELP = 9
    CMD_QUIT = 10
    CMD_STARTTLS = 11
    CMD_AUTH = 12
    CMD_LHLO = 13
    CMD_XCLIENT = 14
    COMMANDS = 15


cdef inline unsigned int verb_code(const unsigned char* p) noexcept nogil:
    # Letters in upper case; what maps two characters onto one letter is only the other case of it.
    return ((p[0] & 0xDFu) << 24) | ((p[1] & 0xDFu) << 16) | ((p[2] & 0xDFu) << 8) | (p[3] & 0xDFu)


cdef inline Py_ssize_t verb_length(const unsigned char* p, Py_ssize_t n) noexcept nogil:
    cdef const unsigned char* blank = <const unsigned char*>memchr(p, 32, n)
    return n if blank is NULL else blank - p


cdef inline bint is_ascii(const unsigned char* p, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if p[i] >= 128:
            return False
    return True


cdef class CompiledRules:
    cdef object rules
    cdef bytes table
    cdef tuple refusals
    cdef tuple faults
    cdef tuple foreign
    cdef object pending
    cdef object challenge
    cdef object parse_hello
    cdef object parse_xclient
    cdef object gate
    cdef bytes greeting
    cdef bytes hello
    cdef bytes extended_hello
    cdef long long size
    cdef int recipients
    cdef int errors
    cdef int line_hard
    cdef int line_skipped
    cdef int output
    cdef int chunk_digits
    cdef bint lmtp
    cdef int[COMMANDS] line_limits
    cdef unsigned int[COMMANDS] verbs  # of four letters; 0 for others, and for what is not offered
    cdef dict longer                   # the others that are offered, in capitals


cdef CompiledRules compile_rules(rules)
