"""How this core was built."""

cdef extern from *:
    """
    #ifdef FASTSMTP_DEBUG
    #define FASTSMTP_DEBUG_BUILT 1
    #else
    #define FASTSMTP_DEBUG_BUILT 0
    #endif
    """
    const int FASTSMTP_DEBUG_BUILT


DEBUG = bool(FASTSMTP_DEBUG_BUILT)
"""Whether bounds checks and line tracing are compiled in: FASTSMTP_DEBUG_BUILD=1 when it was built."""
