"""The exit code that sysexits.h (os.EX_…) has no name for."""

INTERRUPTED = 130
"""Ctrl-C ended a command, as shells say it (128 + SIGINT)."""
