"""Finds what a ledger's lines can be looked up by, without the GIL.

The plain twin is fastsmtp/_core/_py_ledger.py; the interface is written down in ledger.pyi.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

# Eleven bits at a time: three times for the 32 of a hash.
cdef enum:
    BUCKETS = 2048

cdef uint64_t START = 0xcbf29ce484222325
cdef uint64_t PRIME = 0x100000001b3


cdef struct Found:
    uint64_t *items
    size_t count
    size_t room


cdef inline uint32_t hash_of(uint8_t kind, const uint8_t *at, const uint8_t *end) noexcept nogil:
    # FNV-1a, folded; letters of ASCII count as small ones.
    cdef uint64_t value = (START ^ kind) * PRIME
    cdef uint8_t letter
    while at < end:
        letter = at[0]
        if 65 <= letter <= 90:
            letter += 32
        value = (value ^ letter) * PRIME
        at += 1
    return <uint32_t>(value ^ (value >> 32))


cdef int add(Found *found, uint32_t number, uint32_t position) noexcept nogil:
    cdef uint64_t *more
    if found.count == found.room:
        found.room = 2 * found.room + 1024
        more = <uint64_t *>realloc(found.items, found.room * sizeof(uint64_t))
        if more == NULL:
            return -1
        found.items = more
    found.items[found.count] = (<uint64_t>number << 32) | position
    found.count += 1
    return 0


cdef inline const uint8_t *string_end(const uint8_t *at, const uint8_t *end) noexcept nogil:
    # The quote that ends the string whose first byte is at; NULL when none does.
    while at < end:
        if at[0] == 34:
            return at
        at += 2 if at[0] == 92 else 1
    return NULL


cdef inline uint8_t kind_of(const uint8_t *name, size_t length) noexcept nogil:
    if length == 2:
        if memcmp(name, b"id", 2) == 0:
            return 105
        if memcmp(name, b"to", 2) == 0:
            return 116
    elif length == 4:
        if memcmp(name, b"from", 4) == 0:
            return 102
    elif length == 5:
        if memcmp(name, b"about", 5) == 0:
            return 105
    elif length == 10:
        if memcmp(name, b"message_id", 10) == 0:
            return 109
    return 0


cdef const uint8_t *skip(const uint8_t *at, const uint8_t *end) noexcept nogil:
    # What ends a value that is not looked at: a comma or a brace outside of all that it opens; NULL when none does.
    cdef int depth = 0
    while at < end:
        if at[0] == 34:
            at = string_end(at + 1, end)
            if at == NULL:
                return NULL
        elif at[0] == 123 or at[0] == 91:
            depth += 1
        elif depth == 0 and (at[0] == 44 or at[0] == 125):
            return at
        elif at[0] == 125 or at[0] == 93:
            depth -= 1
        at += 1
    return NULL


cdef int line_keys(const uint8_t *at, const uint8_t *end, uint32_t position, Found *found) noexcept nogil:
    # One object without blanks between its tokens; reading ends where it is anything else.
    cdef const uint8_t *close
    cdef uint8_t kind
    if at == end or at[0] != 123:
        return 0
    at += 1
    while at < end and at[0] == 34:
        close = string_end(at + 1, end)
        if close == NULL or close + 2 >= end or close[1] != 58:
            return 0
        kind = kind_of(at + 1, <size_t>(close - at - 1))
        at = close + 2
        if kind and at[0] == 34:
            close = string_end(at + 1, end)
            if close == NULL:
                return 0
            if add(found, hash_of(kind, at + 1, close), position):
                return -1
            at = close + 1
        elif kind and at[0] == 91:
            at += 1
            while at < end and at[0] == 34:
                close = string_end(at + 1, end)
                if close == NULL:
                    return 0
                if add(found, hash_of(kind, at + 1, close), position):
                    return -1
                at = close + 1
                if at < end and at[0] == 44:
                    at += 1
            if at >= end or at[0] != 93:
                return 0
            at += 1
        else:
            at = skip(at, end)
            if at == NULL:
                return 0
        if at >= end or at[0] != 44:
            return 0
        at += 1
    return 0


cdef int sort(uint64_t *items, size_t count) noexcept nogil:
    # By the upper halves, which leaves equal ones in the order they came in.
    cdef uint64_t *other
    cdef uint64_t *source = items
    cdef uint64_t *target
    cdef size_t counts[BUCKETS]
    cdef size_t i, total, one
    cdef int bucket, shift = 32
    if count < 2:
        return 0
    other = <uint64_t *>malloc(count * sizeof(uint64_t))
    if other == NULL:
        return -1
    target = other
    while shift < 64:
        memset(counts, 0, sizeof(counts))
        for i in range(count):
            counts[(source[i] >> shift) & (BUCKETS - 1)] += 1
        total = 0
        for bucket in range(BUCKETS):
            one = counts[bucket]
            counts[bucket] = total
            total += one
        for i in range(count):
            one = (source[i] >> shift) & (BUCKETS - 1)
            target[counts[one]] = source[i]
            counts[one] += 1
        source, target = target, source
        shift += 11
    if source != items:
        memcpy(items, source, count * sizeof(uint64_t))
    free(other)
    return 0


cdef int all_keys(const uint8_t *data, size_t length, uint32_t base, Found *found) noexcept nogil:
    cdef const uint8_t *at = data
    cdef const uint8_t *end = data + length
    cdef const uint8_t *close
    while at < end:
        close = <const uint8_t *>memchr(at, 10, <size_t>(end - at))
        if close == NULL:
            break
        if line_keys(at, close, base + <uint32_t>(at - data), found):
            return -1
        at = close + 1
    return sort(found.items, found.count)


def key(str kind, bytes value):
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(value)
    return hash_of(<uint8_t>ord(kind), at, at + PyBytes_GET_SIZE(value))


def entries(data, unsigned long base):
    cdef Py_buffer view
    cdef Found found
    cdef int error
    found.items = NULL
    found.count = found.room = 0
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if base + <size_t>view.len > 0x100000000:
            raise ValueError("a ledger's segment has less than 4 GiB")
        with nogil:
            error = all_keys(<const uint8_t *>view.buf, <size_t>view.len, <uint32_t>base, &found)
        if error:
            raise MemoryError
        return PyBytes_FromStringAndSize(<char *>found.items, <Py_ssize_t>(found.count * sizeof(uint64_t)))
    finally:
        PyBuffer_Release(&view)
        free(found.items)


def merge(runs):
    cdef Py_buffer view
    cdef bytes result
    cdef uint64_t *items
    cdef size_t count
    cdef int error
    PyObject_GetBuffer(runs, &view, PyBUF_SIMPLE)
    try:
        if view.len % sizeof(uint64_t):
            raise ValueError("not a whole number of entries")
        # A copy that nobody else has seen yet, and may therefore be sorted where it stands.
        result = PyBytes_FromStringAndSize(<char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    items = <uint64_t *>PyBytes_AS_STRING(result)
    count = <size_t>PyBytes_GET_SIZE(result) // sizeof(uint64_t)
    with nogil:
        error = sort(items, count)
    if error:
        raise MemoryError
    return result
