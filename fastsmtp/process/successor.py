"""The two masters of an upgrade: the old one starts the installed program, and ends when that serves.

They speak over a sequenced-packet socket, one word a datagram: the new one says ``ready`` once all its workers could
serve, or ``failed`` with the reason; the old one answers ``go``, stops accepting, and drains. The end of the socket
means the same to the new one: the old one is dead then, and somebody has to serve.
"""

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Mapping

import msgspec

from fastsmtp.process.crew import SIGNALS, flush_streams
from fastsmtp.process.heritage import VARIABLE, Heritage

_MOST = 2048
_READY = b"ready"
_GO = b"go"
_FAILED = b"failed "
_END, _NOTHING = b"", b"-"
"""What `_word` gives where nobody speaks any more, and where nothing was said."""


class Successor:
    """The new master, seen from the old one. ``heard`` is called with None when it could serve, and with the reason
    when it cannot."""

    def __init__(
        self,
        pid: int,
        channel: socket.socket,
        selector: selectors.BaseSelector,
        heard: Callable[[str | None], None],
    ) -> None:
        self.pid = pid
        self.handed_over = False
        self._channel = channel
        self._selector = selector
        self._heard = heard
        selector.register(channel, selectors.EVENT_READ, self.hear)

    def lives(self) -> bool:
        """Whether it has not ended; one that has is reaped as any other child."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def go(self) -> None:
        """It serves from now on."""
        self.handed_over = True
        try:
            self._channel.send(_GO)
        except OSError:
            pass  # the end of the channel says the same

    def end(self) -> None:
        """It is not wanted: its workers end with it, as they have accepted nothing."""
        self.forget()
        if self.lives():
            os.kill(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        """It has ended, or is heard no more."""
        if self._channel.fileno() >= 0:
            self._selector.unregister(self._channel)
            self._channel.close()

    def close(self) -> None:
        """In a child: close what is the master's."""
        self._channel.close()

    def hear(self) -> None:
        """Read what it has said."""
        if self._channel.fileno() < 0:
            return
        word = _word(self._channel)
        if word == _READY:
            self._heard(None)
        elif word.startswith(_FAILED):
            self._heard(word.removeprefix(_FAILED).decode("utf-8", "replace"))
        elif word != _NOTHING:  # it has ended, as SIGCHLD tells
            self.forget()


def start_successor(make: Callable[[int], Heritage], environ: Mapping[str, str]) -> tuple[int, socket.socket]:
    """Run the program anew, with what ``make`` says of the channel's descriptor; returns its pid and our end of the
    channel. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    heritage = make(theirs.fileno())
    variables = {**environ, VARIABLE: msgspec.json.encode(heritage).decode()}
    flush_streams()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _become(heritage, variables)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid, ours


def _become(heritage: Heritage, variables: dict[str, str]) -> None:
    """In the child: the installed program takes our place."""
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for file in heritage.files:
            os.set_inheritable(file, True)
        if "WATCHDOG_PID" in variables:
            variables["WATCHDOG_PID"] = str(os.getpid())
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], variables)  # noqa: S606 - it is ourselves
    except OSError as error:
        os.write(2, f"fastsmtp: cannot run {sys.executable}: {error.strerror}\n".encode())
    finally:
        os._exit(os.EX_OSERR)


class Predecessor:
    """The old master, seen from the new one."""

    def __init__(self, channel: int) -> None:
        self._channel = socket.socket(fileno=os.dup(channel))
        self._channel.setblocking(False)

    def ready(self) -> None:
        """All our workers could serve."""
        self._say(_READY)

    def failed(self, text: str) -> None:
        """We cannot serve."""
        self._say(_FAILED + text.encode("utf-8", "backslashreplace")[:1000])

    def watch(self, selector: selectors.BaseSelector, go: Callable[[], None]) -> None:
        """Call ``go`` once we are to serve."""

        def on_message() -> None:
            if _word(self._channel) in (_GO, _END):
                selector.unregister(self._channel)
                self._channel.close()
                go()

        selector.register(self._channel, selectors.EVENT_READ, on_message)

    def close(self) -> None:
        """In a child, or when it is heard no more."""
        self._channel.close()

    def _say(self, data: bytes) -> None:
        try:
            self._channel.send(data)
        except OSError:
            pass  # it is dead, which `watch` tells


def _word(channel: socket.socket) -> bytes:
    try:
        return channel.recv(_MOST)
    except BlockingIOError:
        return _NOTHING
    except OSError:
        return _END
