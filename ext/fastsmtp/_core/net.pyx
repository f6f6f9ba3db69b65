"""Two questions to a connected socket that the event loop has no words for. Neither blocks."""

from libc.errno cimport EINTR, errno


cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    int MSG_PEEK
    int MSG_DONTWAIT


def has_input(int fd):
    """Whether bytes already lie in the socket ``fd``; False at end of file or on any error."""
    cdef char octet
    cdef ssize_t n
    while True:
        n = recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT)
        if n >= 0 or errno != EINTR:
            return n > 0
