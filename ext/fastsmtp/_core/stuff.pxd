cdef extern from *:
    """
    /* Both loops are written for the compiler to vectorise: no branch, no early end. */
    static inline int fastsmtp_scan_lines(const unsigned char* p, Py_ssize_t n) {
        unsigned char bad = 0, dots = 0;
        for (Py_ssize_t i = 1; i < n; i++) {
            bad |= (unsigned char)(p[i - 1] == 13) ^ (unsigned char)(p[i] == 10);
            dots |= (unsigned char)(p[i - 1] == 10) & (unsigned char)(p[i] == 46);
        }
        return bad | (dots << 1);
    }
    static inline int fastsmtp_is_ascii(const unsigned char* p, Py_ssize_t n) {
        unsigned char all = 0;
        for (Py_ssize_t i = 0; i < n; i++) all |= p[i];
        return !(all & 0x80);
    }
    """
    # 1: somewhere behind the first octet a CR is without its LF, or an LF without its CR; 2: a dot begins a line
    int scan_lines "fastsmtp_scan_lines"(const unsigned char* p, Py_ssize_t n) noexcept nogil
    bint ascii_only "fastsmtp_is_ascii"(const unsigned char* p, Py_ssize_t n) noexcept nogil


cdef class BodyWriter:
    cdef bint stuff
    cdef bint convert
    cdef bint seven
    cdef bint line
    cdef bint cr
    cdef readonly int fault
    cdef readonly long long size
    cdef bint clean(self, const unsigned char* p, Py_ssize_t n) noexcept nogil
    cdef object put(self, object piece)
    cdef bytes mend(self, const unsigned char* p, Py_ssize_t n)
    cdef bytes close(self)
    cdef int note(self, int fault) noexcept nogil
