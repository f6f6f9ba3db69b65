"""Counters and histograms in memory that processes share: each change is one atomic addition, from any thread and
any process.

The plain twin is fastsmtp/_core/_py_cells.py; the interface is written down in cells.pyi.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    #define cell_add(cell, many) __atomic_fetch_add((cell), (many), __ATOMIC_RELAXED)
    #define cell_set(cell, value) __atomic_store_n((cell), (value), __ATOMIC_RELAXED)
    #define cell_get(cell) __atomic_load_n((cell), __ATOMIC_RELAXED)
    """
    int64_t cell_add(int64_t *cell, int64_t many) noexcept nogil
    void cell_set(int64_t *cell, int64_t value) noexcept nogil
    int64_t cell_get(int64_t *cell) noexcept nogil

cdef enum:
    CELL = 8
    MICRO = 1000000
    MOST = 1000000000

MICROS = MICRO


cdef class Counter:
    cdef Py_buffer memory
    cdef int64_t *cell
    cdef int64_t nowhere

    def __cinit__(self):
        self.cell = &self.nowhere  # until it is told where

    def __init__(self, memory not None):
        if self.memory.buf != NULL:
            raise RuntimeError("made already")
        PyObject_GetBuffer(memory, &self.memory, PyBUF_WRITABLE)
        if self.memory.len != CELL:
            raise ValueError("a counter is 8 bytes")
        self.cell = <int64_t *>self.memory.buf

    def __dealloc__(self):
        PyBuffer_Release(&self.memory)

    def add(self, int64_t many=1):
        cell_add(self.cell, many)

    def set(self, int64_t value):
        cell_set(self.cell, value)

    def get(self):
        return cell_get(self.cell)


cdef class Histogram:
    cdef Py_buffer memory
    cdef int64_t *cells
    cdef double *bounds
    cdef Py_ssize_t count
    cdef int64_t nowhere[2]

    def __cinit__(self):
        self.cells = self.nowhere

    def __init__(self, memory not None, bounds not None):
        cdef Py_ssize_t index, count = len(bounds)
        if self.memory.buf != NULL:
            raise RuntimeError("made already")
        PyObject_GetBuffer(memory, &self.memory, PyBUF_WRITABLE)
        if self.memory.len != (count + 2) * CELL:
            raise ValueError("a histogram is 8 bytes for each bound, and 16")
        self.bounds = <double *>malloc((count + 1) * sizeof(double))
        if self.bounds == NULL:
            raise MemoryError
        for index in range(count):
            self.bounds[index] = bounds[index]
        self.cells = <int64_t *>self.memory.buf
        self.count = count

    def __dealloc__(self):
        free(self.bounds)
        PyBuffer_Release(&self.memory)

    def observe(self, double value):
        cdef Py_ssize_t index = 0
        if not value > 0:
            value = 0
        elif value > MOST:
            value = MOST
        while index < self.count and value > self.bounds[index]:
            index += 1
        cell_add(self.cells + index, 1)
        cell_add(self.cells + self.count + 1, <int64_t>(value * MICRO + 0.5))
