"""Relay records: from the commit before 250 to the last recipient, and what is found of them in between."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool import relay
from fastsmtp.spool.filter import Filter
from fastsmtp.spool.record import read_envelope
from fastsmtp.spool.relay import Defer, Finish, RelayBox
from fastsmtp.spool.tables import BODY, RELAY, WAIT
from fastsmtp.spool.waiting import RcptState, Try, Waiting, encode_waiting
from tests.fakes.post_office import PostOffice, until
from tests.tools import relay_audit

START = (float("-inf"), "")


@pytest.fixture
def office(tmp_path: Path) -> PostOffice:
    return PostOffice(tmp_path).open()


def accepted(office: PostOffice, *ids: str) -> None:
    office.accepted(*ids)
    office.spool.outbox.change(lambda changes: None)  # the writer hands mail over after its answer
    office.turn()


def waits(*rcpts: RcptState, held: bool = False) -> Waiting:
    return Waiting(1.0, False, held, list(rcpts) or [RcptState(0)])


def all_fresh(box: RelayBox, limit: int = 3) -> list[str]:
    found: list[str] = []
    position: bytes | None = b""
    while position is not None:
        page, position = box.fresh(position, limit)
        found += page
    return found


def all_of(box: RelayBox, domain: str, limit: int = 2) -> list[str]:
    found: list[str] = []
    position: bytes | None = b""
    while position is not None:
        page, position = box.of_domain(domain, position, limit)
        found += page
    return found


def again(office: PostOffice) -> PostOffice:
    office.close()
    return PostOffice(office.base).open()


def test_what_is_delivered_at_once_leaves_nothing(office: PostOffice) -> None:
    fresh: list[tuple[Envelope, int]] = []
    office.spool.relay.on_fresh = lambda envelope, length: fresh.append((envelope, length))
    ids = [office.submit(b"line\r\n" * n, elsewhere=["u@far.test"]) for n in range(10)]
    until(lambda: len(fresh) == 10, each=lambda: office.turn(0.01))
    assert [envelope.id for envelope, _ in fresh] == ids
    for n, (envelope, length) in enumerate(fresh):
        content = office.content(envelope.id)
        assert content == b"Received: by mx.example.org\r\n" + b"line\r\n" * n
        assert len(content) == length
    assert office.left() == {"relay": 10}
    assert relay_audit.faults(office.spool) == []
    office.settle(*(Finish(one) for one in ids))
    assert office.left() == {}
    assert office.spool.relay.load(ids[0]) is None
    assert office.content(ids[0]) is None


def test_mail_for_here_and_elsewhere_lives_two_lives(office: PostOffice) -> None:
    one = office.submit(b"hello\r\n", "a@here.test", elsewhere=["u@far.test"])
    accepted(office, one)
    assert office.left() == {"pack": 1, "relay": 1}
    found = office.spool.relay.load(one)
    assert found is not None
    assert [recipient.address for recipient in found[0].recipients] == ["u@far.test"]
    office.deliver()
    until(lambda: office.left() == {"relay": 1}, each=lambda: office.turn(0.01))
    [file] = office.files("a@here.test")
    assert file.read_bytes().startswith(b"Return-Path: <sender@example.org>\r\n")
    office.settle(Finish(one))
    assert office.left() == {}


@pytest.mark.parametrize("first", ["here", "elsewhere"])
def test_a_large_body_goes_when_both_are_through(office: PostOffice, first: str) -> None:
    body = b"0123456789\r\n" * 2000
    one = office.submit(body, "a@here.test", elsewhere=["u@far.test"], large=True)
    accepted(office, one)
    assert office.left() == {"pack": 1, "relay": 1, "body": 1, "files": 1}
    assert relay_audit.faults(office.spool) == []
    file = office.base / "spool/body" / one
    if first == "here":
        office.deliver()
        until(lambda: "pack" not in office.left(), each=lambda: office.turn(0.01))
        assert office.left() == {"relay": 1, "body": 1, "files": 1}
        assert office.content(one) == b"Received: by mx.example.org\r\n" + body
        assert file.stat().st_nlink == 1, "copied, not linked"
        office = again(office)
        assert office.content(one) == b"Received: by mx.example.org\r\n" + body
        assert relay_audit.faults(office.spool) == []
        office.settle(Finish(one))
    else:
        office.settle(Finish(one))
        assert office.left() == {"pack": 1, "body": 1, "files": 1}
        office = again(office)
        assert relay_audit.faults(office.spool) == []
        office.deliver()
    until(lambda: not office.left(), each=lambda: office.turn(0.01))
    until(lambda: bool(office.files("a@here.test")))
    assert office.files("a@here.test")[0].read_bytes().endswith(body)


def test_a_large_body_for_elsewhere_alone_goes_with_its_record(office: PostOffice) -> None:
    one = office.submit(b"x" * 20000, elsewhere=["u@far.test", "v@far.test"], large=True)
    accepted(office, one)
    assert relay_audit.faults(office.spool) == []
    assert office.content(one) == b"Received: by mx.example.org\r\n" + b"x" * 20000
    office.settle(Defer(one, waits(RcptState(1))))
    assert office.left()["files"] == 1
    office.settle(Finish(one))
    until(lambda: not office.left(), each=lambda: office.turn(0.01))


def test_fresh_mail_is_found_after_a_start_and_only_that(office: PostOffice) -> None:
    ids = [office.submit(b"x", elsewhere=["u@far.test"]) for _ in range(20)]
    accepted(office, *ids)
    office.settle(*(Defer(one, waits()) for one in ids[5:15]), Finish(ids[0]))
    office = again(office)
    box = office.spool.relay
    left = ids[1:5] + ids[15:]
    assert all_fresh(box) == left
    more = office.submit(b"x", elsewhere=["u@far.test"])
    accepted(office, more)
    assert all_fresh(box) == [*left, more], "by now from memory"
    office.settle(Finish(left[0]), Defer(left[1], waits()))
    assert all_fresh(box) == [*left[2:], more]
    assert relay_audit.faults(office.spool) == []


def test_too_many_fresh_ones_are_looked_for_on_the_disk(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_MOST_FRESH", 5)
    monkeypatch.setattr(relay, "_LOOK", 4)
    ids = [office.submit(b"x", elsewhere=["u@far.test"]) for _ in range(12)]
    accepted(office, *ids)
    box = office.spool.relay
    assert all_fresh(box) == ids
    office.settle(*(Finish(one) for one in ids[3:]))
    assert all_fresh(box) == ids[:3]
    assert all_fresh(box) == ids[:3]
    assert box._fresh_known


def test_a_page_shows_nothing_that_is_about_to_be_settled(office: PostOffice) -> None:
    ids = [office.submit(b"x", elsewhere=["u@far.test"]) for _ in range(4)]
    accepted(office, *ids)
    box = office.spool.relay
    office.settle(Defer(ids[2], waits()), Defer(ids[3], waits(RcptState(0, due=5.0))))
    answers: list[object] = []
    box.settle([Finish(one) for one in ids], answers.append)
    assert all_fresh(box) == []
    assert all_of(box, "far.test") == []
    assert list(box.due_from(START)) == []
    until(lambda: bool(answers), each=lambda: office.turn(0.01))
    assert all_fresh(box) == []
    assert office.left() == {}


def test_a_message_waits_with_its_site_or_until_its_own_time(office: PostOffice) -> None:
    ids = [office.submit(b"x", elsewhere=["b@far.test", "a@mail.far.test", "c@x.test"]) for _ in range(3)]
    accepted(office, *ids)
    box = office.spool.relay
    office.settle(
        Defer(ids[0], waits(RcptState(0), RcptState(1, due=1000.0004), RcptState(2))),
        Defer(ids[1], waits(RcptState(0, due=900.0), RcptState(1, due=800.5))),
        Defer(ids[2], waits(RcptState(1))),
    )
    assert box.domains(b"", 10).found == ["far.test", "mail.far.test", "x.test"]
    page = box.domains(b"", 2)
    assert page.found == ["far.test", "mail.far.test"]
    assert page.position is not None
    assert box.domains(page.position, 2).found == ["x.test"]
    assert all_of(box, "far.test") == [ids[0]]
    assert all_of(box, "mail.far.test") == [ids[2]]
    assert all_of(box, "test") == []
    entries = [(800.5, ids[1]), (1000.0, ids[0])]
    assert list(box.due_from(START)) == entries
    assert list(box.due_from(entries[1])) == entries[1:]
    assert list(box.due_from((1000.001, ""))) == list(box.due_from((float("inf"), ""))) == []
    assert relay_audit.faults(office.spool) == []
    office.settle(Defer(ids[1], waits(RcptState(0))))
    assert list(box.due_from(START)) == entries[1:]
    assert all_of(box, "far.test") == [ids[0], ids[1]]
    assert box.domains(b"", 10).found == ["far.test", "mail.far.test", "x.test"]
    office.settle(Finish(ids[2]), Finish(ids[0]))
    assert box.domains(b"", 10).found == ["far.test"]
    assert relay_audit.faults(office.spool) == []


def test_due_times_in_hand_are_those_of_the_index(office: PostOffice) -> None:
    one = office.submit(b"x", elsewhere=["u@far.test"])
    accepted(office, one)
    row = waits(RcptState(0, due=1234.56789))
    office.settle(Defer(one, row))
    assert list(office.spool.relay.due_from(START)) == [(row.rcpts[0].due, one)]


def test_a_message_may_change_twice_in_one_commit(office: PostOffice) -> None:
    one = office.submit(b"x", elsewhere=["u@far.test", "v@y.test"])
    accepted(office, one)
    office.settle(
        Defer(one, waits(RcptState(0, due=5.0), RcptState(1))),
        Defer(one, waits(RcptState(0, 0.0, (Try(1.0), Try(2.0, 451))))),
        Defer(one, waits(RcptState(0, 7.0, (Try(1.0), Try(2.0, 451), Try(3.0, 421))))),
    )
    assert relay_audit.faults(office.spool) == []
    assert list(office.spool.relay.due_from(START)) == [(7.0, one)]
    office.settle(Defer(one, waits()), Finish(one), Defer(one, waits()), Finish(one))
    assert office.left() == {}, "what is gone stays gone"


def test_an_operator_has_the_last_word_on_hops(office: PostOffice) -> None:
    one = office.submit(b"x", elsewhere=["u@far.test"])
    accepted(office, one)
    office.settle(Defer(one, Waiting(1.0, False, False, [RcptState(0)], ("smtp://a.test",))))
    office.settle(Defer(one, waits(RcptState(0, 5.0))))
    found = office.spool.relay.waiting(one)
    assert found is not None
    assert (found.hops, found.rcpts[0].due) == (("smtp://a.test",), 5.0)


def test_an_operator_has_the_last_word_on_holding(office: PostOffice) -> None:
    one = office.submit(b"x", elsewhere=["u@far.test"])
    accepted(office, one)
    office.settle(Defer(one, waits(held=True)))
    office.settle(Defer(one, waits(RcptState(0, 5.0, (Try(1.0),)))))
    found = office.spool.relay.waiting(one)
    assert found is not None
    assert found.held
    assert found.rcpts[0].attempts == 1
    assert list(office.spool.relay.due_from(START)) == []
    assert all_of(office.spool.relay, "far.test") == []


def test_many_changes_go_in_pieces_and_are_answered_once(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PIECE", 7)
    ids = [office.submit(b"x", elsewhere=[f"u{n}@far.test"]) for n in range(50)]
    accepted(office, *ids)
    office.settle(*(Defer(one, waits()) for one in ids))
    assert all_of(office.spool.relay, "far.test", 20) == sorted(ids, key=lambda one: f"u{ids.index(one)}")
    assert relay_audit.faults(office.spool) == []
    office.settle(*(Finish(one) for one in ids))
    assert office.left() == {}
    office.settle()


def test_a_spool_that_has_ended_says_so(office: PostOffice) -> None:
    box = office.spool.relay
    office.close()
    answers: list[object] = []
    box.finish("0123456789abc", answers.append)
    office.turn()
    assert "not open" in str(answers[0])


def test_a_record_that_cannot_be_read_is_set_aside(office: PostOffice) -> None:
    good, bad = (office.submit(b"x" * 50, elsewhere=["u@far.test"]) for _ in range(2))
    accepted(office, good, bad)
    office.settle(Defer(bad, waits(RcptState(0, due=5.0))))
    tables, key = office.spool._tables, bad.encode()
    with tables.reading(RELAY, key) as value:
        broken = bytearray(value)
    broken[-1] ^= 1
    office.spool.outbox.change(lambda changes: changes.put(RELAY, key, bytes(broken)))
    assert read_envelope(broken)[0].id == bad
    box = office.spool.relay
    assert office.content(bad) is None
    until(lambda: box.load(bad) is None, each=lambda: office.turn(0.01))
    assert (office.base / "spool/corrupt" / f"{bad}.eml").read_bytes() == bytes(broken)
    assert any("checksum" in line for line in office.lines())
    assert relay_audit.faults(office.spool) == []
    assert office.content(good) is not None
    broken[10] ^= 1  # in its header: not even the envelope
    office.spool.outbox.change(lambda changes: changes.put(RELAY, good.encode(), bytes(broken)))
    assert box.load(good) is None
    until(lambda: office.left() == {}, each=lambda: office.turn(0.01))


def test_mail_of_which_nothing_is_known_that_can_be_read_is_set_aside(office: PostOffice) -> None:
    good, bad, gone = (office.submit(b"x" * 50, elsewhere=["u@far.test"]) for _ in range(3))
    accepted(office, good, bad, gone)
    row = waits(RcptState(0, 5.0, (Try(1.0, 451, "4.7.1", "später", "mx"),)))
    office.settle(*(Defer(one, row) for one in (good, bad, gone)))
    broken = encode_waiting(row).replace("ä".encode(), b"\xff\xff")
    for one in (bad, gone):
        office.spool.outbox.change(lambda changes, one=one: changes.put(WAIT, one.encode(), broken))  # type: ignore[misc]
    office = again(office)  # now all of it stands in the tree
    search, box = office.spool.search, office.spool.relay
    assert [one.envelope.id for one in search.find(Filter(), b"", 10).found] == [good]
    held: list[str] = []
    search.apply(Filter(), "hold", b"", lambda error, what: held.extend(what.ids))
    until(lambda: held == [good], each=lambda: office.turn(0.01))
    office.settle(Finish(gone))
    assert box.load(bad) is None
    assert (office.base / "spool/corrupt" / f"{bad}.eml").exists()
    assert any("cannot be read" in line for line in office.lines())
    until(lambda: not office.spool._tables.has(WAIT, bad.encode()), each=lambda: office.turn(0.01))
    assert not office.spool._tables.has(WAIT, gone.encode())
    assert box.load(good) is not None


def test_everything_survives_being_moved_into_the_tree(office: PostOffice) -> None:
    ids = [office.submit(b"x" * 100, elsewhere=[f"u{n}@d{n % 7}.test"]) for n in range(100)]
    accepted(office, *ids)
    office.settle(*(Defer(one, waits(RcptState(0, due=n % 5 * 10.0))) for n, one in enumerate(ids)))
    office = again(office)
    with office.spool._store.read() as txn:
        assert txn.stat(office.spool._store.db[RELAY])["entries"] == 100
    assert relay_audit.faults(office.spool) == []
    box = office.spool.relay
    assert len(list(box.due_from(START))) == 80
    assert sum(len(all_of(box, domain)) for domain in box.domains(b"", 100).found) == 20
    office.settle(*(Defer(one, waits(RcptState(0))) for one in ids[:50]), *(Finish(one) for one in ids[50:]))
    assert relay_audit.faults(office.spool) == []
    office = again(office)
    assert relay_audit.faults(office.spool) == []
    assert sum(len(all_of(office.spool.relay, f"d{n}.test")) for n in range(7)) == 50


def test_bodies_of_relay_mail_are_no_orphans(office: PostOffice) -> None:
    one = office.submit(b"x" * 20000, elsewhere=["u@far.test"], large=True)
    accepted(office, one)
    (office.base / "spool/body" / "0123456789abc").write_bytes(b"half")
    office = again(office)
    assert relay_audit.faults(office.spool) == []
    assert office.left() == {"relay": 1, "body": 1, "files": 1}


def test_operators_are_heard(office: PostOffice) -> None:
    heard: list[Sequence[str]] = []
    box = office.spool.relay
    box.on_changed = heard.append
    one = office.submit(b"x", elsewhere=["u@far.test"])
    accepted(office, one)
    all_fresh(box)
    box.changed([one])
    assert heard == [[one]]
    assert all_fresh(box) == []


def test_count_of_a_body_stands_in_its_value(office: PostOffice) -> None:
    one = office.submit(b"x" * 20000, "a@here.test", elsewhere=["u@far.test"], large=True)
    accepted(office, one)
    with office.spool._tables.reading(BODY, one.encode()) as value:
        assert bytes(value) == b"\x02"
