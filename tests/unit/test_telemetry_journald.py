"""Records as systemd's journal takes them, at a socket of this test's own."""

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.telemetry import journald
from fastsmtp.telemetry.events import Lost, Server
from fastsmtp.telemetry.journald import JournalWriter
from fastsmtp.telemetry.place import LogPlace
from fastsmtp.telemetry.settings import LogSettings


class Journal:
    """A journal that keeps what it gets, as fields by name."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.open()

    def open(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()
        os.unlink(self.path)

    def records(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(1 << 20, 1024)
            except BlockingIOError:
                return found
            for _, _, raw in ancillary:
                [file] = array.array("i", raw)
                size = os.fstat(file).st_size
                data = os.pread(file, size, 0)
                with pytest.raises(PermissionError):
                    os.pwrite(file, b"x", 0)  # it is sealed
                os.close(file)
            found.append(fields(data))


def fields(data: bytes) -> dict[str, str]:
    """A record taken apart, each name once."""
    found: dict[str, str] = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[8 + size :]
            assert rest.startswith(b"\n")
            rest = rest[1:]
        assert name.decode() not in found
        found[name.decode()] = value.decode()
        data = rest
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "socket")
    yield made
    made.close()


def log_to(journal: Journal, form: str = "text") -> LogPlace:
    return LogPlace(LogSettings(to=f"journald:{journal.path}", format=form), "mx.example.org")  # type: ignore[arg-type]


def test_an_event_is_a_record_with_its_fields(journal: Journal) -> None:
    log = log_to(journal).log(SystemClock(), 3)
    log.delivered("ID1", to="b@x", mailbox="b@x", delay=0.5)
    log.event("two\nlines")
    log.flush()
    assert journal.records() == [
        {
            "SYSLOG_FACILITY": "2",
            "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": "fastsmtp",
            "MESSAGE": "delivered id=ID1 to=<b@x> mailbox=b@x delay=0.50",
            "FASTSMTP_KIND": "delivered",
            "FASTSMTP_WORKER": "3",
            "FASTSMTP_ID": "ID1",
            "FASTSMTP_TO": "b@x",
            "FASTSMTP_MAILBOX": "b@x",
            "FASTSMTP_DELAY": "0.5",
        },
        {
            "SYSLOG_FACILITY": "2",
            "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": "fastsmtp",
            "MESSAGE": "event two\\nlines",
            "FASTSMTP_KIND": "server",
            "FASTSMTP_WORKER": "3",
            "FASTSMTP_TEXT": "two\nlines",
        },
    ]


def test_other_formats_are_the_message(journal: Journal) -> None:
    for form, program, start in (
        ("json", "fastsmtp", '{"kind":"login_failed"'),
        ("postfix", "postfix/smtpd", "warning: unknown[192.0.2.1]: SASL"),
    ):
        log = log_to(journal, form).log(SystemClock(), 0)
        log.login(client="192.0.2.1", mechanism="PLAIN", login="a", reason="wrong")
        log.flush()
        [record] = journal.records()
        assert (record["SYSLOG_IDENTIFIER"], record["PRIORITY"]) == (program, "5")
        assert record["MESSAGE"].startswith(start)


def test_a_large_record_goes_as_a_sealed_file(journal: Journal) -> None:
    log = log_to(journal).log(SystemClock(), 0)
    log.event("x" * 5_000_000)
    log.flush()
    [record] = journal.records()
    assert record["FASTSMTP_TEXT"] == "x" * 5_000_000


def test_a_journal_that_is_started_anew(journal: Journal) -> None:
    log = log_to(journal).log(SystemClock(), 0)
    log.event("one")
    log.flush()
    journal.close()
    log.event("lost")
    log.event("lost")
    log.flush()
    journal.open()
    log.event("two")
    log.flush()
    assert [record["MESSAGE"] for record in journal.records()] == ["event two", "lost where=log count=2"]
    journal.close()
    journal.open()
    log.event("three")
    log.flush()
    assert [record["MESSAGE"] for record in journal.records()] == ["event three"]


def test_a_journal_that_does_not_read_costs_records_but_no_time(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "KEEP_RECORDS", 20)
    writer = JournalWriter(lambda event: [("fastsmtp", "x")], journal.path)
    total, lost = 2000, 0
    for number in range(total):
        note = Lost(1, 1.0, 0, 1, "log", lost) if lost else None
        lost = sum(writer.write([Server(1, 1.0, 0, 1, str(number))], b"", note))
    assert writer.waiting
    assert lost
    told = kept = 0
    while writer.waiting:
        for record in journal.records():
            told += int(record.get("FASTSMTP_COUNT", "0"))
            kept += "FASTSMTP_TEXT" in record
        writer.write([], b"", None)
    for record in journal.records():
        told += int(record.get("FASTSMTP_COUNT", "0"))
        kept += "FASTSMTP_TEXT" in record
    assert kept + told + lost == total
