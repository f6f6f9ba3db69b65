"""A batch is one write; what cannot be written is counted, and leaves no half line."""

import os
import threading
from pathlib import Path

import pytest

from fastsmtp.ledger import hold
from fastsmtp.ledger.format import LARGEST
from fastsmtp.ledger.writer import KEEP, LedgerWriter

LINES = b'{"a":1}\n{"b":22}\n{"c":333}\n'


@pytest.fixture
def writer(tmp_path: Path) -> LedgerWriter:
    writer = LedgerWriter()
    writer.use(hold.begin(tmp_path, 1.0))
    return writer


def text(writer: LedgerWriter) -> bytes:
    """What stands behind the header."""
    assert writer.held is not None
    return writer.held.path.read_bytes().partition(b"\n")[2]


def test_lines_are_written_as_they_come(writer: LedgerWriter) -> None:
    writer.append(LINES, 3)
    writer.append(LINES, 3)
    assert text(writer) == 2 * LINES
    assert writer.tally() == (6, 0, "")
    assert writer.tally() == (0, 0, "")
    assert writer.intact()


def test_without_a_file_all_is_lost(writer: LedgerWriter) -> None:
    before = writer.use(None)
    writer.append(LINES, 3)
    assert writer.tally().lost == 3
    assert writer.use(before) is None
    writer.append(LINES, 3)
    assert writer.tally() == (3, 0, "")


@pytest.mark.parametrize(("room", "kept"), [(0, 0), (5, 0), (8, 1), (20, 2), (len(LINES) - 1, 2)])
def test_a_disk_that_fills_within_a_batch(
    writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch, room: int, kept: int
) -> None:
    real = os.write
    monkeypatch.setattr("os.write", lambda fd, data: real(fd, data[:room]))
    writer.append(LINES, 3)
    monkeypatch.undo()
    writer.append(LINES, 3)
    assert writer.tally() == (kept, 6 - kept, "No space left on device")
    assert text(writer) == b"".join(LINES.splitlines(keepends=True)[:kept])
    assert writer.intact()
    writer.append(LINES, 3)
    assert writer.tally() == (3, 0, "No space left on device")
    assert text(writer).endswith(LINES)


def test_a_thread_writes_in_order_and_all_of_it_at_its_end(writer: LedgerWriter) -> None:
    writer.start()
    lines = [b'{"a":%d}\n' % number for number in range(1000)]
    for line in lines:
        writer.append(line, 1)
    writer.stop()
    assert text(writer) == b"".join(lines)
    writer.append(LINES, 3)
    assert text(writer).endswith(LINES)
    assert writer.tally() == (1003, 0, "")


def test_a_disk_that_hangs_costs_events_and_no_wait(
    writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, hangs, begun = os.write, threading.Event(), threading.Event()

    def slow(fd: int, data: bytes) -> int:
        begun.set()
        assert hangs.wait(60)
        return real(fd, data)

    monkeypatch.setattr("os.write", slow)
    batch = LINES * 1000
    most = KEEP // len(batch)
    writer.start()
    writer.append(batch, 3000)
    assert begun.wait(60)
    for _ in range(most + 4):
        writer.append(batch, 3000)
    assert writer.intact(), "nobody waits for it"
    assert writer.tally() == (0, 5 * 3000, "the disk is too slow")
    hangs.set()
    writer.stop()
    assert writer.tally().written == most * 3000
    assert text(writer) == batch * most


def test_positions_have_32_bits(writer: LedgerWriter) -> None:
    assert writer.held is not None
    writer.held.size = LARGEST - 5
    writer.append(LINES, 3)
    assert writer.tally() == (0, 3, "it has grown too fast")
