"""A network and a clock that a test moves: for what opens connections and asks to be called later."""

import socket
from collections.abc import Callable

from fastsmtp.transport.smtp.connect import Cancel, Opened


class FakeTimers:
    """Calls what is due as `pass_by` moves on, in the order of the times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def call_later(self, delay: float, call: Callable[[], None]) -> Cancel:
        """See `Opener.call_later`."""
        self._number += 1
        timer = (self.now + delay, self._number, call)
        self._timers.append(timer)

        def cancel() -> None:
            if timer in self._timers:
                self._timers.remove(timer)

        return cancel

    def pass_by(self, seconds: float) -> None:
        """Move on, calling what becomes due on the way."""
        until = self.now + seconds
        while self._timers and min(self._timers)[0] <= until:
            timer = min(self._timers)
            self._timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[2]()
        self.now = until

    @property
    def waiting(self) -> int:
        """Timers that are set."""
        return len(self._timers)


class FakeNetwork(FakeTimers):
    """An `Opener`. ``tried`` has when which address was tried; an attempt hangs until `answer` or `refuse`, unless
    the address is one of ``impossible``, by its error."""

    def __init__(self, impossible: dict[str, OSError] | None = None) -> None:
        super().__init__()
        self.impossible = impossible or {}
        self.tried: list[tuple[float, str]] = []
        self.closed: list[str] = []
        self.open_now: dict[str, Opened] = {}

    def open(self, address: str, port: int, opened: Opened) -> Cancel:
        """See `Opener.open`."""
        self.tried.append((self.now, address))
        if address in self.impossible:
            raise self.impossible[address]
        self.open_now[address] = opened

        def close() -> None:
            del self.open_now[address]
            self.closed.append(address)

        return close

    def answer(self, address: str) -> socket.socket:
        """The address takes the connection; its socket."""
        sock = socket.socket()
        self.open_now.pop(address)(sock, "")
        return sock

    def refuse(self, address: str, reason: str = "Connection refused") -> None:
        """The address does not."""
        self.open_now.pop(address)(None, reason)
