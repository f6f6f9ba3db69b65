"""Relaying: smtp-source, one server, smtp-sink. The clock stops when the sink has everything."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator

from drive import Figures
from servers import RELAY_DOMAIN, RELAY_PORT, Server, ServerError, free_port, pids, program, wait_for_greeting

from fastsmtp.loadgen import processes

PATIENCE = 300.0
_PIPE = 1 << 20


class CountingSink:
    """smtp-sink as the next hop of whatever relays; it prints what it has counted so far."""

    def __init__(self) -> None:
        self.sessions = self.messages = 0
        self._text = b""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises ServerError when it does not greet."""
        free_port(RELAY_PORT)
        command = [program("smtp-sink"), "-c", "-m", "20000", f"127.0.0.1:{RELAY_PORT}", "4096"]
        if os.geteuid() == 0:
            command[1:1] = ["-u", "nobody"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
        os.set_blocking(descriptor, False)
        wait_for_greeting("smtp-sink", RELAY_PORT)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def look(self) -> None:
        """Reads what it has printed: ``sess=1 quit=0 mesg=3`` and a carriage return after each change."""
        assert self._process is not None
        assert self._process.stdout is not None
        while piece := self._read(self._process.stdout.fileno()):
            whole, mark, self._text = (self._text + piece).rpartition(b"\r")
            if mark:
                counts = dict(field.split(b"=") for field in whole.rpartition(b"\r")[2].split())
                self.sessions, self.messages = int(counts[b"sess"]), int(counts[b"mesg"])

    def _read(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, _PIPE)
        except BlockingIOError:
            return b""

    def wait(self, messages: int, server: str) -> None:
        """Until it has so many. Raises ServerError when nothing more comes."""
        last, deadline = -1, 0.0
        while self.messages < messages:
            if self.messages != last:
                last, deadline = self.messages, time.monotonic() + PATIENCE
            elif time.monotonic() > deadline:
                raise ServerError(f"{server} relayed {self.messages} of {messages} messages, then no more")
            time.sleep(0.02)
            self.look()


@contextlib.contextmanager
def counting_sink() -> Iterator[CountingSink]:
    """One that runs."""
    sink = CountingSink()
    try:
        sink.start()
        yield sink
    finally:
        sink.stop()


def relayed(server: Server, *, kept: bool, sessions: int, size: int, count: int) -> Figures:
    """Sends ``count`` messages for another host; the clock stops when the sink has them all."""
    command = [program("smtp-source"), "-s", str(sessions), "-m", str(count), "-l", str(size)]
    if kept:
        command.append("-d")
    command += ["-f", f"sender@{RELAY_DOMAIN}", "-t", f"user@{RELAY_DOMAIN}", f"127.0.0.1:{server.port}"]
    with counting_sink() as sink:
        sink.look()
        greeted, before = sink.sessions, processes.usage(pids(server))
        began = time.monotonic()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as source:
            while source.poll() is None:
                time.sleep(0.02)
                sink.look()
            assert source.stderr is not None
            if source.returncode:
                raise ServerError(f"smtp-source against {server.name}: {source.stderr.read().strip()[-200:]}")
        accepted = time.monotonic() - began
        sink.wait(count, server.name)
        seconds = time.monotonic() - began
        after = processes.usage(pids(server))
        connections = sink.sessions - greeted
    return {
        "seconds_accepting": accepted,
        "seconds": seconds,
        "messages_per_s": count / seconds,
        "megabytes_per_s": count * size / seconds / 1e6,
        "connections_out": connections,
        "messages_per_connection": count / max(connections, 1),
        "cpu_ms_per_message": (after.cpu - before.cpu) / count * 1e3,
        "rss_mb": after.rss / 1e6,
    }
