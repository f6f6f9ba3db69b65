"""The spool's intake side: the promise behind 250, and what storage trouble does to it."""

import os
import threading
from pathlib import Path

import lmdb
import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.base import SpoolError, SpoolFailed, SpoolFull
from fastsmtp.spool.record import Intent, IntentUnit, Letter, read_pack
from fastsmtp.spool.settings import SpoolSettings
from fastsmtp.spool.tables import PACK
from fastsmtp.store import Store, StoreError
from tests.fakes.post_office import PREFIX, LeapingClock, PostOffice, until


def stored(office: PostOffice) -> dict[str, bytes]:
    """By id: what the packs hold."""
    found = {}
    with office.spool._tables.page(PACK) as (packs, _):
        for _, value in packs:
            for letter in read_pack(value):
                assert isinstance(letter, Letter)
                if letter.filed:
                    content = (office.base / "spool/body" / letter.envelope.id).read_bytes()
                else:
                    content = bytes(value[letter.offset : letter.offset + letter.length])
                found[letter.envelope.id] = content
    return found


def test_what_is_answered_is_there_after_opening_again(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    ids = [office.submit(b"body %d\r\n" % n, "a@b") for n in range(300)]
    large = office.submit(b"0123456789abcdef" * 50_000, "a@b", large=True)
    office.accepted(*ids, large)
    office.close()
    office = PostOffice(tmp_path).open()
    found = stored(office)
    assert [found[i] for i in ids] == [PREFIX + b"body %d\r\n" % n for n in range(300)]
    assert found[large] == PREFIX + b"0123456789abcdef" * 50_000
    assert len(found) == 301
    office.close()


@pytest.mark.parametrize("durability", ["relaxed", "none"])
def test_other_durabilities_keep_it_too(tmp_path: Path, durability: str) -> None:
    office = PostOffice(tmp_path, durability=durability).open()
    office.accepted(office.submit(b"x", "a@b"))
    office.close()
    office = PostOffice(tmp_path).open()
    assert len(stored(office)) == 1
    office.close()


def test_one_commit_takes_what_queued_meanwhile(tmp_path: Path) -> None:
    gate = threading.Event()
    steps: list[str] = []

    def fault(step: str) -> None:
        steps.append(step)
        if step == "writer-woken":
            gate.wait(60)

    settings = SpoolSettings(map_size=64 << 20, reserve=1 << 20, pack_messages=60)
    office = PostOffice(tmp_path, fault=fault, settings=settings).open()
    ids = [office.submit(b"x", "a@b") for _ in range(120)]
    gate.set()
    office.accepted(*ids)
    assert steps.count("commit-end") == 2
    assert office.left()["pack"] == 2
    office.close()


def test_an_aborted_body_leaves_nothing(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    body = office.spool.open_body("ABORTED", PREFIX)
    for _ in range(100):
        body.write(b"x" * 10_000)
    body.abort()
    until(lambda: office.spool._bodies.waiting_bytes == 0)
    office.close()
    assert os.listdir(tmp_path / "spool/body") == []


def test_bodies_without_a_record_are_removed_at_the_start(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    kept = office.submit(b"x" * 100_000, "a@b", large=True)
    office.accepted(kept)
    office.close()
    (tmp_path / "spool/body/0123456789ABC").write_bytes(b"x")
    office = PostOffice(tmp_path).open()
    assert os.listdir(tmp_path / "spool/body") == [kept]
    assert "removed 1 body file" in office.lines()[-1]
    office.close()


def test_a_spool_in_use_is_refused_by_name(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    with pytest.raises(SpoolError, match="another process has it"):
        PostOffice(tmp_path).open()
    office.close()


def test_a_full_map_refuses_and_recovers(tmp_path: Path) -> None:
    settings = SpoolSettings(map_size=16 << 20, reserve=2 << 20, ahead=1 << 20)
    office = PostOffice(tmp_path, settings=settings).open()
    ids = []
    for _ in range(2000):
        ids.append(office.submit(b"x" * 30_000, "a@b.c"))
        if len(ids) % 20 == 0:
            until(lambda: len(office.answers) == len(ids), each=lambda: office.turn(0.01))
            if office.spool.unhealthy():
                break
    assert isinstance(office.spool.unhealthy(), SpoolFull)
    large = office.submit(b"x" * 100_000, "a@b.c", large=True)
    until(lambda: large in office.answers, each=lambda: office.turn(0.01))
    assert isinstance(office.answers[large], SpoolFull)
    until(lambda: not os.listdir(tmp_path / "spool/body"))
    good = [i for i in ids if office.answers[i] is None]
    assert all(isinstance(office.answers[i], SpoolFull) for i in ids if i not in good)
    assert len(good) > 200
    # Removals fit into the reserve, and then there is room again.
    office.deliver()
    office.settled()
    until(lambda: office.spool.unhealthy() is None)
    office.accepted(office.submit(b"again", "a@b.c"))
    office.settled()
    assert len(office.files("a@b.c")) == len(good) + 1
    assert sum("no room" in line for line in office.lines()) == 1
    assert any("well again" in line for line in office.lines())
    office.close()


def test_in_a_full_map_there_is_room_to_keep_what_one_mailbox_does_not_take(tmp_path: Path) -> None:
    settings = SpoolSettings(map_size=16 << 20, reserve=4 << 20, ahead=1 << 20)
    clock = LeapingClock()
    office = PostOffice(tmp_path, settings=settings, clock=clock).open()
    (tmp_path / "mail/x").mkdir(parents=True)
    (tmp_path / "mail/x/bad").write_text("in the way")
    ids: list[str] = []
    while office.spool.unhealthy() is None:
        ids.extend(office.submit(b"x" * 20_000, "good@x", "bad@x") for _ in range(10))
        until(lambda: len(office.answers) == len(ids), each=lambda: office.turn(0.01))
    good = [i for i in ids if office.answers[i] is None]
    office.deliver()
    until(lambda: set(office.left()) == {"mail"})
    assert office.left()["mail"] == len(good) == len(office.files("good@x"))
    (tmp_path / "mail/x/bad").unlink()
    clock.pass_by(61)
    office.outbox_wake()
    office.settled()
    assert len(office.files("bad@x")) == len(good)
    office.close()


@pytest.mark.parametrize("large", [False, True])
def test_a_failed_commit_is_answered_and_undone(tmp_path: Path, large: bool) -> None:
    fail = [True]
    looked = threading.Event()

    def fault(step: str) -> None:
        if step == "commit-end" and fail[0]:
            fail[0] = False
            raise OSError(5, "Input/output error")
        if step == "commit-end":  # the try that ends the trouble
            looked.wait(60)

    office = PostOffice(tmp_path, fault=fault).open()
    lost = office.submit(b"lost" * 5000, "a@b", large=large)
    until(lambda: lost in office.answers, each=lambda: office.turn(0.01))
    assert isinstance(office.answers[lost], SpoolFailed)
    assert isinstance(office.spool.unhealthy(), SpoolFailed)
    looked.set()
    until(lambda: office.spool.unhealthy() is None)
    until(lambda: not os.listdir(tmp_path / "spool/body"))
    office.accepted(office.submit(b"kept", "a@b"))
    assert list(stored(office).values()) == [PREFIX + b"kept"]
    office.close()


def test_a_body_that_cannot_be_written_is_answered(tmp_path: Path) -> None:
    def fault(step: str) -> None:
        if step == "body-synced":
            raise OSError(28, "No space left on device")

    office = PostOffice(tmp_path, fault=fault).open()
    lost = office.submit(b"x" * 100_000, "a@b", large=True)
    until(lambda: lost in office.answers, each=lambda: office.turn(0.01))
    assert isinstance(office.answers[lost], SpoolFull)
    assert os.listdir(tmp_path / "spool/body") == []
    office.close()


def test_an_environment_that_cannot_be_opened_again_is_tried_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: set[str] = set()

    def fault(step: str) -> None:
        if step in broken:
            broken.remove(step)
            raise OSError(5, "Input/output error")

    office = PostOffice(tmp_path, fault=fault).open()
    office.accepted(office.submit(b"one", "a@b"))
    real = Store._open_env
    tries: list[int] = []

    def open_env(store: Store) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StoreError("not now")
        real(store)

    monkeypatch.setattr(Store, "_open_env", open_env)
    broken |= {"commit-end", "move-end"}
    office.submit(b"lost", "a@b")
    until(lambda: len(tries) == 3, each=lambda: office.turn(0.01))
    until(lambda: office.spool.unhealthy() is None)
    office.accepted(office.submit(b"two", "a@b"))
    assert list(stored(office).values()) == [PREFIX + b"one", PREFIX + b"two"]
    assert sum("not now" in line for line in office.lines()) == 1
    office.close()


def test_a_key_that_an_intent_names_is_not_used_again(tmp_path: Path) -> None:
    """Of a settle in parts a crash may leave the intent and none of its packs."""
    office = PostOffice(tmp_path).open()
    outbox = office.spool.outbox
    for _ in range(5):
        office.accepted(office.submit(b"old", "a@b"))
    office.spool.attach()
    scan = outbox.scan()
    units = outbox.next(scan, 1000)
    assert len(units) == 5
    path = str(tmp_path / "mail") + "/{domain}/{user}"
    outbox.intend(
        Intent(office.clock.now(), "mx.example.org", path, False, [IntentUnit(u.key, []) for u in units])
    )
    outbox.settle(None, [(unit, {}) for unit in units])
    outbox.change(lambda changes: None)
    office.close()
    (tmp_path / "mail/b/a/tmp").mkdir(parents=True)
    (tmp_path / "mail/b/a/new").mkdir()
    (tmp_path / "mail/b/a/cur").mkdir()
    office = PostOffice(tmp_path).open()
    office.accepted(*[office.submit(b"new", "a@b") for _ in range(3)])
    office.deliver()
    office.settled()
    assert len(office.files("a@b")) == 3
    office.close()


def test_a_message_that_cannot_be_encoded_is_refused_alone(tmp_path: Path) -> None:
    gate = threading.Event()
    office = PostOffice(tmp_path, fault=lambda step: step == "writer-woken" and gate.wait(60)).open()
    ids = [office.submit(b"x", "a@b" if n != 3 else "\ud800@b") for n in range(8)]
    gate.set()
    until(lambda: len(office.answers) == 8, each=lambda: office.turn(0.01))
    assert [n for n, i in enumerate(ids) if office.answers[i] is not None] == [3]
    assert isinstance(office.answers[ids[3]], SpoolFailed)
    assert office.spool.unhealthy() is None, "the others may go on"
    assert len(stored(office)) == 7
    assert any("writer.py:" in line or "record.py:" in line for line in office.lines())
    office.close()


@pytest.mark.parametrize("step", ["writer-woken", "commit-begin"])
def test_the_writer_outlives_what_nobody_expected(tmp_path: Path, step: str) -> None:
    wrong = [True]

    def fault(name: str) -> None:
        if name == step and wrong[0]:
            wrong[0] = False
            raise ValueError("odd")

    office = PostOffice(tmp_path, fault=fault).open()
    first = office.submit(b"x", "a@b")
    until(lambda: first in office.answers, each=lambda: office.turn(0.01))
    until(lambda: office.spool.unhealthy() is None)
    office.accepted(office.submit(b"y", "a@b"))
    assert any("test_spool_lmdb.py:" in line and "odd" in line for line in office.lines())
    office.close()


def test_a_fault_behind_the_commit_answers_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = PostOffice(tmp_path).open()
    note = office.spool._writer._committed
    answers: list[object] = []

    def broken(key: bytes, letters: list[Letter]) -> None:
        monkeypatch.setattr(office.spool._writer, "_committed", note)
        raise ValueError("odd")

    monkeypatch.setattr(office.spool._writer, "_committed", broken)
    queue_id = office.spool.new_id()
    envelope = Envelope(queue_id, "", [Recipient("a@b", "a@b")], "192.0.2.1", "x", "ESMTP", 0.0)
    office.spool.submit(envelope, PREFIX, b"x", answers.append)
    until(lambda: answers, each=lambda: office.turn(0.01))
    office.accepted(office.submit(b"y", "a@b"))
    assert answers == [None]
    office.close()


def test_a_stop_ends_though_nothing_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = PostOffice(tmp_path).open()
    monkeypatch.setattr(office.spool._writer, "_take", lambda: 1 / 0)
    lost = office.submit(b"x", "a@b")
    office.close()
    assert isinstance(office.answers[lost], SpoolFailed)


def test_relaxed_syncs_once_after_mail_and_not_when_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LeapingClock()
    office = PostOffice(tmp_path, durability="relaxed", clock=clock).open()
    writer = office.spool._writer
    office.accepted(office.submit(b"x", "a@b"))
    clock.pass_by(2)
    writer.wake()
    until(lambda: not writer._unsynced_since)
    syncs: list[int] = []
    monkeypatch.setattr(office.spool._journal, "sync", lambda: syncs.append(1))
    office.accepted(office.submit(b"x", "a@b"))
    clock.pass_by(2)
    writer.wake()
    until(lambda: syncs)
    until(lambda: not writer._unsynced_since)
    assert len(syncs) == 1
    office.accepted(office.submit(b"x", "a@b"))
    office.close()
    assert len(syncs) == 2, "what a stop leaves is synced too"


def test_what_is_damaged_inside_is_told_once(tmp_path: Path) -> None:
    clock = LeapingClock()

    def fault(step: str) -> None:
        if step == "commit-begin":
            raise lmdb.CorruptedError("mdb_put: MDB_CORRUPTED: Located page was wrong type")

    office = PostOffice(tmp_path, fault=fault, clock=clock).open()
    for _ in range(4):
        lost = office.submit(b"x", "a@b")
        until(lambda lost=lost: lost in office.answers, each=lambda: office.turn(0.01))
        assert isinstance(office.answers[lost], SpoolFailed)  # the trouble itself may have passed by now
        clock.pass_by(6)
        office.spool._writer.wake()
        until(lambda: office.spool.unhealthy() is None)
    assert sum("MDB_CORRUPTED" in line for line in office.lines()) == 1
    office.close()


def test_bodies_of_a_database_that_is_gone_are_kept_for_a_person(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    kept = [office.submit(b"x" * 100_000, "a@b", large=True) for _ in range(3)]
    office.accepted(*kept)
    office.close()
    for name in ("data.mdb", "lock.mdb", "journal"):
        (tmp_path / "spool" / name).unlink()
    office = PostOffice(tmp_path).open()
    assert os.listdir(tmp_path / "spool/body") == []
    assert {file.name for file in (tmp_path / "spool/corrupt").iterdir()} == {f"{i}.eml" for i in kept}
    assert (tmp_path / "spool/corrupt" / f"{kept[0]}.eml").read_bytes() == PREFIX + b"x" * 100_000
    assert sum("3 body file(s)" in line and "corrupt" in line for line in office.lines()) == 1
    office.close()


def test_mail_the_journal_has_survives_the_database(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    kept = [office.submit(b"x" * 100_000, "a@b", large=True) for _ in range(2)]
    kept.append(office.submit(b"small", "a@b"))
    office.accepted(*kept)
    office.close()
    for name in ("data.mdb", "lock.mdb"):
        (tmp_path / "spool" / name).unlink()
    stray = "0123456789abc"
    (tmp_path / "spool/body" / stray).write_bytes(b"of a record that stood in the database alone")
    office = PostOffice(tmp_path).open()
    assert set(os.listdir(tmp_path / "spool/body")) == set(kept[:2])
    assert os.listdir(tmp_path / "spool/corrupt") == [f"{stray}.eml"]
    assert sum("what stands in the journal is kept" in line for line in office.lines()) == 1
    office.deliver()
    office.settled()
    sizes = sorted(file.stat().st_size for file in office.files("a@b"))
    assert sizes == [len(PREFIX) + n for n in (5, 100_000, 100_000)]
    office.close()


def test_what_is_no_body_does_not_hinder_the_start(tmp_path: Path) -> None:
    body = tmp_path / "spool/body"
    for name in ("lost+found", "0123456789ABD"):
        (body / name).mkdir(parents=True)
    for fresh in (True, False):
        (body / "README").write_text("not ours")
        office = PostOffice(tmp_path).open()
        assert len(os.listdir(body)) == 3
        assert office.lines() == [], fresh
        office.close()


def test_a_body_directory_made_again_serves_the_message_after_the_next(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    (tmp_path / "spool/body").rename(tmp_path / "away")
    (tmp_path / "away").rmdir()
    lost = office.submit(b"x" * 100_000, "a@b", large=True)
    until(lambda: lost in office.answers, each=lambda: office.turn(0.01))
    assert isinstance(office.answers[lost], SpoolFailed)
    kept = office.submit(b"y" * 100_000, "a@b", large=True)
    office.accepted(kept)
    assert stored(office) == {kept: PREFIX + b"y" * 100_000}
    office.close()


def test_messages_that_wait_are_counted(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    assert office.spool.messages() == 0
    office.accepted(*[office.submit(b"x", elsewhere=["a@far.test"]) for _ in range(30)])
    assert office.spool.messages() == 30
    office.accepted(office.submit(b"x", "a@b", elsewhere=["a@far.test"]))
    assert office.spool.messages() == 32, "here and elsewhere"
    office.deliver()
    until(lambda: office.spool.messages() == 31)
    office.close()
    office = PostOffice(tmp_path).open()
    assert office.spool.messages() == 31
    page = office.spool.relay.fresh(b"", 100)
    settled: list[SpoolError | None] = []
    for queue_id in page.found:
        office.spool.relay.finish(queue_id, settled.append)
    while len(settled) < 31:
        office.turn(10)
    assert office.spool.messages() == 0
    office.close()
