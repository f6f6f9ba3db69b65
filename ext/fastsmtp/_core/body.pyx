"""Readers of message bodies: DATA's dots (RFC 5321 §4.5.2) and BDAT's chunks (RFC 3030 §2).

The plain twin, with the words about what a reader promises, is fastsmtp/smtp/framing.py.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memchr, memcpy

cdef enum:
    TOO_BIG = 1
    BARE_LF = 2
    BARE_CR = 3

cdef enum:
    START = 0    # at the beginning of a line
    DOT = 1      # a dot began the line; it is withheld
    DOT_CR = 2   # dot CR began the line; both are withheld
    MIDDLE = 3   # within a line
    CR = 4       # after a CR that was handed on

cdef enum:
    OCTET_LF = 10
    OCTET_CR = 13
    OCTET_DOT = 46


cdef class DotReader:
    """Reads up to CRLF.CRLF, removing the dot that stuffs a line."""

    def __init__(self, long long limit):
        self.state = START
        self.ended = False
        self.fault = 0
        self.limit = limit
        self.size = 0

    def feed(self, data):
        """The body bytes found in ``data`` and how much of it was used."""
        cdef Py_buffer view
        cdef Py_ssize_t used = 0
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            piece = self.read(<const unsigned char*>view.buf, view.len, &used)
        finally:
            PyBuffer_Release(&view)
        return piece, used

    cdef bytes read(self, const unsigned char* data, Py_ssize_t n, Py_ssize_t* used):
        # Runs of bytes that are kept are copied whole: [run, i) is the one being gathered. Only a withheld
        # dot ends a run, so a body without stuffing is one copy.
        cdef Py_ssize_t i = 0, run = 0, filled = 0, stop
        cdef const unsigned char* found
        cdef int state = self.state
        cdef int fault = self.fault
        cdef bytes out = None
        cdef char* target = NULL
        cdef Py_ssize_t end = n
        while i < n:
            if state == MIDDLE:
                found = <const unsigned char*>memchr(data + i, OCTET_LF, n - i)
                stop = n if found is NULL else found - data
                if found is not NULL and stop > i and data[stop - 1] == OCTET_CR:
                    if not fault and stop - 1 > i and memchr(data + i, OCTET_CR, stop - 1 - i) is not NULL:
                        fault = BARE_CR
                    state = START
                elif found is not NULL:
                    if not fault:
                        fault = BARE_CR if memchr(data + i, OCTET_CR, stop - i) is not NULL else BARE_LF
                elif data[n - 1] == OCTET_CR:
                    if not fault and n - 1 > i and memchr(data + i, OCTET_CR, n - 1 - i) is not NULL:
                        fault = BARE_CR
                    state = CR
                elif not fault and memchr(data + i, OCTET_CR, n - i) is not NULL:
                    fault = BARE_CR
                i = n if found is NULL else stop + 1
            elif state == START:
                if data[i] == OCTET_DOT:
                    # the run ends before the dot
                    if i > run:
                        if out is None:
                            out = PyBytes_FromStringAndSize(NULL, n + 1)
                            target = PyBytes_AS_STRING(out)
                        memcpy(target + filled, data + run, i - run)
                        filled += i - run
                    i += 1
                    run = i
                    state = DOT
                else:
                    state = MIDDLE
            elif state == CR:
                if data[i] == OCTET_LF:
                    i += 1
                    state = START
                else:
                    if not fault:
                        fault = BARE_CR
                    state = MIDDLE
            elif state == DOT:
                if data[i] == OCTET_CR:
                    i += 1
                    run = i
                    state = DOT_CR
                else:
                    state = MIDDLE
            else:  # DOT_CR
                if data[i] == OCTET_LF:
                    i += 1
                    run = i
                    self.ended = True
                    end = i
                    break
                # the withheld CR was part of the body after all
                if out is None:
                    out = PyBytes_FromStringAndSize(NULL, n + 1)
                    target = PyBytes_AS_STRING(out)
                target[filled] = OCTET_CR
                filled += 1
                if not fault:
                    fault = BARE_CR
                state = MIDDLE
        used[0] = end
        self.state = state
        self.size += filled + (end - run)
        if not fault and self.limit and self.size > self.limit:
            fault = TOO_BIG
        self.fault = fault
        if fault:
            return b""
        if out is None:
            return PyBytes_FromStringAndSize(<const char*>data + run, end - run)
        memcpy(target + filled, data + run, end - run)
        filled += end - run
        return out[:filled]


cdef class ChunkReader:
    """Reads the chunks of one message."""

    def __init__(self, long long limit, bint binary):
        self.after_cr = False
        self.binary = binary
        self.left = 0
        self.ended = True
        self.fault = 0
        self.limit = limit
        self.size = 0

    cpdef int begin(self, long long octets) except -1:
        """A chunk of ``octets`` follows."""
        self.left = octets
        self.ended = octets == 0
        self.size += octets
        if not self.fault and self.limit and self.size > self.limit:
            self.fault = TOO_BIG
        return 0

    def feed(self, data):
        """The body bytes found in ``data`` and how much of it was used."""
        cdef Py_buffer view
        cdef Py_ssize_t used = 0
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            piece = self.read(<const unsigned char*>view.buf, view.len, &used)
        finally:
            PyBuffer_Release(&view)
        return piece, used

    cdef bytes read(self, const unsigned char* data, Py_ssize_t n, Py_ssize_t* used):
        cdef Py_ssize_t take = n if n < self.left else <Py_ssize_t>self.left
        self.left -= take
        self.ended = self.left == 0
        used[0] = take
        if not self.binary and not self.fault and take:
            self.check(data, take)
        if self.fault:
            return b""
        return PyBytes_FromStringAndSize(<const char*>data, take)

    cdef int check(self, const unsigned char* data, Py_ssize_t n) except -1:
        # Every LF after a CR, every CR before an LF; the first that is not names the fault.
        cdef Py_ssize_t i = 0, stop
        cdef const unsigned char* found
        if self.after_cr and data[0] != OCTET_LF:
            self.fault = BARE_CR
            return 0
        if self.after_cr:
            i = 1
        self.after_cr = False
        while i < n:
            found = <const unsigned char*>memchr(data + i, OCTET_LF, n - i)
            stop = n if found is NULL else found - data
            if stop > i and data[stop - 1] == OCTET_CR:
                if stop - 1 > i and memchr(data + i, OCTET_CR, stop - 1 - i) is not NULL:
                    self.fault = BARE_CR
                    return 0
                if found is NULL:
                    self.after_cr = True
                    return 0
            elif stop > i and memchr(data + i, OCTET_CR, stop - i) is not NULL:
                self.fault = BARE_CR
                return 0
            elif found is not NULL:
                self.fault = BARE_LF
                return 0
            i = stop + 1
        return 0

    cpdef int finish(self) except -1:
        """The last chunk is complete: a CR still waiting for its LF is a fault."""
        if self.after_cr and not self.binary and not self.fault:
            self.fault = BARE_CR
        return 0
