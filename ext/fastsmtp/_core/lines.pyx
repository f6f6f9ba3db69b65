"""Writes events as lines of text: those of every message at once into one piece of memory, all others by a function.

The plain twin is fastsmtp/_core/_py_lines.py; the interface is written down in lines.pyi.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.math cimport fabs, rint
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, strlen

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    struct tm:
        int tm_year, tm_mon, tm_mday, tm_hour, tm_min, tm_sec
    tm *gmtime_r(const time_t *seconds, tm *found)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    bint PyUnicode_IS_ASCII(object text)

cdef enum:
    STAMP = 24
    NUMBER = 32
    LINE = 256  # octets that a line is thought to take


cdef struct Text:
    char *data
    size_t used
    size_t room


cdef int reserve(Text *text, size_t more) except -1:
    cdef char *data
    if text.used + more > text.room:
        text.room = 2 * text.room + more
        data = <char *>realloc(text.data, text.room)
        if data == NULL:
            raise MemoryError
        text.data = data
    return 0


cdef int put(Text *text, const char *data, size_t size) except -1:
    reserve(text, size)
    memcpy(text.data + text.used, data, size)
    text.used += size
    return 0


cdef inline int word(Text *text, const char *data) except -1:
    return put(text, data, strlen(data))


cdef bint value(Text *text, object said, bint bracketed=False) except -1:
    # A value as `quoted` has it, in angle brackets or not; False, and nothing is of use, where it needs escapes.
    cdef Py_ssize_t size, at
    cdef const char *data
    cdef bint blank = False
    if not PyUnicode_IS_ASCII(said):
        return False
    data = PyUnicode_AsUTF8AndSize(said, &size)
    for at in range(size):
        if data[at] < 32 or data[at] == 34 or data[at] == 127:
            return False
        if data[at] == 32:
            blank = True
    blank = blank or not (size or bracketed)
    if blank:
        for at in range(size):
            if data[at] == 92:
                return False
    reserve(text, size + 4)
    if blank:
        word(text, '"')
    if bracketed:
        word(text, "<")
    put(text, data, size)
    if bracketed:
        word(text, ">")
    if blank:
        word(text, '"')
    return True


cdef int whole(Text *text, int64_t number) except -1:
    cdef char digits[NUMBER]
    cdef int at = NUMBER
    if number < 0:
        return put(text, digits, snprintf(digits, NUMBER, "%lld", <long long>number))
    while True:
        at -= 1
        digits[at] = <char>(48 + number % 10)
        number //= 10
        if not number:
            return put(text, digits + at, NUMBER - at)


cdef int decimal(Text *text, double number, int places) except -1:
    cdef char digits[400]
    cdef int64_t scale = 10000 if places == 4 else 100
    cdef double scaled = number * scale
    cdef double near = rint(scaled)
    cdef int64_t left
    # What is halfway between two numbers, as far as can be told, is left to the C library.
    if not (0 <= number < 1e9 and fabs(scaled - near) < 0.499999):
        return put(text, digits, snprintf(digits, 400, "%.*f", places, number))
    whole(text, <int64_t>near // scale)
    left = <int64_t>near % scale
    reserve(text, places + 1)
    text.data[text.used] = 46
    for place in range(places, 0, -1):
        text.data[text.used + place] = <char>(48 + left % 10)
        left //= 10
    text.used += places + 1
    return 0


cdef class Stamps:
    cdef int64_t millisecond, second
    cdef char text[64]

    def __cinit__(self):
        self.millisecond = self.second = -1

    cdef const char *stamp(self, double at):
        cdef int64_t millisecond = <int64_t>(at * 1000) if at > 0 else 0
        cdef tm parts
        cdef time_t second
        if millisecond != self.millisecond:
            self.millisecond = millisecond
            second = millisecond // 1000
            if second != self.second:
                self.second = second
                gmtime_r(&second, &parts)
                snprintf(
                    self.text, 64, "%04d-%02d-%02dT%02d:%02d:%02d.", parts.tm_year + 1900, parts.tm_mon + 1,
                    parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec
                )
            snprintf(self.text + STAMP - 4, 16, "%03dZ", <int>(millisecond % 1000))
        return self.text

    def of(self, double at):
        return PyUnicode_DecodeASCII(self.stamp(at), STAMP, NULL)


cdef class Lines:
    cdef object received, delivered, other
    cdef Stamps stamps

    def __init__(self, received not None, delivered not None, other not None):
        self.received = received
        self.delivered = delivered
        self.other = other
        self.stamps = Stamps()

    def __call__(self, batch not None, bytes who not None):
        cdef Text text
        text.used = 0
        text.room = len(batch) * LINE + 1
        text.data = <char *>malloc(text.room)
        if text.data == NULL:
            raise MemoryError
        try:
            for event in batch:
                self.line(&text, event, who)
            return PyBytes_FromStringAndSize(text.data, text.used)
        finally:
            free(text.data)

    cdef int line(self, Text *text, event, bytes who) except -1:
        cdef const char *data
        cdef Py_ssize_t size
        cdef size_t begin
        cdef bint written = False
        put(text, self.stamps.stamp(event.at), STAMP)
        put(text, <const char *>who, len(who))
        begin = text.used
        if type(event) is self.received:
            written = received_line(text, event)
        elif type(event) is self.delivered:
            written = delivered_line(text, event)
        if not written:
            text.used = begin
            said = self.other(event)
            data = PyUnicode_AsUTF8AndSize(said, &size)
            put(text, data, size)
        put(text, "\n", 1)
        return 0


cdef bint field(Text *text, const char *name, said, bint bracketed=False) except -1:
    word(text, name)
    return value(text, said, bracketed)


cdef bint further(Text *text, const char *name, said) except -1:
    return field(text, name, said) if said else True


cdef bint received_line(Text *text, event) except -1:
    to = event.to
    if len(to) != 1 or event.aliases or not (
        field(text, "received id=", event.id)
        and field(text, " from=", event.sender, True)
        and field(text, " to=", to[0], True)
    ):
        return False
    word(text, " size=")
    whole(text, event.size)
    if not (
        field(text, " client=", event.client)
        and field(text, " helo=", event.helo)
        and field(text, " with=", event.protocol)
        and further(text, " message-id=", event.message_id)
        and further(text, " login=", event.login)
        and further(text, " tls=", event.tls)
    ):
        return False
    if event.sync:
        word(text, " sync=")
        decimal(text, event.sync, 4)
    return True


cdef bint delivered_line(Text *text, event) except -1:
    if not (
        field(text, "delivered id=", event.id)
        and field(text, " to=", event.to, True)
        and field(text, " mailbox=", event.mailbox)
    ):
        return False
    word(text, " delay=")
    decimal(text, event.delay, 2)
    return True
