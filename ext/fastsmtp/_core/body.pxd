cdef class DotReader:
    cdef int state
    cdef readonly int fault
    cdef readonly bint ended
    cdef readonly long long size
    cdef readonly long long limit
    cdef bytes read(self, const unsigned char* data, Py_ssize_t n, Py_ssize_t* used)


cdef class ChunkReader:
    cdef bint after_cr
    cdef bint binary
    cdef readonly long long left
    cdef readonly int fault
    cdef readonly bint ended
    cdef readonly long long size
    cdef readonly long long limit
    cdef bytes read(self, const unsigned char* data, Py_ssize_t n, Py_ssize_t* used)
    cdef int check(self, const unsigned char* data, Py_ssize_t n) except -1
    cpdef int begin(self, long long octets) except -1
    cpdef int finish(self) except -1
