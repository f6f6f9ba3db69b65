DEBUG: bool
"""Whether bounds checks and line tracing are compiled in: FASTSMTP_DEBUG_BUILD=1 when it was built."""
