"""File-system calls in batches, made without the GIL. Decides nothing: each item's errno goes back to the caller.

The plain twin is fastsmtp/_core/_py_fsio.py; the interface is written down in fsio.pyi.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EEXIST, EINTR, EINVAL, ENOSYS, EOPNOTSUPP, EXDEV, errno
from libc.string cimport memchr, memcpy
from posix.types cimport off_t

cdef extern from "<fcntl.h>" nogil:
    int openat(int dirfd, const char *path, int flags, ...)
    int O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_CLOEXEC

cdef extern from "<stdio.h>" nogil:
    int renameat(int from_fd, const char *from_name, int to_fd, const char *to_name)

cdef extern from "<unistd.h>" nogil:
    ssize_t c_write "write"(int fd, const void *data, size_t length)
    ssize_t pread(int fd, void *data, size_t length, long long offset)
    ssize_t pwrite(int fd, const void *data, size_t length, long long offset)
    int c_close "close"(int fd)
    int unlinkat(int dirfd, const char *path, int flags)
    int linkat(int from_fd, const char *from_name, int to_fd, const char *to_name, int flags)
    int c_fdatasync "fdatasync"(int fd)
    int c_syncfs "syncfs"(int fd)
    ssize_t copy_file_range(int in_fd, off_t *in_offset, int out_fd, off_t *out_offset,
                            size_t length, unsigned int flags)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

# Items per release of the GIL: long enough to be worth it, short enough that nobody waits for it.
cdef enum:
    CHUNK = 64
    SPACE = 16384


cdef struct Item:
    int directory
    int other
    const char *name
    long long offset
    long long length


cdef int write_all(int fd, const char *data, long long length) noexcept nogil:
    cdef ssize_t written
    while length > 0:
        written = c_write(fd, data, <size_t>length)
        if written < 0:
            if errno == EINTR:
                continue
            return errno
        data += written
        length -= written
    return 0


cdef int write_lf(int fd, const char *data, long long length) noexcept nogil:
    # Every CRLF becomes LF; a CR that no LF follows stays.
    cdef char space[SPACE]
    cdef const char *end = data + length
    cdef const char *found
    cdef size_t run, used = 0
    cdef int error
    while data < end:
        found = <const char *>memchr(data, 13, <size_t>(end - data))
        if found == NULL:
            run = <size_t>(end - data)
        elif found + 1 < end and found[1] == 10:
            run = <size_t>(found - data)
        else:
            run = <size_t>(found - data) + 1
        if run > SPACE - used:
            error = write_all(fd, space, <long long>used)
            if error:
                return error
            used = 0
            if run > SPACE:
                error = write_all(fd, data, <long long>run)
                if error:
                    return error
                data += run
                run = 0
        memcpy(space + used, data, run)
        used += run
        data += run
        if data == found:
            data += 1
    return write_all(fd, space, <long long>used)


cdef int create(int directory, const char *name) noexcept nogil:
    # A file of that name is one of our own unfinished ones: it goes, so that the new one has a fresh inode.
    cdef int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    if fd < 0 and errno == EEXIST:
        if unlinkat(directory, name, 0) < 0:
            return -1
        fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    return fd


cdef int finish(int fd, int directory, const char *name, int error, bint sync) noexcept nogil:
    if not error and sync and c_fdatasync(fd) < 0:
        error = errno
    if c_close(fd) < 0 and not error:
        error = errno
    if error:
        unlinkat(directory, name, 0)
    return error


cdef int write_one(const char *base, Item *item, bint lf, bint sync) noexcept nogil:
    cdef int fd = create(item.directory, item.name)
    cdef int error
    if fd < 0:
        return errno
    if lf:
        error = write_lf(fd, base + item.offset, item.length)
    else:
        error = write_all(fd, base + item.offset, item.length)
    return finish(fd, item.directory, item.name, error, sync)


cdef inline const char *name_of(object name) except NULL:
    if not isinstance(name, bytes):
        raise TypeError("a file name here is bytes")
    return PyBytes_AS_STRING(name)


def write_files(buffer, jobs, bint lf=False, bint sync=False):
    cdef Py_buffer view
    cdef Item items[CHUNK]
    cdef int errors[CHUNK]
    cdef Py_ssize_t start = 0, count, i, total
    cdef tuple held = tuple(jobs)
    cdef tuple job
    cdef list result = []
    total = len(held)
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        while start < total:
            count = min(total - start, <Py_ssize_t>CHUNK)
            for i in range(count):
                job = held[start + i]
                items[i].directory = job[0]
                items[i].name = name_of(job[1])
                items[i].offset = job[3]
                items[i].length = job[4]
                if items[i].offset < 0 or items[i].length < 0 or items[i].offset > view.len - items[i].length:
                    raise ValueError("a range outside the buffer")
            with nogil:
                for i in range(count):
                    errors[i] = write_one(<const char *>view.buf, &items[i], lf, sync)
            for i in range(count):
                result.append(errors[i])
            start += count
    finally:
        PyBuffer_Release(&view)
    return result


def rename_files(jobs):
    cdef Item items[CHUNK]
    cdef int errors[CHUNK]
    cdef Py_ssize_t start = 0, count, i, total
    cdef tuple held = tuple(jobs)
    cdef tuple job
    cdef list result = []
    total = len(held)
    while start < total:
        count = min(total - start, <Py_ssize_t>CHUNK)
        for i in range(count):
            job = held[start + i]
            items[i].directory = job[0]
            items[i].name = name_of(job[1])
            items[i].other = job[2]
        with nogil:
            for i in range(count):
                errors[i] = 0
                if renameat(items[i].directory, items[i].name, items[i].other, items[i].name) < 0:
                    errors[i] = errno
        for i in range(count):
            result.append(errors[i])
        start += count
    return result


def link_file(int from_directory, from_name, int directory, name):
    cdef const char *source = name_of(from_name)
    cdef const char *target = name_of(name)
    cdef int error = 0
    with nogil:
        if linkat(from_directory, source, directory, target, 0) < 0:
            error = errno
            if error == EEXIST:
                error = 0
                if unlinkat(directory, target, 0) < 0 or linkat(from_directory, source, directory, target, 0) < 0:
                    error = errno
    return error


cdef int copy_plain(int source, int fd, long long length) noexcept nogil:
    cdef off_t offset = 0
    cdef ssize_t moved
    cdef char space[SPACE]
    cdef int error
    while offset < length:
        moved = copy_file_range(source, &offset, fd, NULL, <size_t>(length - offset), 0)
        if moved > 0:
            continue
        if moved < 0 and errno == EINTR:
            continue
        if moved < 0 and errno not in (EXDEV, EINVAL, ENOSYS, EOPNOTSUPP):
            return errno
        break
    while offset < length:
        moved = pread(source, space, SPACE, offset)
        if moved < 0:
            if errno == EINTR:
                continue
            return errno
        if moved == 0:
            return EINVAL
        error = write_all(fd, space, moved)
        if error:
            return error
        offset += moved
    return 0


def copy_file(int source, long long length, int directory, name, bint sync=False):
    cdef const char *target = name_of(name)
    cdef int fd, error
    with nogil:
        fd = create(directory, target)
        error = errno if fd < 0 else finish(fd, directory, target, copy_plain(source, fd, length), sync)
    return error


def count_crlf(buffer, Py_ssize_t offset, Py_ssize_t length):
    cdef Py_buffer view
    cdef const char *data
    cdef const char *end
    cdef Py_ssize_t count = 0
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        if offset < 0 or length < 0 or offset > view.len - length:
            raise ValueError("a range outside the buffer")
        with nogil:
            data = <const char *>view.buf + offset
            end = data + length
            while True:
                data = <const char *>memchr(data, 10, <size_t>(end - data))
                if data == NULL:
                    break
                if data > <const char *>view.buf + offset and (data - 1)[0] == 13:
                    count += 1
                data += 1
    finally:
        PyBuffer_Release(&view)
    return count


def append(int fd, data, long long offset, bint sync):
    cdef Py_buffer view
    cdef const char *at
    cdef ssize_t left, written
    cdef int error = 0
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        with nogil:
            at = <const char *>view.buf
            left = view.len
            while left > 0 and not error:
                written = pwrite(fd, at, <size_t>left, offset)
                if written >= 0:
                    at += written
                    left -= written
                    offset += written
                elif errno != EINTR:
                    error = errno
            if sync and not error and c_fdatasync(fd) < 0:
                error = errno
    finally:
        PyBuffer_Release(&view)
    return error


def syncfs(int fd):
    cdef int error = 0
    with nogil:
        if c_syncfs(fd) < 0:
            error = errno
    return error


def let_others_run():
    with nogil:
        sched_yield()
