"""A process that dies at every step between 250 and the mailbox, and what the next one makes of it."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from fastsmtp.mailbox import maildirsize
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.queue.redo import Redo
from fastsmtp.spool.base import SpoolFailed
from tests.fakes.post_office import SMALL, LeapingClock, PostOffice, until

STEPS = [
    "writer-woken", "commit-begin", "commit-end", "move-begin", "move-end",
    "body-written", "body-synced", "body-linked", "body-durable",
    "written", "synced", "intended", "renamed", "durable",
]  # fmt: skip
GOES_ROUND = msgspec.structs.replace(SMALL, journal=1 << 20)
PEOPLE = ("a@x", "b@x", "c@y")


def dies_at(step: str, times: int) -> Callable[[str], None]:
    count = 0

    def fault(name: str) -> None:
        nonlocal count
        if name == step:
            count += 1
            if count == times:
                os._exit(42)

    return fault


def child(base: Path, step: str, times: int, out: int, mailboxes: MailboxSettings | None) -> None:
    """Take mail, deliver, tell what was answered, die."""
    office = PostOffice(base, settings=GOES_ROUND, fault=dies_at(step, times), mailboxes=mailboxes).open()
    if not step.startswith("move"):  # what is delivered soon is never moved
        office.deliver()
    told: set[str] = set()
    for n in range(100_000):
        office.submit(b"line\r\n" * (n % 7 * 800 + 1), *PEOPLE[: n % 3 + 1], large=n % 5 == 4)
        if n % 8 == 7:
            until(lambda n=n: len(office.answers) == n + 1, each=lambda: office.turn(0.01))
        answered = [i for i, error in office.answers.items() if error is None and i not in told]
        told.update(answered)
        os.write(out, "".join(f"{i}\n" for i in answered).encode())


def run_and_die(base: Path, step: str, times: int, mailboxes: MailboxSettings | None = None) -> set[str]:
    """The ids that were answered before the end."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            child(base, step, times, write, mailboxes)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    return {line for line in told.splitlines() if len(line) == 13}


def check(base: Path, told: set[str], mailboxes: MailboxSettings | None = None) -> None:
    """The next process delivers it all, once, and leaves nothing."""
    office = PostOffice(base, settings=GOES_ROUND, mailboxes=mailboxes).open().deliver()
    office.settled()
    until(lambda: office.runner._moved is None)
    office.close()
    copies: dict[str, list[str]] = {}
    for mailbox in PEOPLE:
        assert office.files(mailbox, "tmp") == []
        for file in office.files(mailbox):
            copies.setdefault(file.name.split(".")[1], []).append(mailbox)
            assert file.name.endswith(f",S={file.stat().st_size}")
            assert file.read_bytes().startswith(b"Return-Path")
    assert all(len(boxes) == 1 for boxes in copies.values())
    found = {name[:-2] for name in copies}
    assert told <= found
    by_id: dict[str, int] = {}
    for name in copies:
        by_id[name[:-2]] = max(by_id.get(name[:-2], 0), int(name[-1]) + 1)
    assert len(copies) == sum(by_id.values()), "each recipient of a message has it"


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("step", STEPS)
def test_death_at_each_step(tmp_path: Path, step: str, times: int) -> None:
    told = run_and_die(tmp_path, step, times)
    check(tmp_path, told)


def test_death_upon_death(tmp_path: Path) -> None:
    told: set[str] = set()
    for step in ("intended", "renamed", "synced", "intended", "commit-end", "durable"):
        told |= run_and_die(tmp_path, step, 2)
    check(tmp_path, told)


@pytest.mark.parametrize("mailboxes", [MailboxSettings(line_ending="lf"), MailboxSettings(share_files=True)])
def test_death_with_other_forms_of_files(tmp_path: Path, mailboxes: MailboxSettings) -> None:
    told = run_and_die(tmp_path, "intended", 3, mailboxes)
    told |= run_and_die(tmp_path, "renamed", 3, mailboxes)
    check(tmp_path, told, mailboxes)


@pytest.mark.parametrize(
    ("step", "times"), [("written", 1), ("synced", 1), ("intended", 3), ("renamed", 3), ("durable", 3)]
)
def test_what_mailboxes_count_is_right_after_a_death(tmp_path: Path, step: str, times: int) -> None:
    """It says what is there, or it is gone and whoever wants to know counts."""
    boxes = [tmp_path / "mail" / domain / user for user, domain in (name.split("@") for name in PEOPLE)]
    for box in boxes:
        box.mkdir(parents=True)
        (box / "maildirsize").write_text("1S\n0 0\n")
    check(tmp_path, run_and_die(tmp_path, step, times))
    kept = 0
    for box in boxes:
        sizes = [file.stat().st_size for file in (box / "new").iterdir()]
        folder = os.open(box, os.O_RDONLY)
        usage = maildirsize.read(folder)
        os.close(folder)
        if usage is not None:
            kept += 1
            assert (usage.size, usage.messages) == (sum(sizes), len(sizes))
    assert kept or times > 1, "of what was never moved nothing is in doubt"


def test_a_reader_may_take_mail_before_the_next_start(tmp_path: Path) -> None:
    run_and_die(tmp_path, "renamed", 2)
    office = PostOffice(tmp_path)
    taken = [file for mailbox in PEOPLE for file in office.files(mailbox)]
    assert taken
    for file in taken:
        file.unlink()
    office.open().deliver()
    office.settled()
    office.close()
    again = {file.name for mailbox in PEOPLE for file in office.files(mailbox)}
    assert not again & {file.name for file in taken}


def nothing(base: Path) -> None:
    """Nobody meddles."""


def intended(
    base: Path,
    meddle: Callable[[Path], None] = nothing,
    mails: Sequence[tuple[str, ...]] = (("a@x", "b@x"),),
    step: str = "intended",
) -> PostOffice:
    """An office in which ``mails`` are intended, and its process dead after ``meddle``."""

    def fault(name: str) -> None:
        if name == step:
            meddle(base)
            os._exit(0)

    pid = os.fork()
    if not pid:
        office = PostOffice(base, fault=fault).open()
        office.accepted(*[office.submit(b"x", *people) for people in mails])
        office.deliver()
        time.sleep(30)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return PostOffice(base)


def test_a_young_intent_without_its_file_was_delivered(tmp_path: Path) -> None:
    office = intended(tmp_path)
    office.files("a@x", "tmp")[0].unlink()
    office.open().deliver()
    office.settled()
    assert office.files("a@x") == []
    assert len(office.files("b@x")) == 1
    office.close()


@pytest.mark.parametrize("read", [False, True])
def test_an_old_intent_without_its_file_is_delivered_again(tmp_path: Path, read: bool) -> None:
    office = intended(tmp_path)
    clock = LeapingClock()
    clock.pass_by(40 * 3600)
    (file,) = office.files("a@x", "tmp")
    if read:
        file.rename(file.parent.parent / "cur" / f"{file.name}:2,S")
    else:
        file.unlink()
    office = PostOffice(tmp_path, clock=clock).open().deliver()
    office.settled()
    assert len(office.files("a@x")) == (0 if read else 1)
    assert len(office.files("b@x")) == 1
    office.close()


def test_a_mailbox_that_is_gone_gets_its_mail_again(tmp_path: Path) -> None:
    office = intended(tmp_path)
    (tmp_path / "mail/x/a").rename(tmp_path / "away")
    office.open().deliver()
    office.settled()
    assert len(office.files("a@x")) == len(office.files("b@x")) == 1
    office.close()


def test_a_mailbox_that_cannot_be_looked_into_blocks_only_its_own(tmp_path: Path) -> None:
    intended(tmp_path)
    tmp = tmp_path / "mail/x/a/tmp"
    tmp.rename(tmp_path / "real")
    tmp.write_text("no directory")
    clock = LeapingClock()
    office = PostOffice(tmp_path, clock=clock).open().deliver()
    other = office.submit(b"y", "c@y")
    office.accepted(other)
    until(lambda: len(office.files("c@y")) == 1)
    assert office.left()["intent"] >= 1
    tmp.unlink()
    (tmp_path / "real").rename(tmp)
    until(lambda: office.runner._scan_at is not None)
    clock.pass_by(61)
    office.outbox_wake()
    office.settled()
    assert len(office.files("a@x")) == len(office.files("b@x")) == 1
    office.close()


def made_anew(base: Path) -> None:
    """The mailbox of a@x is renamed, and another one stands in its place."""
    home = base / "mail/x/a"
    home.rename(base / "old")
    for folder in ("tmp", "new", "cur"):
        (home / folder).mkdir(parents=True)


def other_tmp(base: Path) -> None:
    """Only tmp/ of a@x is another one."""
    tmp = base / "mail/x/a/tmp"
    tmp.rename(base / "old-tmp")
    tmp.mkdir()


@pytest.mark.parametrize("meddle", [made_anew, other_tmp])
def test_a_mailbox_made_anew_gets_its_mail_again(tmp_path: Path, meddle: Callable[[Path], None]) -> None:
    office = intended(tmp_path, meddle).open().deliver()
    office.settled()
    assert len(office.files("a@x")) == len(office.files("b@x")) == 1
    assert office.files("a@x", "tmp") == []
    office.close()


@pytest.mark.parametrize("folder", ["new", "cur"])
def test_what_stands_in_a_mailbox_with_another_tmp_is_not_delivered_again(
    tmp_path: Path, folder: str
) -> None:
    def meddle(base: Path) -> None:
        other_tmp(base)
        (file,) = (base / "mail/x/a/new").iterdir()
        file.rename(base / "mail/x/a" / folder / (file.name + (":2,S" if folder == "cur" else "")))

    office = intended(tmp_path, meddle, step="renamed").open().deliver()
    office.settled()
    assert len(office.files("a@x")) + len(office.files("a@x", "cur")) == 1
    assert len(office.files("b@x")) == 1
    office.close()


def test_one_broken_mailbox_does_not_block_the_others_of_its_intent(tmp_path: Path) -> None:
    people = [f"u{n}@x" for n in range(20)]
    broken = tmp_path / "mail/x/u7/tmp"

    def meddle(base: Path) -> None:
        broken.rename(base / "real")
        broken.write_text("no directory")

    intended(tmp_path, meddle, [(person,) for person in people])
    clock = LeapingClock()
    office = PostOffice(tmp_path, clock=clock).open().deliver()
    until(lambda: sum(len(office.files(person)) for person in people) == 19)
    for _ in range(2):
        until(lambda: (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
        clock.pass_by(61)
        office.outbox_wake()
    until(lambda: (office.runner._scan_at or 0.0) > clock.monotonic() + 50)
    assert office.left()["intent"] >= 1
    assert sum(str(broken.parent) in line for line in office.lines()) == 1
    broken.unlink()
    (tmp_path / "real").rename(broken)
    clock.pass_by(61)
    office.outbox_wake()
    office.settled()
    assert [len(office.files(person)) for person in people] == [1] * 20
    office.close()


def test_units_without_the_broken_mailbox_are_settled(tmp_path: Path) -> None:
    def meddle(base: Path) -> None:
        tmp = base / "mail/x/a/tmp"
        tmp.rename(base / "real")
        tmp.write_text("no directory")

    def mails(base: Path) -> PostOffice:
        office = PostOffice(base, fault=dies).open()
        for person in ("a@x", "b@x"):
            office.accepted(office.submit(b"x", person))
        return office

    def dies(step: str) -> None:
        if step == "intended":
            meddle(tmp_path)
            os._exit(0)

    pid = os.fork()
    if not pid:
        mails(tmp_path).deliver()
        time.sleep(30)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    office = PostOffice(tmp_path).open().deliver()
    until(lambda: {**office.left(), "meta": 0} == {"pack": 1, "intent": 1, "meta": 0})
    assert len(office.files("b@x")) == 1
    office.close()
    office = PostOffice(tmp_path).open().deliver()
    until(lambda: office.runner._redo.blocked)
    assert len(office.files("b@x")) == 1
    office.close()


def test_storage_that_fails_while_intents_are_finished_does_not_forget_them(tmp_path: Path) -> None:
    office = intended(tmp_path).open()
    redo = Redo(office.spool.outbox, office.log, office.clock)
    redo._left = dict(office.spool.outbox.intents())
    (intent,) = redo._left.values()
    office.spool.outbox.settle = refuses  # type: ignore[method-assign]
    with pytest.raises(SpoolFailed):
        redo.again()
    assert redo.blocked == {unit.key for unit in intent.units}
    del office.spool.outbox.settle
    redo.again()
    assert redo.blocked == set()
    office.settled()
    office.close()


def refuses(*args: object, **options: object) -> None:
    """Storage fails."""
    raise SpoolFailed("odd")
