"""Writes message bodies as DATA and BDAT want them (RFC 5321 §4.5.2, RFC 3030 §2), compiled.

The plain twin, with the words about what a writer promises, is fastsmtp/smtp/outgoing_body.py.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memchr, memcpy

cdef enum:
    BARE_LF = 1
    BARE_CR = 2
    EIGHT_BIT = 3

cdef enum:
    OCTET_LF = 10
    OCTET_CR = 13
    OCTET_DOT = 46


def is_ascii(data):
    """Whether all octets of ``data`` are below 128."""
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return ascii_only(<const unsigned char*>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef class BodyWriter:
    """See `fastsmtp.smtp.outgoing_body.BodyWriter`."""

    def __init__(self, bint stuff=True, *, bint convert=False, bint seven=False):
        self.stuff = stuff
        self.convert = convert
        self.seven = seven
        self.line = True

    def write(self, piece):
        """What to send for ``piece``; it may be ``piece`` itself."""
        return self.put(piece)

    def finish(self):
        """What ends the body."""
        return self.close()

    cdef object put(self, object piece):
        cdef Py_buffer view
        cdef const unsigned char* p
        PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
        try:
            p = <const unsigned char*>view.buf
            if self.seven and not ascii_only(p, view.len):
                self.note(EIGHT_BIT)
            if view.len == 0 or self.fault:
                return b""
            if self.clean(p, view.len):
                self.line = p[view.len - 1] == OCTET_LF
                self.size += view.len
                return piece
            out = self.mend(p, view.len)
        finally:
            PyBuffer_Release(&view)
        if self.fault:
            return b""
        self.size += len(out)
        return out

    cdef bint clean(self, const unsigned char* p, Py_ssize_t n) noexcept nogil:
        # Whether a piece can be sent as it is. One that ends with a CR cannot: what follows decides.
        if self.cr or p[0] == OCTET_LF or p[n - 1] == OCTET_CR or (self.stuff and self.line and p[0] == OCTET_DOT):
            return False
        return not scan_lines(p, n) & (3 if self.stuff else 1)

    cdef bytes mend(self, const unsigned char* p, Py_ssize_t n):
        # No octet becomes more than two, and a withheld CR may come before them.
        cdef bytes out = PyBytes_FromStringAndSize(NULL, 2 * n + 2)
        cdef char* target = PyBytes_AS_STRING(out)
        cdef Py_ssize_t i = 0, filled = 0, stop, lf = -1
        cdef const unsigned char* found
        while i < n:
            if self.cr:
                if p[i] == OCTET_LF:
                    i += 1
                else:
                    self.note(BARE_CR)
                target[filled] = OCTET_CR
                target[filled + 1] = OCTET_LF
                filled += 2
                self.cr = False
                self.line = True
                continue
            if lf < i:
                found = <const unsigned char*>memchr(p + i, OCTET_LF, n - i)
                lf = n if found is NULL else found - p
            found = <const unsigned char*>memchr(p + i, OCTET_CR, lf - i)
            stop = lf if found is NULL else found - p
            if stop > i:
                if self.line and self.stuff and p[i] == OCTET_DOT:
                    target[filled] = OCTET_DOT
                    filled += 1
                memcpy(target + filled, p + i, stop - i)
                filled += stop - i
                self.line = False
            i = stop + 1
            if found is not NULL:
                self.cr = True
            elif stop < n:
                self.note(BARE_LF)
                target[filled] = OCTET_CR
                target[filled + 1] = OCTET_LF
                filled += 2
                self.line = True
        return out[:filled]

    cdef bytes close(self):
        out = b""
        if self.cr:
            self.note(BARE_CR)
            out = b"\r\n"
            self.cr = False
            self.line = True
        if self.stuff:
            out += b".\r\n" if self.line else b"\r\n.\r\n"
            self.line = True
        if self.fault:
            return b""
        self.size += len(out)
        return out

    cdef int note(self, int fault) noexcept nogil:
        if not self.fault and (fault == EIGHT_BIT or not self.convert):
            self.fault = fault
        return 0
