"""Whoever reads the log may stop reading: the service goes on, and ends when it is told to."""

import os
import signal
from pathlib import Path

from tests.system.server import RunningServer, wait_until

REFUSED = b"MAIL FROM:<a@client.example>\r\n" + b"RCPT TO:<x@elsewhere.example>\r\n" * 50 + b"RSET\r\n"


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # holds it open and never reads
    server = RunningServer(tmp_path, limits={"errors": 100_000})
    server.program = ["sh", "-c", f'exec "$@" 2>{fifo}', "sh", *server.program]
    try:
        with server, server.connect() as client, server.connect() as other:
            lines, others = client.makefile("rb"), other.makefile("rb")
            assert lines.readline().startswith(b"220 ")
            assert others.readline().startswith(b"220 ")
            client.sendall(b"HELO client.example\r\n")
            assert lines.readline().startswith(b"250 ")
            for _ in range(40):  # 2,000 lines of log, about 200 KB: three times what a pipe holds
                client.sendall(REFUSED)
                codes = [lines.readline()[:3] for _ in range(52)]
                assert codes == [b"250", *[b"550"] * 50, b"250"]
            other.sendall(b"NOOP\r\n")
            assert others.readline().startswith(b"250 ")
            server.running.send_signal(signal.SIGHUP)  # the master has something to say too
            for opened in (lines, others, client, other):
                opened.close()
            assert server.stop(limit=20) == 0
    finally:
        os.close(reader)


def test_a_reader_that_comes_back_is_told_what_he_missed(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    server = RunningServer(tmp_path, workers=1, limits={"errors": 100_000})
    server.program = ["sh", "-c", f'exec "$@" 2>{fifo}', "sh", *server.program]
    text = b""

    def told() -> bool:
        nonlocal text
        try:
            text += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return b"lost where=log" in text

    try:
        with server, server.connect() as client, client.makefile("rb") as lines:
            lines.readline()
            client.sendall(b"HELO client.example\r\n")
            lines.readline()
            for _ in range(400):  # 20,000 lines: more than the megabyte that is kept
                client.sendall(REFUSED)
                for _ in range(52):
                    lines.readline()
            wait_until(told, "the dropped lines are counted")
            assert text.count(b"rejected") < 20_000
    finally:
        os.close(reader)
