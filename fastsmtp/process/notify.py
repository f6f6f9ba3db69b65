"""What the service manager is told: sd_notify(3), by one datagram each. Without ``NOTIFY_SOCKET`` nobody is."""

import os
import socket
import time
from collections.abc import Mapping


class Notify:
    """By ``environ``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.every = _watchdog(environ)
        """Seconds between two signs of life, None where none is wanted."""

    def send(self, *words: str) -> None:
        """Each as in sd_notify(3), such as ``READY=1``. What cannot be sent is not."""
        if not self._address:
            return
        # An abstract address is written with @ in place of the null octet: sd_notify(3).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(words).encode(), address)
        except OSError:
            pass  # a manager that does not listen is no reason to stop

    def reloading(self) -> None:
        """A reload begins; ``READY=1`` ends it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Twice as often as the manager wants it: sd_watchdog_enabled(3)."""
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdigit() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) / 2_000_000
