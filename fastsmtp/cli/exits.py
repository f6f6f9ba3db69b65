"""Exit codes, those of sysexits.h."""

import os

OK = os.EX_OK
USAGE = os.EX_USAGE
"""The command line is wrong."""
SOFTWARE = os.EX_SOFTWARE
"""A fault of fastsmtp itself."""
CONFIG = os.EX_CONFIG
"""The settings are wrong."""
INTERRUPTED = 130
"""Ctrl-C ended a command, as shells say it (128 + SIGINT)."""
