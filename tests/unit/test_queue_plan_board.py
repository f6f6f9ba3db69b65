"""Which site is next, within all limits."""

from collections import Counter
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastsmtp.limits.sites import AGAIN, SiteTable
from fastsmtp.queue.plan import board as board_module
from fastsmtp.queue.plan.board import RESTED, BoardLimits, SiteBoard
from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.retry import RetrySchedule
from fastsmtp.queue.plan.room import PATIENCE, Slot
from fastsmtp.queue.plan.site import SiteLimits
from tests.fakes.clock import FakeClock
from tests.tools.fuzzing import fuzzed

SCHEDULE = RetrySchedule(pauses=(60, 300, 900), jitter=0, expire=86_400, delay_notice=0)
NOW = 1000.0


def make(connections: int = 40, per_site: int = 5, per_minute: int = 0) -> SiteBoard:
    limits = BoardLimits(
        connections=connections, site=SiteLimits(connections=per_site, per_minute=per_minute)
    )
    return SiteBoard(limits, SCHEDULE, Random(1))


def took(board: SiteBoard, now: float = NOW) -> list[Slot]:
    """All that may begin."""
    slots = []
    while (slot := board.take(now)) is not None:
        slots.append(slot)
    return slots


def names(slots: list[Slot]) -> list[str]:
    return [slot.name for slot in slots]


def known(board: SiteBoard, *sites: str, window: int = 1, now: float = NOW) -> None:
    """Let these sites work, up to that window."""
    for site in sites:
        while (state := board.state(site, now)) is None or state.window < window or state.health != "working":
            board.offer(site, window, now)
            for slot in took(board, now):
                board.ended(slot, Outcome.DONE, now)
        board.withdraw(site, state.waiting, now)


def delivered(
    board: SiteBoard, name: str, now: float, seconds: float, outcome: Outcome = Outcome.DONE
) -> None:
    """One delivery to the site of all that may begin; the others have not been tried."""
    board.offer(name, 1, now)
    for slot in took(board, now):
        done = slot.name == name
        board.ended(slot, outcome if done else Outcome.NOTHING, now + seconds if done else now)


def test_a_site_knows_how_long_its_deliveries_take() -> None:
    board = make()
    for number, (seconds, average) in enumerate(((8.0, 8.0), (16.0, 9.0), (9.0, 9.0))):
        delivered(board, "a", NOW + 100 * number, seconds)
        state = board.state("a", NOW)
        assert state is not None
        assert state.seconds == average
    delivered(board, "a", NOW + 500, 90.0, Outcome.NOTHING)
    state = board.state("a", NOW)
    assert state is not None
    assert state.seconds == 9.0, "nothing was tried"


def test_the_fullest_and_the_slowest_sites_lead() -> None:
    board = make()
    for number in range(10):
        delivered(board, f"slow-{number}", NOW + 100 * number, 1.0 + number)
    for number in range(10):
        board.offer(f"full-{number}", 10 + number, NOW)
    assert {state.name for state in board.leading(2, NOW)} == {"full-9", "full-8", "slow-9", "slow-8"}
    assert len(list(board.leading(100, NOW))) == 20
    assert list(make().leading(2, NOW)) == []


def test_nothing_waits() -> None:
    board = make()
    assert board.take(NOW) is None
    assert board.wake_at() is None
    assert board.state("a", NOW) is None
    assert len(board) == 0


def test_a_new_site_is_tried_with_one_and_opens() -> None:
    board = make()
    board.offer("a", 10, NOW)
    counts = []
    for _ in range(4):
        slots = took(board)
        counts.append(len(slots))
        for slot in slots:
            board.ended(slot, Outcome.DONE, NOW)
    assert counts == [1, 2, 3, 4]
    assert board.take(NOW) is None, "all ten are delivered"


def test_sites_take_turns() -> None:
    board = make()
    known(board, "a", "b", "c")
    board.offer("a", 1000, NOW)
    board.offer("b", 2, NOW)
    board.offer("c", 2, NOW)
    order = []
    for _ in range(6):
        slot = board.take(NOW)
        assert slot is not None
        order.append(slot.name)
        board.ended(slot, Outcome.PUT_OFF, NOW)
    assert sorted(order[:3]) == sorted(order[3:]) == ["a", "b", "c"]


def test_with_all_connections_in_use_the_site_with_the_fewest_is_next() -> None:
    board = make(connections=6)
    known(board, "a", "b", window=3)
    known(board, "busy", window=5)
    board.offer("busy", 1000, NOW)
    held = took(board)
    assert names(held) == ["busy"] * 5
    board.offer("a", 1000, NOW)
    board.offer("b", 1000, NOW)
    for slot in held:
        took(board)
        board.ended(slot, Outcome.DONE, NOW)
    took(board)
    assert {state.name: state.in_flight for state in board.states(NOW)} == {"a": 2, "b": 2, "busy": 2}


def test_first_contacts_and_failing_sites_do_not_use_the_room_of_those_that_work() -> None:
    board = make(connections=8)
    known(board, "live", window=5)
    for i in range(100):
        board.offer(f"new{i}", 10, NOW)
        board.offer(f"dead{i}", 10, NOW, suspect=True)
    kinds = Counter(slot.kind for slot in took(board))
    assert kinds == {"new": 2, "failing": 2}, "a quarter each"
    board.offer("live", 100, NOW)
    assert names(took(board)) == ["live"] * 5


def test_a_first_contact_that_hangs_lets_others_have_theirs() -> None:
    board = make(connections=8)
    for i in range(100):
        board.offer(f"new{i}", 10, NOW)
    assert len(took(board)) == 2
    assert board.wake_at() == NOW + PATIENCE
    assert took(board, NOW + PATIENCE - 0.1) == []
    assert len(took(board, NOW + PATIENCE)) == 2
    assert board.wake_at() is None
    assert took(board, NOW + 100) == [], "and that is bounded, too"


def test_what_hangs_at_sites_that_worked_makes_way() -> None:
    board = make(connections=8, per_site=8)
    known(board, "hangs", window=8)
    known(board, "live", window=4)
    board.offer("hangs", 100, NOW)
    assert len(took(board)) == 8
    board.offer("live", 100, NOW)
    assert took(board, NOW + 1) == []
    assert board.wake_at() == NOW + PATIENCE
    assert names(took(board, NOW + PATIENCE)) == ["live"] * 4
    assert board.in_flight == 12
    state = board.state("hangs", NOW + PATIENCE)
    assert state is not None
    assert state.reason == "slow to answer; 8 at once of 8"


def test_a_slow_site_is_quick_again_by_a_quick_delivery() -> None:
    board = make()
    known(board, "a", window=3)
    board.offer("a", 5, NOW)
    slots = took(board)
    board.ended(slots.pop(), Outcome.DONE, NOW + PATIENCE)
    reasons = [board.state("a", NOW)]
    board.ended(slots.pop(), Outcome.SLOWER, NOW + 1)
    reasons.append(board.state("a", NOW))
    board.ended(slots.pop(), Outcome.DONE, NOW + 1)
    reasons.append(board.state("a", NOW))
    assert ["slow to answer" in state.reason for state in reasons if state is not None] == [True, True, False]


def test_slow_sites_take_turns() -> None:
    board = make()
    known(board, "a", "b", window=4)
    for name in ("a", "b"):
        board.offer(name, 1, NOW)
        board.ended(took(board)[0], Outcome.DONE, NOW + PATIENCE)
    for name in ("a", "b"):
        board.offer(name, 10, NOW + PATIENCE)
    assert names(took(board, NOW + PATIENCE)) == ["a", "b"] * 4


def test_a_time_that_was_set_for_a_forgotten_site_does_not_touch_its_successor() -> None:
    board = make()
    board.offer("a", 1, NOW)
    board.ended(took(board)[0], Outcome.UNREACHABLE, NOW)
    board.withdraw("a", 1, NOW)
    board.retry("a", NOW + 1)
    assert board.state("a", NOW + 1) is None
    board.offer("a", 1, NOW + 2)
    assert names(took(board, NOW + 60)) == ["a"]
    assert board.state("a", NOW + 60) is not None


def test_first_contacts_are_the_oldest_and_the_newest_in_turn() -> None:
    board = make(connections=16)
    for i in range(10):
        board.offer(f"new{i}", 1, NOW)
    assert names(took(board)) == ["new0", "new9", "new1", "new8"]


def test_a_dead_site_costs_one_attempt_an_interval() -> None:
    board = make()
    board.offer("dead", 1_000_000, NOW)
    now, attempts = NOW, []
    while now < NOW + 5000:
        for slot in took(board, now):
            attempts.append(now)
            board.ended(slot, Outcome.UNREACHABLE, now, "timed out")
        wake_at = board.wake_at()
        assert wake_at is not None
        now = wake_at
    assert [at - NOW for at in attempts] == [0, 60, 360, 1260, 2160, 3060, 3960, 4860]
    state = board.state("dead", now)
    assert state is not None
    assert state.waiting == 1_000_000
    assert state.reason == "unreachable, 8 attempts in a row: timed out"


def test_mail_for_a_paused_site_waits_with_it() -> None:
    board = make()
    board.offer("dead", 1, NOW)
    board.ended(took(board)[0], Outcome.UNREACHABLE, NOW)
    board.offer("dead", 5, NOW + 30)
    assert board.take(NOW + 59) is None
    assert board.wake_at() == NOW + 60
    assert len(took(board, NOW + 60)) == 1


def test_a_retry_that_is_asked_for_comes_now() -> None:
    board = make()
    board.offer("dead", 2, NOW)
    board.ended(took(board)[0], Outcome.UNREACHABLE, NOW)
    board.retry("dead", NOW + 1)
    board.retry("unknown", NOW + 1)
    slots = took(board, NOW + 1)
    assert names(slots) == ["dead"]
    board.ended(slots[0], Outcome.UNREACHABLE, NOW + 1)
    assert board.wake_at() == NOW + 1 + 300


def test_put_off_and_slower_mail_does_not_stay_with_the_site() -> None:
    for outcome, stays in ((Outcome.DONE, 0), (Outcome.PUT_OFF, 0), (Outcome.SLOWER, 0), (Outcome.BUSY, 1)):
        board = make()
        board.offer("a", 1, NOW)
        board.ended(took(board)[0], outcome, NOW)
        state = board.state("a", NOW)
        assert (0 if state is None else state.waiting) == stays


def test_withdrawn_mail() -> None:
    board = make()
    board.offer("a", 3, NOW)
    board.withdraw("a", 2, NOW)
    board.withdraw("unknown", 2, NOW)
    slot = took(board)[0]
    board.ended(slot, Outcome.DONE, NOW)
    assert took(board) == []
    board.offer("b", 1, NOW)
    board.withdraw("b", 5, NOW)
    assert took(board) == []
    assert board.state("b", NOW) is None, "nothing to remember"


def test_a_paused_site_without_mail_is_remembered_until_its_pause_ends() -> None:
    board = make()
    board.offer("dead", 1, NOW)
    board.ended(took(board)[0], Outcome.UNREACHABLE, NOW)
    board.withdraw("dead", 1, NOW)
    state = board.state("dead", NOW)
    assert state is not None
    assert state.next_at == NOW + 60
    assert board.take(NOW + 59) is None
    assert len(board) == 1
    assert board.wake_at() == NOW + 60
    assert board.take(NOW + 60) is None
    assert len(board) == 0
    assert board.wake_at() is None


def test_the_idle_sites_used_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "IDLE_SITES", 3)
    board = make()
    for name in "abcd":
        known(board, name, window=2)
    assert [state.name for state in board.states(NOW)] == ["b", "c", "d"]
    board.offer("b", 1, NOW)
    assert names(took(board)) == ["b"]
    known(board, "e", "f")
    assert [state.name for state in board.states(NOW)] == ["b", "d", "e", "f"], "b is not idle"


def test_after_a_rest_the_window_is_found_out_anew() -> None:
    board = make()
    known(board, "a", window=4)
    board.offer("a", 10, NOW + RESTED)
    assert len(took(board, NOW + RESTED)) == 4
    board = make()
    known(board, "a", window=4)
    board.offer("a", 10, NOW + RESTED + 1)
    slots = took(board, NOW + RESTED + 1)
    assert [slot.kind for slot in slots] == ["working"]


def test_a_rate_is_waited_for() -> None:
    board = make(per_minute=60)
    board.offer("a", 3, NOW)
    board.ended(took(board)[0], Outcome.DONE, NOW)
    assert took(board) == []
    assert board.wake_at() == NOW + 1
    assert len(took(board, NOW + 1)) == 1


def test_a_delivery_ends_once() -> None:
    board = make()
    board.offer("a", 2, NOW)
    slot = took(board)[0]
    board.ended(slot, Outcome.DONE, NOW)
    with pytest.raises(ValueError, match="a has ended twice"):
        board.ended(slot, Outcome.DONE, NOW)


def test_times_that_are_no_longer_meant_do_not_pile_up() -> None:
    board = make()
    board.offer("a", 1_000_000, NOW)
    now = NOW
    for _ in range(10_000):
        now += 0.001
        slot = board.take(now)
        assert slot is not None
        board.ended(slot, Outcome.UNREACHABLE, now)
        board.retry("a", now)
    assert len(board._timers) < 100


OUTCOMES = st.sampled_from(list(Outcome))
NAMES = st.sampled_from("abcdef")


class BoardUnderFire(RuleBasedStateMachine):
    """Whatever happens in whatever order: no limit is passed, no mail is lost, and nothing waits for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.board = make(connections=4, per_site=3, per_minute=600)
        self.now = NOW
        self.slots: list[Slot] = []
        self.waiting: Counter[str] = Counter()

    @rule(name=NAMES, mails=st.integers(1, 5), suspect=st.booleans())
    def offer(self, name: str, mails: int, suspect: bool) -> None:
        self.board.offer(name, mails, self.now, suspect=suspect)
        self.waiting[name] += mails

    @rule(name=NAMES, mails=st.integers(1, 3))
    def withdraw(self, name: str, mails: int) -> None:
        self.board.withdraw(name, mails, self.now)
        self.waiting[name] = max(0, self.waiting[name] - mails)

    @rule()
    def take(self) -> None:
        slot = self.board.take(self.now)
        if slot is not None:
            assert self.waiting[slot.name] > 0
            self.waiting[slot.name] -= 1
            self.slots.append(slot)

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), outcome=OUTCOMES)
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        slot = self.slots.pop(data.draw(st.integers(0, len(self.slots) - 1)))
        self.board.ended(slot, outcome, self.now, "words")
        self.waiting[slot.name] += outcome.keeps_mail

    @rule(seconds=st.sampled_from([0.01, 1.0, 5.0, 60.0, 1000.0]))
    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=NAMES)
    def retry(self, name: str) -> None:
        self.board.retry(name, self.now)

    @invariant()
    def holds(self) -> None:
        kinds = Counter(slot.kind for slot in self.slots)
        assert kinds["new"] <= 2
        assert kinds["failing"] <= 1
        assert kinds["working"] <= 4 + 4
        states = {state.name: state for state in self.board.states(self.now)}
        for name, state in states.items():
            assert 1 <= state.window <= 3
            assert state.waiting == self.waiting[name]
            assert state.in_flight == sum(slot.name == name for slot in self.slots)
        assert all(name in states for name, count in self.waiting.items() if count)

    def teardown(self) -> None:
        """From whatever has become of it, all mail goes out within the longest pause."""
        end = self.now + 2000
        for left in self.slots:
            self.board.ended(left, Outcome.DONE, self.now)
        while self.now < end:
            while (slot := self.board.take(self.now)) is not None:
                self.board.ended(slot, Outcome.DONE, self.now)
                self.waiting[slot.name] -= 1
            wake_at = self.board.wake_at()
            self.now = end if wake_at is None else max(self.now, wake_at)
        assert not any(self.waiting.values())
        assert self.board.in_flight == 0


BoardUnderFire.TestCase.settings = settings(fuzzed, stateful_step_count=50)
test_board_under_fire = BoardUnderFire.TestCase


def test_boards_of_several_workers_keep_to_the_limits_together() -> None:
    clock = FakeClock()
    table = SiteTable(2, 1, 0, clock)
    limits = BoardLimits(connections=9, site=SiteLimits(connections=1, per_minute=0))
    boards = [SiteBoard(limits, SCHEDULE, Random(1), table.worker(slot)) for slot in range(2)]
    for board in boards:
        board.offer("mx.far.test", 10, 0.0)
    first = boards[0].take(0.0)
    assert first is not None
    assert boards[1].take(0.0) is None
    assert boards[1].wake_at() == pytest.approx(AGAIN)
    [state] = boards[1].states(0.0)
    assert "all that it may have over all workers is begun" in state.reason
    boards[0].ended(first, Outcome.DONE, 0.0)
    begun = [0, 0]
    for turn in range(1, 100):
        clock.steady = turn / 5
        for slot, board in enumerate(boards):
            begun_now = board.take(turn / 5)
            if begun_now is not None:
                begun[slot] += 1
                assert boards[1 - slot].take(turn / 5) is None
                board.ended(begun_now, Outcome.DONE, turn / 5)
    assert begun == [9, 10], "none stands still for the other"


def test_a_delivery_that_ends_makes_room_for_the_next_at_once_though_others_hold_the_rest() -> None:
    table = SiteTable(2, 2, 0, FakeClock())
    limits = BoardLimits(connections=9, site=SiteLimits(connections=2, per_minute=0))
    board = SiteBoard(limits, SCHEDULE, Random(1), table.worker(0))
    assert table.worker(1).claim("mx.far.test") == 0
    board.offer("mx.far.test", 10, 0.0)
    for turn in range(5):
        slot = board.take(turn / 100)
        assert slot is not None
        assert board.take(turn / 100) is None
        board.ended(slot, Outcome.DONE, turn / 100)
