"""A thousand messages, found and changed by filters, against a plain list of them."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.mail.envelope import Envelope
from fastsmtp.spool import bulk, search
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.bulk import Action, Changed
from fastsmtp.spool.filter import Filter, Matcher
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.rows import AT_ONCE
from fastsmtp.spool.search import Search
from fastsmtp.spool.waiting import RcptState, Try, Waiting
from tests.fakes.post_office import PostOffice, until
from tests.tools import relay_audit

NAMES = ["far.test", "mail.far.test", "a.mail.far.test", "x.test", "farx.test"]
FILTERS = [
    Filter(), Filter(recipient="u1@far.test"), Filter(recipient="*@far.test"), Filter(recipient="U1*@far.test"),
    Filter(recipient="*@*.far.test"), Filter(recipient="u1*"), Filter(recipient="*1@*"),
    Filter(recipient="?2@x.test"),
    Filter(domain="mail.far.test"), Filter(domain="*.far.test"), Filter(domain="*.test"), Filter(domain="none.test"),
    Filter(sender="s1@here.test"), Filter(sender="*@here.test"), Filter(sender=""), Filter(sender="s*"),
    Filter(code="451"), Filter(code="4"), Filter(code="000"), Filter(code="5"), Filter(text="words 3"),
    Filter(remote="mx1*"), Filter(state="held"), Filter(state="fresh"), Filter(state="deferred"),
    Filter(domain="far.test", code="451"), Filter(domain="*.far.test", sender="s2@here.test", state="held"),
    Filter(recipient="u1@far.test", code="4", text="WORDS"), Filter(younger=1e6),
    Filter(older=1e6), Filter(older=0.0),
]  # fmt: skip

Model = dict[str, tuple[Envelope, Waiting | None]]


class Thousand:
    """The office, and what should be in it."""

    def __init__(self, path: Path, seed: int, count: int) -> None:
        self.dice = random.Random(seed)
        self.office = PostOffice(path).open()
        self.model: Model = {}
        ids = [self._submit() for _ in range(count)]
        self.office.accepted(*ids)
        self.office.turn()
        for one in ids:
            loaded = self.search_box.load(one)
            assert loaded is not None
            self.model[one] = loaded
        self.defer(self.dice.sample(ids, count * 9 // 10))

    @property
    def search_box(self):  # type: ignore[no-untyped-def]
        return self.office.spool.relay

    @property
    def search(self) -> Search:
        return self.office.spool.search

    def _submit(self) -> str:
        dice = self.dice
        to = [f"u{dice.randrange(30)}@{dice.choice(NAMES)}" for _ in range(dice.choice([1, 1, 1, 2, 5]))]
        sender = dice.choice(["", f"s{dice.randrange(4)}@here.test", "s1@there.test"])
        return self.office.submit(b"x", elsewhere=to, sender=sender)

    def defer(self, ids: list[str]) -> None:
        dice = self.dice
        changes = []
        for one in ids:
            envelope = self.model[one][0]
            numbers = dice.sample(range(len(envelope.recipients)), dice.randint(1, len(envelope.recipients)))
            old = self.model[one][1]
            held = old.held if old is not None else dice.random() < 0.1
            hops = old.hops if old is not None else ()
            rcpts = [RcptState(number, dice.choice([0.0, 5.0, 9.5]), (self._try(),)) for number in numbers]
            changes.append(Defer(one, Waiting(envelope.received_at, False, held, rcpts, hops)))
            self.model[one] = envelope, changes[-1].waiting
        self.office.settle(*changes)

    def _try(self) -> Try:
        dice = self.dice
        code = dice.choice([0, 421, 450, 451])
        return Try(2.0, code, "4.0.0", f"words {dice.randrange(9)}", f"mx{dice.randrange(3)}.test")

    def finish(self, ids: list[str]) -> None:
        self.office.settle(*(Finish(one) for one in ids))
        for one in ids:
            del self.model[one]

    def meant(self, filter: Filter) -> set[str]:
        matcher = Matcher(filter, self.office.clock.now())
        return {one for one, (envelope, waiting) in self.model.items() if matcher.fits(envelope, waiting)}

    def found(self, filter: Filter, limit: int) -> list[str]:
        found: list[str] = []
        position: bytes | None = b""
        while position is not None:
            page = self.search.find(filter, position, limit)
            assert len(page.found) <= limit
            for envelope, waiting, length in page.found:
                assert (envelope, waiting) == self.model[envelope.id]
                assert length == 30
                found.append(envelope.id)
            position = page.position
        return found

    def counted(self, filter: Filter) -> int:
        count = 0
        position: bytes | None = b""
        while position is not None:
            page = self.search.count(filter, position)
            count += page.messages
            position = page.position
        return count

    def apply(self, filter: Filter, action: Action, hops: tuple[str, ...] = ()) -> list[str]:
        changed: list[str] = []
        position: bytes | None = b""
        while position is not None:
            answers: list[tuple[SpoolError | None, Changed]] = []

            def done(
                error: SpoolError | None,
                what: Changed,
                answers: list[tuple[SpoolError | None, Changed]] = answers,
            ) -> None:
                answers.append((error, what))

            self.search.apply(filter, action, position, done, hops)
            while not answers:
                self.office.turn(0.01)
            error, what = answers[0]
            assert error is None
            assert len(what.ids) <= bulk.MOST + bulk.PIECE[action]
            changed += what.ids
            position = what.position
        assert len(set(changed)) == len(changed)
        return changed

    def check(self, filters: list[Filter]) -> None:
        for filter in filters:
            meant = self.meant(filter)
            limit = self.dice.choice([7, 100, 5000])
            found = self.found(filter, limit)
            assert len(found) == len(set(found)), filter
            assert set(found) == meant, filter
            assert self.counted(filter) == len(meant), filter
        assert relay_audit.faults(self.office.spool) == []


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thousand]:
    made = Thousand(tmp_path_factory.mktemp("thousand"), 1, 1000)
    yield made
    made.office.close()


@pytest.mark.parametrize("filter", FILTERS)
def test_what_is_found_and_counted(thousand: Thousand, filter: Filter) -> None:
    thousand.check([filter])


def test_some_are_found_by_every_kind_of_filter(thousand: Thousand) -> None:
    nothing = [filter for filter in FILTERS if not thousand.meant(filter)]
    assert nothing == [Filter(domain="none.test"), Filter(code="5"), Filter(older=1e6)]


def test_pages_go_on_where_they_ended(thousand: Thousand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_LOOK", 60)
    monkeypatch.setattr(search, "_ROWS", 50)
    thousand.check(FILTERS)


def test_ids_are_found_directly(thousand: Thousand) -> None:
    some = sorted(thousand.model)[:30]
    filter = Filter(ids=(*some, some[0], "0123456789abc", "", "no id", "ünicode-13..."))
    assert thousand.found(filter, 4) == some
    page = thousand.search.find(filter, b"", 4)
    assert not page.scan
    assert page.looked < 10
    assert thousand.counted(filter) == 30
    assert set(thousand.found(Filter(ids=tuple(some), state="held"), 100)) == {
        one for one in some if (row := thousand.model[one][1]) is not None and row.held
    }


def test_an_index_looks_at_few_and_a_scan_says_so(thousand: Thousand) -> None:
    page = thousand.search.find(Filter(recipient="u1@far.test"), b"", 5)
    assert not page.scan
    assert page.looked <= 100
    assert thousand.search.find(Filter(text="words 3"), b"", 5).scan
    assert thousand.search.total() == 1000


def test_all_of_the_queue_is_counted_without_looking_at_any(thousand: Thousand) -> None:
    counted = thousand.search.count(Filter(), b"")
    assert (counted.messages, counted.position, counted.looked, counted.scan) == (1000, None, 0, False)


def test_the_same_after_a_start(tmp_path: Path) -> None:
    made = Thousand(tmp_path, 2, 200)
    made.office.close()
    made.office = PostOffice(tmp_path).open()
    made.check(FILTERS)
    made.office.close()


@pytest.mark.parametrize("seed", range(3))
def test_changes_by_filters_against_the_model(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for action in bulk.PIECE:
        monkeypatch.setitem(bulk.PIECE, action, 40)
    monkeypatch.setattr(bulk, "MOST", 100)
    made = Thousand(tmp_path, seed + 10, 300)
    dice = made.dice
    for _ in range(12):
        filter = dice.choice(FILTERS)
        action: Action = dice.choice(["hold", "hold", "release", "retry", "reroute", "remove"])
        hops = dice.choice([(), ("smtp://a.test", "mx")]) if action == "reroute" else ()
        meant = made.meant(filter)
        changed = set(made.apply(filter, action, hops))
        assert changed <= meant
        for one in meant:
            envelope, row = made.model[one]
            if action == "remove":
                assert one in changed
                del made.model[one]
            elif one in changed:
                now = made.search_box.waiting(one)
                assert now.held == (action == "hold")
                if row is not None:
                    assert [r.number for r in now.rcpts] == [r.number for r in row.rcpts]
                    assert [r.tries for r in now.rcpts] == [r.tries for r in row.rcpts]
                    assert action in ("retry", "reroute") or now.rcpts == row.rcpts
                if action in ("retry", "reroute"):
                    assert all(r.due == AT_ONCE for r in now.rcpts)
                if action == "reroute":
                    assert now.hops == hops
                elif row is not None:
                    assert now.hops == row.hops
                made.model[one] = envelope, now
            elif action == "hold":
                assert row is not None
                assert row.held
            elif action == "reroute":
                assert not hops
                assert row is None or not row.hops
            else:
                assert row is None or row.held == (action == "retry")
        if dice.random() < 0.5:
            left = sorted(made.model)
            made.defer(dice.sample(left, len(left) // 5))
            made.finish(dice.sample(left, len(left) // 10))
        if dice.random() < 0.3:
            made.office.close()
            made.office = PostOffice(tmp_path).open()
        made.check(dice.sample(FILTERS, 5))
    made.office.close()


def test_the_engine_hears_of_changes_and_fresh_mail_is_held_from_being_tried(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    one = office.submit(b"x", elsewhere=["u@far.test", "v@far.test"])
    office.accepted(one)
    office.turn()
    heard: list[object] = []
    office.spool.relay.on_changed = heard.append
    answers: list[Changed] = []

    def act(action: Action) -> Changed:
        answers.clear()
        office.spool.search.apply(Filter(), action, b"", lambda error, what: answers.append(what))
        until(lambda: bool(answers), each=lambda: office.turn(0.01))
        return answers[0]

    assert act("retry").skipped == 1, "a fresh message is tried anyway"
    assert act("release").ids == []
    assert act("hold").ids == [one]
    assert heard == [[one]]
    row = office.spool.relay.waiting(one)
    assert row is not None
    assert [r.number for r in row.rcpts] == [0, 1]
    assert office.spool.relay.fresh(b"", 10).found == []
    assert act("hold").skipped == 1
    assert act("retry").skipped == 1, "held mail is released first"
    assert act("release").ids == [one]
    assert act("retry").ids == [one]
    assert [at for _, at in office.spool.relay.due_from((0.0, ""))] == [one]
    assert act("remove").ids == [one]
    assert office.left() == {}
    assert act("remove").ids == []
    office.close()


def test_fresh_and_held_mail_is_rerouted_and_tried_at_once(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    one = office.submit(b"x", elsewhere=["u@far.test", "v@far.test"])
    office.accepted(one)
    office.turn()
    hops = ("smtp://relay.test:2525",)
    answers: list[Changed] = []

    def act(action: Action, *hops: str) -> Changed:
        answers.clear()
        office.spool.search.apply(Filter(), action, b"", lambda error, what: answers.append(what), hops)
        until(lambda: bool(answers), each=lambda: office.turn(0.01))
        return answers[0]

    def row() -> tuple[bool, tuple[str, ...], list[float]]:
        found = office.spool.relay.waiting(one)
        assert found is not None
        return found.held, found.hops, [rcpt.due for rcpt in found.rcpts]

    assert act("reroute").skipped == 1, "it goes by the routes already"
    assert act("reroute", *hops).ids == [one]
    assert row() == (False, hops, [AT_ONCE] * 2)
    assert act("hold").ids == [one]
    assert row() == (True, hops, [AT_ONCE] * 2)
    assert act("reroute").ids == [one]
    assert row() == (False, (), [AT_ONCE] * 2)
    assert [at for _, at in office.spool.relay.due_from((0.0, ""))] == [one]
    office.close()


def test_large_bodies_go_with_removed_mail(tmp_path: Path) -> None:
    office = PostOffice(tmp_path).open()
    one = office.submit(b"x" * 20000, elsewhere=["u@far.test"], large=True)
    office.accepted(one)
    answers: list[Changed] = []
    office.spool.search.apply(Filter(ids=(one,)), "remove", b"", lambda error, what: answers.append(what))
    until(lambda: not office.left(), each=lambda: office.turn(0.01))
    office.close()
