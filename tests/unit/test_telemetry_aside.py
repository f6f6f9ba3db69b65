"""A file that is written by a thread: in order, bounded, and what could not be written is counted."""

import os
import threading
from pathlib import Path

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.telemetry import aside
from fastsmtp.telemetry.aside import FileOutlet
from fastsmtp.telemetry.events import Lost, Server, encode
from fastsmtp.telemetry.outlet import NOTHING, Missing
from fastsmtp.telemetry.stream import StreamWriter, json_form


def test_in_order_and_all_of_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        outlet = FileOutlet(file.fileno())
        for number in range(500):
            assert outlet.write(b"%d\n" % number)
        outlet.close(20)
    assert (tmp_path / "log").read_bytes() == b"".join(b"%d\n" % number for number in range(500))
    assert outlet.lost() == NOTHING


def test_a_disk_that_hangs_costs_no_time_and_one_that_fails_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "MOST_WAITING", 1000)
    begun, go_on = threading.Event(), threading.Event()

    def hang(fd: int, data: bytes) -> int:
        begun.set()
        assert go_on.wait(20)
        raise OSError(28, "No space left on device")

    with (tmp_path / "log").open("wb") as file:
        outlet = FileOutlet(file.fileno())
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", hang)
            assert outlet.write(b"x\n" * 200) == 400
            assert begun.wait(20)
            assert outlet.write(b"y\n" * 200) == 400
            assert outlet.write(b"z\n" * 200) == 0, "there is no more room"
            go_on.set()
            outlet.wait(20)
        assert outlet.lost() == Missing(400, 0)
        assert outlet.write(b"back\n")
        outlet.close(20)
    assert (tmp_path / "log").read_bytes() == b"back\n"


def test_a_log_tells_what_its_thread_has_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    event = Server(1, SystemClock().now(), 0, 1, "x")
    with (tmp_path / "log").open("wb") as file:
        writer = StreamWriter(file.fileno(), json_form)
        writer.go_aside()
        aside_outlet = writer._aside
        assert aside_outlet is not None
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            assert writer.write([event, event], encode([event, event]), None) == NOTHING
            aside_outlet.wait(20)
            told = Lost(1, 1.0, 0, 1, "log", 2)
            assert writer.write([event], encode([event]), told) == Missing(2, 0)
            aside_outlet.wait(20)
        assert writer.write([event], encode([event]), None) == Missing(1, 2)
        assert writer.write([event], encode([event]), told) == NOTHING
        writer.come_back(20)
        assert writer._aside is None
    assert (tmp_path / "log").read_bytes().count(b'"text":"x"') == 2
    assert (tmp_path / "log").read_bytes().count(b'"count":2') == 1


def test_a_line_that_a_full_disk_has_half_of_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def five(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", full)
        return write(fd, bytes(data)[:5])

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with (tmp_path / "log").open("wb") as file:
        outlet = FileOutlet(file.fileno())
        with monkeypatch.context():
            monkeypatch.setattr(os, "write", five)
            outlet.write(b"one\ntwo\nthree\n", 7)
            outlet.wait(20)
            assert outlet.lost() == Missing(1, 7)
            outlet.write(b"four\n")
            outlet.wait(20)
            assert outlet.lost() == Missing(1, 0)
            monkeypatch.setattr(os, "write", write)
        outlet.write(b"five\n")
        outlet.close(20)
    assert (tmp_path / "log").read_bytes() == b"one\nt\nfive\n"
