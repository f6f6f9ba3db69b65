"""The Maildir transport on its own: what is written, what is not, and the descriptors in between."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.spool.record import Letter
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport import maildir as module
from fastsmtp.transport.maildir import RETRY, Batch, MaildirTransport, kernel_release
from tests.fakes.clock import FakeClock

VALUE = b"....the message"


class Bench:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.clock = FakeClock()
        self.fd = os.open(base / "log", os.O_WRONLY | os.O_CREAT)
        self.log = MailLog(self.clock, slot=0, fd=self.fd)
        self.transport = MaildirTransport(
            MailboxSettings(path=f"{base}/m/{{user}}"), hostname="mx", log=self.log, clock=self.clock
        )
        self.bodies = os.open(base, os.O_RDONLY)

    def letter(self, *mailboxes: str, pending: list[int] | None = None) -> Letter:
        people = [Recipient(mailbox, mailbox) for mailbox in mailboxes]
        envelope = Envelope("ID00000000000", "s@x", people, "192.0.2.1", "h", "SMTP", 1.5)
        return Letter(envelope, 4, len(VALUE) - 4, False, pending)

    def batch(self, *letters: Letter) -> Batch:
        batch = self.transport.batch(self.bodies)
        batch.write(0, letters, VALUE)
        return batch

    def files(self, user: str, folder: str = "new") -> list[bytes]:
        return [file.read_bytes() for file in sorted((self.base / "m" / user / folder).iterdir())]

    def events(self) -> str:
        self.log.flush()
        return (self.base / "log").read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.transport.close()
    os.close(bench.bodies)
    os.close(bench.fd)


def test_a_batch_goes_through_tmp(bench: Bench) -> None:
    batch = bench.batch(bench.letter("a@x", "b@x", "c@x", pending=[0, 2]))
    assert bench.files("a", "tmp") == bench.files("c", "tmp") == [VALUE[4:]]
    assert bench.files("a") == []
    assert not (bench.base / "m/b").exists()
    assert bench.transport.sync(batch)
    batch.rename()
    assert bench.files("a") == bench.files("c") == [VALUE[4:]]
    assert bench.files("a", "tmp") == []
    assert list(batch.delivered()) == [(0, 0, 0, "a@x"), (0, 0, 2, "c@x")]


def test_a_failing_mailbox_rests_for_a_minute_and_is_told_once(bench: Bench) -> None:
    (bench.base / "m").mkdir()
    (bench.base / "m/bad").write_text("in the way")
    for _ in range(3):
        batch = bench.batch(bench.letter("bad@x", "good@x"))
        assert batch.missing == {0: [(0, 0)]}
        assert len(batch.written) == 1
    (bench.base / "m/bad").unlink()
    assert bench.batch(bench.letter("bad@x")).missing
    bench.clock.pass_by(RETRY + 1)
    assert not bench.batch(bench.letter("bad@x")).missing
    assert bench.events().count("cannot be written") == 1
    assert bench.events().count("can be written again") == 1


def test_one_scan_tries_all_mailboxes_that_rested(bench: Bench) -> None:
    (bench.base / "m").mkdir()
    for user in ("one", "two"):
        (bench.base / "m" / user).write_text("in the way")
    assert bench.batch(bench.letter("one@x")).missing
    bench.clock.pass_by(30)
    assert bench.batch(bench.letter("two@x")).missing
    for user in ("one", "two"):
        (bench.base / "m" / user).unlink()
    bench.transport.try_again()
    assert bench.batch(bench.letter("one@x", "two@x")).missing == {0: [(0, 1)]}, "two failed just now"
    bench.clock.pass_by(6)
    bench.transport.try_again()
    assert not bench.batch(bench.letter("two@x")).missing


def test_an_error_of_writing_is_the_mailbox_s(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.fsio.write_files
    monkeypatch.setattr(
        module.fsio, "write_files", lambda value, jobs, *rest: [errno.ENOSPC, *real(value, jobs[1:], *rest)]
    )
    batch = bench.batch(bench.letter("full@x", "fine@x"))
    assert batch.missing == {0: [(0, 0)]}
    assert "No space left" in bench.events()


def test_what_cannot_be_moved_stays_in_tmp_and_is_written_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = bench.batch(bench.letter("a@x"))
    monkeypatch.setattr(module.fsio, "rename_files", lambda jobs: [errno.EACCES])
    batch.rename()
    assert (batch.written, batch.missing, batch.unfinished) == ([], {0: [(0, 0)]}, False)
    assert len(bench.files("a", "tmp")) == 1, "gone from tmp/ means moved, should the process die now"
    monkeypatch.undo()
    bench.clock.pass_by(RETRY + 1)
    bench.batch(bench.letter("a@x")).rename()
    assert (len(bench.files("a", "tmp")), len(bench.files("a"))) == (0, 1)


@pytest.mark.parametrize("syncfs", [True, False])
def test_the_log_says_what_becomes_of_a_failed_sync(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, syncfs: bool
) -> None:
    bench.transport.syncfs = syncfs
    batch = bench.batch(bench.letter("a@x"))

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(module.fsio, "syncfs", lambda fd: errno.EIO)
    monkeypatch.setattr(module.os, "fsync", fails)
    assert not bench.transport.sync(batch)
    assert bench.events().count("written again") == 1
    assert not bench.transport.settle(batch)
    assert bench.events().count("written again") == 1
    assert bench.events().count("what was moved") == 1


def test_a_broken_mailbox_is_told_with_its_whole_path(bench: Bench) -> None:
    (bench.base / "m/a").mkdir(parents=True)
    (bench.base / "m/a/tmp").write_text("in the way")
    bench.batch(bench.letter("a@x"))
    assert f"{bench.base}/m/a/tmp: Not a directory" in bench.events()


def test_descriptors_of_a_batch_stay_open_until_the_next(bench: Bench) -> None:
    batch = bench.batch(bench.letter("a@x"))
    (job,) = batch.written
    bench.transport.forget("a@x")
    assert os.fstat(job[0]).st_ino == (bench.base / "m/a/tmp").stat().st_ino
    bench.transport.batch(bench.bodies)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(job[0])


def test_open_mailboxes_are_bounded(bench: Bench) -> None:
    bench.transport._most = 3
    people = [f"u{n}@x" for n in range(10)]
    bench.batch(bench.letter(*people[:3]))
    before = len(os.listdir("/proc/self/fd"))
    batch = bench.batch(bench.letter(*people))
    assert batch.unfinished
    assert len(batch.written) == 6, "three that were open, and three more"
    for _ in range(5):
        batch = bench.batch(bench.letter(*people))
        assert len(batch.written) == 6
    assert len(os.listdir("/proc/self/fd")) <= before + 2 * 3
    assert "cannot be written" not in bench.events()


def test_a_lack_of_files_is_not_the_mailbox_s_fault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "open_maildir", none)
    batch = bench.batch(bench.letter("a@x"))
    assert (batch.unfinished, batch.missing) == (True, {0: [(0, 0)]})
    monkeypatch.undo()
    assert not bench.batch(bench.letter("a@x")).missing


def test_the_kernel_says_its_number() -> None:
    assert kernel_release() >= (2, 6)


def counted(bench: Bench, user: str) -> str:
    """What the mailbox's ``maildirsize`` says."""
    return (bench.base / "m" / user / "maildirsize").read_text()


def test_mailboxes_that_keep_count_are_told_what_came(bench: Bench) -> None:
    for user in ("a", "c"):
        (bench.base / "m" / user).mkdir(parents=True)
        (bench.base / "m" / user / "maildirsize").write_text("500S\n0 0\n")
    batch = bench.batch(bench.letter("a@x", "b@x", "a@x", "c@x", pending=[0, 1, 2]))
    assert counted(bench, "a") == "500S\n0 0\n"
    batch.rename()
    assert counted(bench, "a") == f"500S\n0 0\n{2 * len(VALUE[4:])} 2\n"
    assert counted(bench, "c") == "500S\n0 0\n"
    assert not (bench.base / "m/b/maildirsize").exists()


def test_what_was_not_moved_is_not_counted(bench: Bench) -> None:
    (bench.base / "m" / "a").mkdir(parents=True)
    (bench.base / "m" / "a" / "maildirsize").write_text("500S\n0 0\n")
    batch = bench.batch(bench.letter("a@x", "b@x"))
    for file in (bench.base / "m/a/tmp").iterdir():
        file.unlink()
    batch.rename()
    assert len(bench.files("b")) == 1
    assert counted(bench, "a") == "500S\n0 0\n"
