cdef object plain_address(const unsigned char* p, Py_ssize_t n)
