"""Mail that its sender has held for a time (RFC 4865): in the spool until then, and as if it came then."""

from datetime import UTC, datetime

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.queue.plan.clock import QueueClock
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.waiting import RcptState, Waiting
from tests.fakes.remote import REFUSED, TAKEN, RemoteWorld
from tests.unit.test_queue_asked import give_up

HOUR, DAY = 3600.0, 86_400.0


def until(world: RemoteWorld, seconds: float) -> str:
    """HOLDUNTIL in so many seconds."""
    return datetime.fromtimestamp(world.clock.now() + seconds, UTC).isoformat().replace("+00:00", "Z")


def by_hand(world: RemoteWorld, queue_id: str, *, held: bool, due: float | None = None) -> None:
    """What an operator's change stores, of fresh mail too."""
    row = world.box.rows[queue_id]
    rcpts = row.rcpts if due is None else [state.moved(due) for state in row.rcpts]
    world.box.rows[queue_id] = Waiting(row.queued_at, row.noticed, held, rcpts)
    assert world.box.on_changed is not None
    world.box.on_changed([queue_id])
    world.loop.turn()


@pytest.mark.parametrize("keyword", ["HOLDFOR", "HOLDUNTIL"])
def test_it_is_not_tried_before_its_time(keyword: str) -> None:
    world = RemoteWorld().start()
    wish = "7200" if keyword == "HOLDFOR" else until(world, 7200)
    queue_id = world.send("b@far.test", "c@other.test", **{keyword: wish})
    assert isinstance(world.box.settled[0], Defer)
    assert not world.runner._hand.mails, "nothing of it is in memory"
    world.run(7195)
    assert not world.hosts.jobs
    world.run(10)
    assert sorted(world.hosts.taken) == [(queue_id, "b@far.test"), (queue_id, "c@other.test")]
    assert world.attempts("mx.far.test") == pytest.approx([7200], abs=1)
    assert not world.box.mails


def test_a_time_that_has_passed_holds_nothing() -> None:
    world = RemoteWorld().start()
    queue_id = world.send("b@far.test", HOLDUNTIL=until(world, -60))
    world.run(1)
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert world.box.settled == [Finish(queue_id)]
    world.hosts.say = lambda site, address: (450, "4.2.0", "mailbox busy")
    late = world.send("b@far.test", HOLDUNTIL=until(world, -DAY))
    world.run(1)
    now = world.time.now(world.clock.monotonic())
    assert world.box.rows[late].queued_at == pytest.approx(now, abs=2), "it is as old as it is"


@pytest.mark.parametrize("stored", [True, False])
def test_a_start_holds_it_on(stored: bool) -> None:
    """Also one after a crash between the commit before 250 and the row that says for when it waits."""
    world = RemoteWorld().start()
    if not stored:
        world.runner.stop()
    queue_id = world.send("b@far.test", HOLDFOR="7200")
    assert (queue_id in world.box.rows) == stored
    world.run(600)
    world.runner.stop()
    world.make(crashed=True)
    world.start()
    world.run(6500)
    assert not world.hosts.jobs
    world.run(110)
    assert world.hosts.taken == [(queue_id, "b@far.test")]


def test_its_age_counts_from_its_time() -> None:
    world = RemoteWorld(expire=DAY, delay_notice=4 * HOUR).start()
    world.hosts.say = lambda site, address: (450, "4.2.0", "mailbox busy")
    queue_id = world.send("b@far.test", HOLDFOR=str(int(10 * DAY)))
    world.run(10 * DAY + 3 * HOUR)
    assert not world.teller.decisions
    world.run(5 * HOUR)
    assert world.teller.notices("delayed") == [(queue_id, "b@far.test")]
    world.run(15 * HOUR)
    assert not world.teller.notices("failed")
    world.run(2 * HOUR)
    assert world.teller.notices("failed") == [(queue_id, "b@far.test")]


def test_an_operator_lets_it_go_and_it_is_as_if_it_came_then() -> None:
    world = RemoteWorld(expire=DAY).start()
    world.hosts.say = lambda site, address: REFUSED
    queue_id = world.send("b@far.test", HOLDFOR=str(int(10 * DAY)))
    world.run(HOUR)
    by_hand(world, queue_id, held=False, due=1.0)
    world.run(1)
    assert len(world.hosts.jobs) == 1
    world.run(DAY + 4 * HOUR)
    assert world.teller.notices("failed") == [(queue_id, "b@far.test")]


def test_an_operator_holds_it_and_its_sender_has_his_time_all_the_same() -> None:
    world = RemoteWorld().start()
    queue_id = world.send("b@far.test", HOLDFOR="7200")
    world.run(60)
    by_hand(world, queue_id, held=True)
    world.run(60)
    by_hand(world, queue_id, held=False)
    world.run(7000)
    assert not world.hosts.jobs
    world.run(100)
    assert world.hosts.taken == [(queue_id, "b@far.test")]


def test_one_held_by_hand_before_it_was_looked_at_waits_for_its_time() -> None:
    world = RemoteWorld().start()
    world.runner.stop()
    queue_id = world.send("b@far.test", HOLDFOR="7200")
    world.box.rows[queue_id] = Waiting(world.clock.now(), False, True, [RcptState(0)])
    world.make()
    world.start()
    by_hand(world, queue_id, held=False)
    world.run(7100)
    assert not world.hosts.jobs
    world.run(110)
    assert world.hosts.taken == [(queue_id, "b@far.test")]


@pytest.mark.parametrize("jump", [365 * DAY, -365 * DAY])
@pytest.mark.parametrize("keyword", ["HOLDFOR", "HOLDUNTIL"])
def test_a_clock_that_is_set_meanwhile_moves_nothing(keyword: str, jump: float) -> None:
    world = RemoteWorld().start()
    wish = "7200" if keyword == "HOLDFOR" else until(world, 7200)
    queue_id = world.send("b@far.test", "alice@example.org", **{keyword: wish})
    world.run(60)
    world.clock.wall += jump
    world.run(7100)
    assert not world.hosts.jobs
    assert not world.home.stored
    world.run(100)
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert len(world.home.stored) == 1


@pytest.mark.parametrize(("jump", "after"), [(-365 * DAY, 7140), (-600, 7140), (600, 6540), (365 * DAY, 0)])
def test_a_clock_that_is_set_between_a_stop_and_a_start(jump: float, after: float) -> None:
    """The time by the clock holds where that comes first."""
    world = RemoteWorld().start()
    queue_id = world.send("b@far.test", HOLDFOR="7200")
    world.run(60)
    world.runner.stop()
    saved = world.time.reading(world.clock.now(), world.clock.monotonic())
    world.clock.wall += jump
    world.time = QueueClock(world.clock.now(), world.clock.monotonic(), saved)
    world.make()
    world.start()
    world.run(max(after - 10, 0))
    assert not world.hosts.jobs
    world.run(20)
    assert world.hosts.taken == [(queue_id, "b@far.test")]


def test_who_asked_to_be_told_of_it_hears_of_each_once() -> None:
    """Of a mailbox here whoever delivers into it tells (RFC 3461 §4.1)."""
    world = RemoteWorld().start()
    always = {"NOTIFY": "SUCCESS,FAILURE"}
    to = ["alice@example.org", "b@far.test", "nobody@example.org"]
    queue_id = world.send(*(Recipient(one, "", always) for one in to), HOLDFOR="7200")
    world.run(7300)
    assert world.teller.notices("succeeded") == [(queue_id, "b@far.test")]
    assert world.teller.notices("failed") == [(queue_id, "nobody@example.org")]
    assert [one.params for one in world.home.stored[0][0].recipients] == [always]


def test_it_is_given_up_or_removed_before_its_time() -> None:
    world = RemoteWorld().start()
    first = world.send("b@far.test", HOLDFOR="7200")
    second = world.send("b@far.test", HOLDFOR="7200")
    assert give_up(world, first) == [first]
    assert world.teller.notices("failed") == [(first, "b@far.test")]
    del world.box.mails[second], world.box.rows[second]
    assert world.box.on_changed is not None
    world.box.on_changed([second])
    world.run(8000)
    assert not world.hosts.jobs


def test_who_lives_here_gets_it_in_his_mailbox_at_its_time() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: TAKEN
    queue_id = world.send("Alice+tag@example.org", "b@far.test", HOLDFOR="7200", ENVID="x")
    world.run(7195)
    assert not world.home.stored
    world.run(10)
    [(envelope, _)] = world.home.stored
    assert [one.mailbox for one in envelope.recipients] == ["alice@example.org"]
    assert envelope.params == {"ENVID": "x"}, "or it would be held once more"
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert f'reply="it was held: queued as {envelope.id}"' in world.logged()
    assert not world.box.mails


def test_a_long_absence_makes_nothing_late() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: (
        (450, "4.2.0", "mailbox busy") if site == "mx.busy.test" else TAKEN
    )
    ids = [world.send(f"u{number}@far.test", HOLDFOR="172800") for number in range(250)]
    later = world.send("b@later.test", HOLDFOR="345600")
    world.send("b@busy.test")
    world.run(10)
    busy = len(world.hosts.jobs)
    world.runner.stop()
    saved = world.time.reading(world.clock.now(), world.clock.monotonic())
    world.clock.pass_by(3 * DAY)
    world.time = QueueClock(world.clock.now(), world.clock.monotonic(), saved)
    world.make()
    world.start()
    world.run(60)
    assert sorted(world.hosts.taken) == sorted((one, f"u{number}@far.test") for number, one in enumerate(ids))
    assert len(world.attempts("mx.busy.test")) == busy + 1, "what was tried before has the time it had"
    world.run(DAY - 120)
    assert not world.attempts("mx.later.test")
    world.run(120)
    assert (later, "b@later.test") in world.hosts.taken
