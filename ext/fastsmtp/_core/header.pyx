"""Finds the Message-ID in a message's header.

The plain twin is fastsmtp/_core/_py_header.py; the interface is written down in header.pyi.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)

cdef enum:
    NAME = 10  # octets of the field's name
    MOST = 16384
    KEPT = 250

MOST_HEADER = MOST
LONGEST = KEPT


def message_id(bytes prefix not None, start not None):
    found = field_of(start)
    if not found:
        found = field_of(prefix)
    return found


cdef object field_of(header):
    cdef Py_buffer memory
    PyObject_GetBuffer(header, &memory, PyBUF_SIMPLE)
    try:
        return search(<const char *>memory.buf, memory.len)
    finally:
        PyBuffer_Release(&memory)


cdef object search(const char *at, Py_ssize_t size):
    cdef const char *end = at + (size if size < MOST else MOST)
    cdef const char *stop
    while at < end and not (end - at > 1 and at[0] == 13 and at[1] == 10):
        stop = line_end(at, end)
        if end - at > NAME and (at[0] | 32) == 109 and strncasecmp(at, "message-id", NAME) == 0:
            at += NAME
            while at < stop and (at[0] == 32 or at[0] == 9):
                at += 1
            if at < stop and at[0] == 58:
                while end - stop > 2 and (stop[2] == 32 or stop[2] == 9):
                    stop = line_end(stop + 2, end)
                return text_of(at + 1, stop)
        at = stop + 2
    return ""


cdef inline const char *line_end(const char *at, const char *end) noexcept nogil:
    # The CR of the CRLF that ends this line, or the end.
    cdef const char *found
    while at < end:
        found = <const char *>memchr(at, 13, end - at)
        if found == NULL:
            return end
        if end - found > 1 and found[1] == 10:
            return found
        at = found + 1
    return end


cdef object text_of(const char *at, const char *end):
    cdef const char *left
    cdef const char *right
    left = <const char *>memchr(at, 60, end - at)
    right = <const char *>memchr(at, 62, end - at)
    if left != NULL and right != NULL and left < right <= left + KEPT and memchr(left, 13, right - left) == NULL:
        return PyUnicode_DecodeUTF8(left + 1, right - left - 1, "replace").strip()
    found = PyBytes_FromStringAndSize(at, end - at).replace(b"\r\n", b"").strip()
    first, last = found.find(b"<"), found.find(b">")
    if 0 <= first < last:
        found = found[first + 1 : last]
    return found.decode("utf-8", "replace")[:KEPT].strip()
