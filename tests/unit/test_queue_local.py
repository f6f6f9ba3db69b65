"""Local delivery: bytes, copies, links, mailboxes that fail, move or vanish, held mail, damaged mail."""

import os
import random
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.queue.local import LocalRunner
from fastsmtp.spool.record import Letter
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.spool.tables import MAIL, PACK
from tests.fakes.post_office import PREFIX, LeapingClock, PostOffice, until

Make = Callable[..., PostOffice]


@pytest.fixture
def make(tmp_path: Path) -> object:
    opened: list[PostOffice] = []

    def make(**options: object) -> PostOffice:
        opened.append(PostOffice(tmp_path, **options))  # type: ignore[arg-type]
        return opened[-1].open()

    yield make
    for office in opened:
        if office.spool._running:
            office.close()


def test_bytes_names_and_modes(make: Make) -> None:
    office = make().deliver()
    body = bytes(random.Random(1).randbytes(5000)) + b"\r\n.\r\n"
    queue_id = office.submit(body, "alice@example.org")
    office.accepted(queue_id)
    office.settled()
    (file,) = office.files("alice@example.org")
    assert file.read_bytes() == PREFIX + body
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    seconds, unique, rest = file.name.split(".", 2)
    assert (len(seconds), unique, rest) == (10, f"{queue_id}R0", f"mx.example.org,S={file.stat().st_size}")
    assert office.files("alice@example.org", "tmp") == []
    assert any(f"delivered id={queue_id} to=<alice@example.org>" in line for line in office.lines())


@pytest.mark.parametrize("syncfs", [True, False])
@pytest.mark.parametrize("large", [False, True])
def test_each_recipient_has_a_file_of_its_own(make: Make, large: bool, syncfs: bool) -> None:
    office = make(syncfs=syncfs).deliver()
    body = b"line\r\n" * 20_000
    office.accepted(office.submit(body, "a@x", "b@x", "c@y", large=large))
    office.settled()
    files = [office.files(mailbox)[0] for mailbox in ("a@x", "b@x", "c@y")]
    assert {file.read_bytes() for file in files} == {PREFIX + body}
    assert len({file.stat().st_ino for file in files}) == 3
    assert all(file.stat().st_nlink == 1 for file in files)


def test_one_large_message_for_one_is_linked(make: Make) -> None:
    office = make(hold=False)
    queue_id = office.submit(b"line\r\n" * 20_000, "a@x", large=True)
    office.accepted(queue_id)
    inode = (office.base / "spool/body" / queue_id).stat().st_ino
    office.deliver()
    office.settled()
    (file,) = office.files("a@x")
    assert file.stat().st_ino == inode
    assert file.stat().st_nlink == 1


@pytest.mark.parametrize("large", [False, True])
def test_files_are_shared_by_choice(make: Make, large: bool) -> None:
    office = make(mailboxes=MailboxSettings(share_files=True)).deliver()
    office.accepted(office.submit(b"x" * 30_000, "a@x", "b@x", "c@y", large=large))
    office.settled()
    files = [office.files(mailbox)[0] for mailbox in ("a@x", "b@x", "c@y")]
    assert len({file.stat().st_ino for file in files}) == 1
    assert files[0].read_bytes() == PREFIX + b"x" * 30_000


@pytest.mark.parametrize("large", [False, True])
def test_lf_by_choice(make: Make, large: bool) -> None:
    office = make(mailboxes=MailboxSettings(line_ending="lf")).deliver()
    body = b"one\r\ntwo\rthree\r\n\r\n" * 5000
    office.accepted(office.submit(body, "a@x", large=large))
    office.settled()
    (file,) = office.files("a@x")
    assert file.read_bytes() == (PREFIX + body).replace(b"\r\n", b"\n")
    assert file.name.endswith(f",S={file.stat().st_size}")


@pytest.mark.parametrize("user", ["../../etc", "a/b", ".", "new\nline", "%2E", "ü" * 150, "x" * 400, "-rf *"])
def test_hostile_local_parts_stay_inside(make: Make, user: str) -> None:
    office = make().deliver()
    office.accepted(office.submit(b"x", f"{user}@x"))
    office.settled()
    (home,) = (office.base / "mail/x").iterdir()
    assert len(list((home / "new").iterdir())) == 1
    assert sorted(os.listdir(office.base)) == ["log", "mail", "spool"]


def test_a_mailbox_that_cannot_be_written_keeps_its_mail(make: Make) -> None:
    clock = LeapingClock()
    office = make(clock=clock)
    (office.base / "mail/x").mkdir(parents=True)
    (office.base / "mail/x/bad").write_text("a file in the way")
    office.deliver()
    ids = [office.submit(b"x", "good@x", "bad@x") for _ in range(20)]
    only_bad = office.submit(b"y", "bad@x")
    office.accepted(*ids, only_bad)
    until(lambda: len(office.files("good@x")) == 20)
    until(lambda: office.left().get("mail", 0) >= 20 and "intent" not in office.left())
    assert sum("cannot be written" in line for line in office.lines()) == 1
    clock.pass_by(61)
    office.outbox_wake()
    until(lambda: (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
    assert office.left()["mail"] >= 20
    assert sum("cannot be written" in line for line in office.lines()) == 1
    (office.base / "mail/x/bad").unlink()
    clock.pass_by(61)
    office.outbox_wake()
    until(lambda: len(office.files("bad@x")) == 21)
    office.settled()
    assert len(office.files("good@x")) == 20
    assert any("can be written again" in line for line in office.lines())


def test_mailboxes_are_renamed_and_removed_at_any_time(make: Make) -> None:
    office = make().deliver()
    home = office.base / "mail/x/u"
    stop = threading.Event()
    moved: list[Path] = []

    def meddle() -> None:
        while not stop.is_set():
            target = office.base / f"old-{len(moved)}"
            try:
                home.rename(target)
                moved.append(target)
            except OSError:
                pass
            stop.wait(0.01)

    thread = threading.Thread(target=meddle, daemon=True)
    thread.start()
    ids: list[str] = []
    while len(moved) < 3:
        ids.append(office.submit(b"x", "u@x"))
        office.accepted(ids[-1])
        until(lambda: office.runner.backlog()[0] < 20)
    stop.set()
    thread.join()
    office.settled()
    found = [p.name.split(".")[1][:-2] for base in [*moved, home] for p in base.glob("new/*")]
    assert sorted(found) == sorted(ids)


def test_a_mailbox_removed_between_two_mails_is_made_again(make: Make) -> None:
    office = make().deliver()
    for _ in range(3):
        office.accepted(office.submit(b"x", "u@x"))
        office.settled()
        assert len(office.files("u@x")) == 1
        shutil.rmtree(office.base / "mail/x/u")


def test_a_file_that_vanishes_from_tmp_is_written_anew(make: Make) -> None:
    office: PostOffice

    def fault(step: str) -> None:
        if step == "intended" and not taken:
            for file in office.files("u@x", "tmp"):
                file.unlink()
                taken.append(file)

    taken: list[Path] = []
    office = make(fault=fault).deliver()
    office.accepted(office.submit(b"x", "u@x", "v@x"))
    office.settled()
    assert len(taken) == 1
    assert len(office.files("u@x")) == len(office.files("v@x")) == 1


def test_a_failed_sync_writes_the_batch_under_fresh_inodes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make()
    real = office.mailboxes.sync
    opened: list[int] = []

    def sync(batch: object, renamed: object = None) -> bool:
        opened.extend(os.open(file, os.O_RDONLY) for file in office.files("u@x", "tmp"))
        return real(batch, renamed) and len(opened) > 1  # type: ignore[arg-type]

    monkeypatch.setattr(office.mailboxes, "sync", sync)
    office.deliver()
    office.accepted(office.submit(b"x", "u@x"))
    office.settled()
    assert len(office.files("u@x")) == 1
    numbers = {os.fstat(fd).st_ino for fd in opened}  # as they are open, none comes back
    for fd in opened:
        os.close(fd)
    assert len(numbers) == len(opened) == 2


def test_held_mail_waits_for_a_start_without_hold(make: Make) -> None:
    office = make(hold=True).deliver()
    ids = [office.submit(b"x", "u@x") for _ in range(1000)]
    office.accepted(*ids)
    assert office.runner.backlog() == (0, 0.0)
    assert not office.spool.outbox.held_back()
    office.close()
    assert office.files("u@x") == []
    office = make().deliver()
    office.settled()
    assert len(office.files("u@x")) == 1000


def test_mail_of_an_earlier_run_is_delivered_once(make: Make) -> None:
    office = make()
    ids = [office.submit(b"x", "u@x", large=n % 3 == 0) for n in range(500)]
    office.accepted(*ids)
    office.close()
    office = make().deliver()
    more = [office.submit(b"y", "u@x") for _ in range(500)]
    office.accepted(*more)
    office.settled()
    assert sorted(p.name.split(".")[1][:-2] for p in office.files("u@x")) == sorted(ids + more)


def test_a_damaged_record_is_set_aside_and_the_rest_goes_on(make: Make) -> None:
    gate = threading.Event()
    office = make(fault=lambda step: gate.wait(60) and None)
    ids = [office.submit(b"body %d" % n, "u@x") for n in range(10)]
    gate.set()
    office.accepted(*ids)
    with office.spool._tables.page(PACK) as (found, _):
        packs = {key: bytes(value) for key, value in found}
    office.spool.outbox.change(
        lambda changes: [
            changes.put(PACK, key, value.replace(b"body 4", b"bOdy 4")) for key, value in packs.items()
        ]
    )
    office.deliver()
    office.settled()
    assert len(office.files("u@x")) == 9
    (aside,) = (office.base / "spool/corrupt").glob("*.eml")
    assert b"bOdy 4" in aside.read_bytes()
    assert b"checksum" in aside.with_suffix(".json").read_bytes()
    assert any("set aside" in line for line in office.lines())


def test_a_unit_that_is_damaged_altogether_does_not_come_back(make: Make) -> None:
    office = make()
    office.accepted(office.submit(b"x", "u@x"))
    office.spool.outbox.change(lambda changes: changes.put(MAIL, b"0" * 13, b"no single"))
    office.spool.outbox.change(lambda changes: changes.put(PACK, (1).to_bytes(8, "big"), b"no pack"))
    office.deliver()
    office.settled()
    assert len(list((office.base / "spool/corrupt").glob("*.eml"))) == 2


def test_a_missing_body_file_is_set_aside(make: Make) -> None:
    office = make()
    lost, kept = (office.submit(b"x" * 20_000, "u@x", large=True) for _ in range(2))
    office.accepted(lost, kept)
    (office.base / "spool/body" / lost).unlink()
    office.deliver()
    office.settled()
    assert len(office.files("u@x")) == 1
    assert (office.base / f"spool/corrupt/{lost}.json").exists()
    assert any(f"failed id={lost}" in line for line in office.lines())


def test_a_message_that_kills_three_workers_is_set_aside(make: Make) -> None:
    board = memoryview(bytearray(SuspectBoard.BYTES))
    office = make(hold=True)
    ids = [office.submit(b"x", "u@x", "v@x") for _ in range(3)]
    office.accepted(*ids)
    bad = ids[1]
    keys = [unit.key for unit in office.spool.outbox.next(_everything(office), 10)]
    unit = next(u for k in keys if (u := office.spool.outbox.load(k)) and bad in _ids(u.letters))
    suspect = unit.key
    office.close()
    for death in range(3):
        SuspectBoard(board).put(suspect)
        office = make(board=board, hold=True).deliver(crashed=True)
        until(lambda board=board: SuspectBoard(board).get() is None)
        assert (office.left().get("mail", 0) > 0) == (death < 2 or len(unit.letters) > 1)
        office.close()
        suspect = bad.encode()
    office = make(board=board).deliver()
    office.settled()
    assert len(office.files("u@x")) == len(office.files("v@x")) == 2
    assert (office.base / f"spool/corrupt/{bad}.eml").read_bytes() == PREFIX + b"x"
    assert any(f"failed id={bad} to=<v@x>" in line for line in office.lines())


def test_a_killed_worker_raises_no_suspicion(make: Make) -> None:
    board = memoryview(bytearray(SuspectBoard.BYTES))
    office = make()
    queue_id = office.submit(b"x", "u@x")
    office.accepted(queue_id)
    office.close()
    SuspectBoard(board).put((1).to_bytes(8, "big"))
    office = make(board=board).deliver(crashed=False)
    office.settled()
    assert not any("died" in line for line in office.lines())
    assert SuspectBoard(board).get() is None


def test_intake_waits_when_delivery_lags(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.spool.outbox.MOST_WAITING", 50)
    gate = threading.Event()

    def fault(step: str) -> None:
        if step == "written":
            gate.wait(60)

    office = make(fault=fault).deliver()
    until(lambda: office.spool.outbox._attached)  # what is stored before counts as the scan's
    first = [office.submit(b"x", "u@x") for _ in range(60)]
    office.accepted(*first)
    until(lambda: office.spool.outbox.held_back())
    late = office.submit(b"y", "u@x")
    office.turn(0.05)
    assert late not in office.answers
    assert office.spool.unhealthy() is None
    office.spool.outbox.change(lambda changes: None)  # other changes go on
    assert late not in office.answers
    gate.set()
    office.accepted(late)
    office.settled()


def test_more_mailboxes_than_can_be_open(make: Make) -> None:
    office = make()
    office.mailboxes._most = 5
    ids = [office.submit(b"x", *(f"u{(n + k) % 40}@x" for k in range(15))) for n in range(20)]
    office.accepted(*ids)
    office.deliver()
    office.settled()
    names = [file.name.split(".")[1] for n in range(40) for file in office.files(f"u{n}@x")]
    assert sorted(names) == sorted(f"{i}R{k}" for i in ids for k in range(15))


@pytest.mark.parametrize("step", ["synced", "intended", "renamed"])
def test_trouble_of_ours_leaves_the_mail_for_another_try(
    make: Make, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr("fastsmtp.queue.local._PAUSE", 0.01)
    trouble = [RuntimeError("odd"), OSError(5, "odd too")]

    def fault(name: str) -> None:
        if name == step and trouble:
            raise trouble.pop()

    office = make(fault=fault).deliver()
    ids = [office.submit(b"x", "u@x") for _ in range(5)]
    office.accepted(*ids)
    office.settled()
    assert len(office.files("u@x")) == 5
    assert sum("odd" in line for line in office.lines()) == 2 - len(trouble)
    assert all("test_queue_local.py:" in line for line in office.lines() if "RuntimeError" in line)
    assert len(trouble) < 2


def test_fresh_mail_does_not_cut_the_pause_after_trouble_short(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make()
    office.spool.attach()
    office.accepted(office.submit(b"x", "u@x"))
    office.spool.outbox.change(lambda changes: None)  # it is handed over after its answer
    rests: list[float] = []
    monkeypatch.setattr(office.spool.outbox, "rest", rests.append)
    office.runner._trouble("odd")
    assert rests == [1.0]
    monkeypatch.setattr(office.mailboxes, "sync", lambda *batches: False)
    assert office.runner._write([]) is not None, "nothing is written, so nothing is synced"
    units = office.spool.outbox.take(10)
    office.runner._bodies = os.open(office.spool.outbox.bodies, os.O_RDONLY)
    assert office.runner._write(units) is None
    assert rests[1:] == [0.0, 1.0, 2.0]


def test_trouble_that_stays_is_told_once_and_tried_each_minute(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastsmtp.queue.local._PAUSE", 0.01)
    clock = LeapingClock()
    office = make(clock=clock)
    old = office.submit(b"x", "old@x")
    office.accepted(old)
    tries: list[int] = []

    def damaged(*args: object) -> None:
        tries.append(1)
        raise RuntimeError("page is damaged")

    monkeypatch.setattr(office.spool.outbox, "next", damaged)
    office.deliver()
    for count in range(3):
        until(lambda: (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
        assert len(tries) == count + 2
        office.accepted(office.submit(b"x", "fresh@x"))
        until(lambda count=count: len(office.files("fresh@x")) == count + 1)
        clock.pass_by(61)
        office.outbox_wake()
    until(lambda: (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
    assert sum("damaged" in line for line in office.lines()) == 1
    monkeypatch.undo()
    clock.pass_by(61)
    office.outbox_wake()
    office.settled()
    assert len(office.files("old@x")) == 1
    assert len(office.files("fresh@x")) == 3


@pytest.mark.parametrize("where", ["durable", "settle"])
def test_trouble_at_the_end_does_not_deliver_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    clock = LeapingClock()
    monkeypatch.setattr("fastsmtp.queue.local._PAUSE", 0.01)
    office: PostOffice
    taken: list[Path] = []

    def take(step: str) -> None:
        if step == where and not taken:
            for file in office.files("u@x"):
                file.rename(office.base / file.name)
                taken.append(file)
            raise RuntimeError("odd")

    office = make(fault=take, clock=clock)
    real = office.spool.outbox.settle

    def settle(*args: Any, **options: Any) -> None:
        take("settle")
        real(*args, **options)

    monkeypatch.setattr(office.spool.outbox, "settle", settle)
    office.deliver()
    office.accepted(office.submit(b"x", "u@x"))
    until(lambda: taken)
    until(lambda: any("odd" in line for line in office.lines()))
    until(lambda: not office.left() or (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
    clock.pass_by(61)
    office.outbox_wake()
    office.settled()
    assert office.files("u@x") == []
    assert len(taken) == 1


def test_what_could_not_be_removed_is_not_delivered_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LeapingClock()
    office = make(clock=clock)
    broken = [True]
    failures: list[int] = []
    real = office.spool.outbox._settle

    def settle(txn: Any, unit: Any, survivors: Any) -> None:
        if unit.letters[0].envelope.id == queue_id and broken:
            for file in office.files("u@x"):
                file.rename(office.base / file.name)
            failures.append(1)
            raise RuntimeError("odd")
        real(txn, unit, survivors)

    queue_id = office.submit(b"x", "u@x")
    office.accepted(queue_id)
    monkeypatch.setattr(office.spool.outbox, "_settle", settle)
    office.deliver()
    for count in range(1, 4):
        until(lambda count=count: len(failures) >= count)
        until(lambda: office.runner._redo.blocked)
        until(lambda: (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
        office.accepted(office.submit(b"y", f"v{count}@x"))
        until(lambda count=count: len(office.files(f"v{count}@x")) == 1)
        failures[count:] = []
        if count == 3:
            broken.clear()
        clock.pass_by(61)
        office.outbox_wake()
    office.settled()
    assert office.files("u@x") == []
    assert len(list(office.base.glob("*.mx.example.org*"))) == 1


def test_a_lost_letter_whose_settling_fails_is_not_forgotten(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LeapingClock()
    office = make(clock=clock)
    lost = office.submit(b"x" * 20_000, "u@x", large=True)
    office.accepted(lost)
    (office.base / "spool/body" / lost).unlink()
    real = office.mailboxes.settle
    failures: list[object] = []

    def settle(batch: Any) -> bool:
        failures.append(batch)
        return len(failures) > 1 and real(batch)

    monkeypatch.setattr(office.mailboxes, "settle", settle)
    office.deliver()
    until(lambda: failures and (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
    clock.pass_by(61)
    office.outbox_wake()
    office.settled()


def test_a_stop_does_not_wait_for_storage_that_fails(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.spool.outbox._PATIENCE", 0.05)
    broken = threading.Event()

    def fault(step: str) -> None:
        if step == "synced":
            broken.set()
        if step == "commit-begin" and broken.is_set():
            raise OSError(5, "Input/output error")

    office = make(fault=fault).deliver()
    queue_id = office.submit(b"x", "u@x")
    office.accepted(queue_id)
    assert broken.wait(60)
    office.close()
    office = make().deliver()
    office.settled()
    assert len(office.files("u@x")) == 1


def _everything(office: PostOffice) -> object:
    scan = office.spool.outbox.scan()
    scan.end = b"\xff" * 8
    return scan


def _ids(letters: list[Letter]) -> list[str]:
    return [letter.envelope.id for letter in letters]


def test_the_runner_names_its_thread(make: Make) -> None:
    office = make().deliver()
    assert isinstance(office.runner, LocalRunner)
    assert any(thread.name == "delivery" for thread in threading.enumerate())


@pytest.mark.parametrize("large", [False, True])
def test_who_asked_to_hear_of_a_delivery_is_told_while_its_headers_are_there(make: Make, large: bool) -> None:
    office = make()
    told: list[tuple[str, list[int], bytes, int]] = []
    office.runner._successes = lambda envelope, numbers, original: told.append(
        (envelope.id, numbers, original.content, original.size)
    )
    office.deliver()
    body = b"Subject: x\r\n\r\n" + b"line\r\n" * 20_000
    queue_id = office.spool.new_id()
    recipients = [
        Recipient("a@x", "a@x", {"NOTIFY": "SUCCESS,FAILURE"}),
        Recipient("b@x", "b@x", {"NOTIFY": "FAILURE"}),
        Recipient("c@x", "c@x"),
    ]
    envelope = Envelope(queue_id, "s@x", recipients, "192.0.2.1", "c", "ESMTP", office.clock.now())
    content: Any = body
    if large:
        content = office.spool.open_body(queue_id, PREFIX)
        content.write(body)
    office.spool.submit(envelope, PREFIX, content, lambda error: office.answers.__setitem__(queue_id, error))
    office.accepted(queue_id)
    office.settled()
    [(about, numbers, start, size)] = told
    assert (about, numbers, size) == (queue_id, [0], len(PREFIX + body))
    assert start == (PREFIX + body)[:65_536]
