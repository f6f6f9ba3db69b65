"""Whether a file that settings name has changed, as its metadata says."""

import os
from pathlib import Path

Signature = tuple[int, ...] | None


def signature(file: str | Path) -> Signature:
    """What changes when ``file`` does, None when it cannot be looked at."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev, status.st_size
