"""The common form of a path, read without the grammar: ``<local@domain>`` of ASCII letters, digits and the like.

Whatever is not plainly of that form is left to fastsmtp/smtp/grammar.py, which decides.
"""

from cpython.unicode cimport PyUnicode_DecodeASCII

from fastsmtp.mail.address import Address

# 1: may stand in an unquoted local part (RFC 5321 §4.1.2 Atom, and dots); 2: in a domain name.
cdef unsigned char[256] CLASSES


cdef void fill_classes() noexcept:
    cdef const char* atext = b"!#$%&'*+-/=?^_`{|}~."
    cdef int c, i
    for c in range(256):
        CLASSES[c] = 0
        if 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122:
            CLASSES[c] = 3
    for i in range(20):
        CLASSES[<unsigned char>atext[i]] |= 1
    CLASSES[45] |= 2  # -
    CLASSES[46] |= 2  # .


fill_classes()


cdef object plain_address(const unsigned char* p, Py_ssize_t n):
    """The address of ``<local@domain>`` filling all ``n`` bytes, None when it is not of the plain form."""
    cdef Py_ssize_t i, at, end = n - 1
    if n < 5 or p[0] != 60 or p[end] != 62:
        return None
    i = 1
    while i < end and CLASSES[p[i]] & 1:
        i += 1
    at = i
    if at == 1 or p[at] != 64 or end - at - 1 > 255:
        return None
    i = at + 1
    while i < end:
        if not CLASSES[p[i]] & 2:
            return None
        # no label is empty or has a hyphen at either end
        if p[i] == 46 or p[i] == 45:
            if i == at + 1 or i == end - 1 or p[i - 1] == 46 or (p[i] == 46 and p[i - 1] == 45):
                return None
        i += 1
    if at + 1 == end:
        return None
    text = PyUnicode_DecodeASCII(<const char*>p + 1, end - 1, "strict")
    return Address(text[:at - 1], text[at:], text)
