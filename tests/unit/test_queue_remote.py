"""Mail for other hosts from the spool to its sites and back, on fakes."""

import asyncio

import pytest

from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.waiting import Waiting
from tests.fakes.remote import BUSY, REFUSED, TAKEN, RemoteWorld
from tests.fakes.routing import route, router

DAY = 86_400.0


def held(world: RemoteWorld, queue_id: str, yes: bool) -> None:
    """As an operator does it."""
    row = world.box.rows.get(queue_id)
    if row is None:
        row = Waiting(world.clock.now(), False, yes, [])
    world.box.rows[queue_id] = Waiting(row.queued_at, row.noticed, yes, row.rcpts)
    assert world.box.on_changed is not None
    world.box.on_changed([queue_id])
    world.loop.turn()


def test_what_is_taken_at_once_is_removed_and_nothing_else_is_written() -> None:
    world = RemoteWorld().start()
    first = world.send("b@far.test")
    second = world.send("c@far.test", "d@far.test")
    world.run(1)
    assert sorted(world.hosts.taken) == [
        (first, "b@far.test"),
        (second, "c@far.test"),
        (second, "d@far.test"),
    ]
    assert sorted(world.box.settled) == [Finish(first), Finish(second, 2)]
    assert not world.box.mails
    assert not world.runner._hand.mails
    assert world.hosts.contents[0] == b"Subject: x\r\n\r\nx\r\n"
    assert (
        "sent id=" + first + ' to=<b@far.test> relay=mx.far.test:25 delay=0.00 reply="250 taken"'
        in world.logged()
    )


def test_a_recipient_put_off_has_a_due_time_of_his_own() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: (
        (450, "4.2.1", "greylisted") if world.clock.steady < 1061 else TAKEN
    )
    queue_id = world.send("b@far.test", "c@far.test")
    world.run(30)
    row = world.box.rows[queue_id]
    assert [(one.number, one.attempts, one.code, one.text) for one in row.rcpts] == [
        (0, 1, 450, "greylisted"),
        (1, 1, 450, "greylisted"),
    ]
    assert row.due() == pytest.approx(world.time.now(1060.0))
    world.run(600)
    assert world.attempts("mx.far.test") == pytest.approx([0, 60, 360], abs=0.5)
    assert not world.box.mails
    assert len(world.teller.decisions) == 0


def test_a_dead_site_costs_one_attempt_an_interval_and_one_write_a_message() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED if site == "mx.dead.test" else TAKEN
    ids = [world.send(f"u{number}@dead.test") for number in range(200)]
    world.run(3600)
    assert world.attempts("mx.dead.test") == pytest.approx([0, 60, 360, 1260, 3060], abs=2)
    assert sorted(change.id for change in world.box.settled) == ids
    assert all(isinstance(change, Defer) for change in world.box.settled)
    assert not world.runner._hand.mails, "nothing of it is in memory"
    late = world.send("late@dead.test")
    world.run(1)
    assert late in world.box.rows
    live = world.send("b@live.test")
    world.run(1)
    assert (live, "b@live.test") in world.hosts.taken


def test_when_the_site_is_back_everything_arrives_once() -> None:
    world = RemoteWorld().start()
    down = True
    world.hosts.say = lambda site, address: REFUSED if down else TAKEN
    ids = [world.send(f"u{number % 7}@dead.test") for number in range(300)]
    world.run(100)
    down = False
    world.run(600)
    assert sorted(queue_id for queue_id, _ in world.hosts.taken) == ids
    assert not world.box.mails
    assert not world.runner._hand.mails


def test_a_start_finds_what_waits_and_what_is_fresh() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: (
        REFUSED if site == "mx.dead.test" else (451, "4.3.0", "later") if site == "mx.grey.test" else TAKEN
    )
    ids = [world.send(f"u{number}@{domain}") for number in range(60) for domain in ("dead.test", "grey.test")]
    world.run(10)
    world.runner.stop()
    world.box.on_fresh = None
    ids += [world.send(f"f{number}@live.test") for number in range(3)]
    world.hosts.say = lambda site, address: TAKEN
    world.make()
    world.start()
    world.run(300)
    assert sorted(queue_id for queue_id, _ in world.hosts.taken) == sorted(ids)
    assert not world.box.mails


def test_a_busy_site_keeps_its_mail_in_memory_and_gets_less_at_once() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 0.1
    for number in range(100):
        world.send(f"u{number}@far.test")
    world.run(1)
    said = iter([BUSY, BUSY])
    world.hosts.say = lambda site, address: next(said, TAKEN)
    world.run(60)
    assert not world.box.mails
    assert len({queue_id for queue_id, _ in world.hosts.taken}) == len(world.hosts.taken) == 100


def test_after_five_days_it_goes_back_and_its_sender_was_told_before() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: (451, "4.3.0", "later")
    queue_id = world.send("b@far.test")
    world.run(6 * DAY)
    assert world.teller.notices("delayed") == [(queue_id, "b@far.test")]
    assert world.teller.notices("failed") == [(queue_id, "b@far.test")]
    assert not world.box.mails
    assert world.attempts("mx.far.test")[-1] == pytest.approx(5 * DAY, abs=61)
    assert f"expired id={queue_id}" in world.logged()


def test_what_waits_with_its_site_is_told_of_and_given_up_by_the_sites_attempts() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED
    ids = [world.send(f"u{number}@dead.test") for number in range(120)]
    world.run(2 * DAY)
    late = world.send("late@dead.test")
    world.run(4 * DAY)
    assert sorted(world.teller.notices("failed")) == [(one, f"u{n}@dead.test") for n, one in enumerate(ids)]
    assert len(world.teller.notices("delayed")) == 121
    assert list(world.box.mails) == [late]
    assert len(world.attempts("mx.dead.test")) < 45
    world.run(2 * DAY)
    assert not world.box.mails
    assert world.teller.notices("failed")[-1] == (late, "late@dead.test")


def test_held_mail_is_left_alone_and_goes_on_when_it_is_released() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: (451, "4.3.0", "later")
    queue_id = world.send("b@far.test")
    world.run(1)
    held(world, queue_id, True)
    world.hosts.say = lambda site, address: TAKEN
    world.run(10 * DAY)
    assert len(world.attempts("mx.far.test")) == 1
    held(world, queue_id, False)
    world.run(1)
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert not world.box.mails


def test_mail_held_while_it_is_under_way_stays_held() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    world.hosts.say = lambda site, address: (451, "4.3.0", "later")
    queue_id = world.send("b@far.test")
    world.run(1)
    held(world, queue_id, True)
    world.run(DAY)
    assert len(world.attempts("mx.far.test")) == 1
    assert world.box.rows[queue_id].held
    assert world.box.rows[queue_id].rcpts[0].code == 451


def test_mail_that_waits_with_a_site_goes_on_when_it_is_released() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED
    queue_id = world.send("b@far.test")
    world.run(1)
    held(world, queue_id, True)
    world.hosts.say = lambda site, address: TAKEN
    world.run(300)
    assert not world.hosts.taken
    held(world, queue_id, False)
    world.run(300)
    assert world.hosts.taken == [(queue_id, "b@far.test")]


def test_mail_removed_under_its_hands_is_forgotten() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    first, second = world.send("a@far.test"), world.send("b@far.test")
    del world.box.mails[second]
    assert world.box.on_changed is not None
    world.box.on_changed([second])
    world.run(20)
    assert world.hosts.taken == [(first, "a@far.test")]
    assert not world.runner._hand.mails


def test_a_pause_is_ended_by_hand() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED
    queue_id = world.send("b@far.test")
    world.run(1)
    world.hosts.say = lambda site, address: TAKEN
    world.runner.retry_site("mx.far.test")
    world.run(1)
    assert world.hosts.taken == [(queue_id, "b@far.test")]


def test_more_than_fits_into_memory_is_found_in_the_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.queue.fresh.MOST", 20)
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 0.01
    ids = []
    for number in range(200):
        envelope = world.letter(f"u{number}@far.test")
        ids.append(envelope.id)
        world.box.commit(envelope)
        assert len(world.runner._hand.mails) <= 20
    world.run(60)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert not world.box.settled[200:]


def test_a_stop_leaves_what_is_cut_off_as_it_was() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    queue_id = world.send("b@far.test")
    world.run(1)
    asyncio.run(world.runner.end(0))
    world.loop.run(10)
    assert queue_id in world.box.mails
    assert not world.box.settled
    assert not world.hosts.taken


def test_a_stop_keeps_what_has_come_out_meanwhile() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    queue_id = world.send("b@far.test")
    world.run(1)
    world.runner.stop()
    world.loop.run(10)
    world.loop.turn()
    assert world.box.settled == [Finish(queue_id)]


@pytest.mark.parametrize("mails", [1, 30])
def test_an_hour_of_sites_that_come_and_go(mails: int) -> None:
    """Everything arrives once, whatever answers there were."""
    world = RemoteWorld().start()
    turns = iter(range(10**9))

    def say(site: str, address: str) -> object:
        turn = next(turns)
        return (REFUSED, BUSY, (451, "4.3.0", "later"), TAKEN, TAKEN)[turn * 7 % 11 % 5]

    world.hosts.say = say  # type: ignore[assignment]
    ids = [world.send(f"u{n}@d{n % 5}.test", f"v{n}@d{n % 3}.test") for n in range(mails)]
    for _ in range(60):
        world.run(60)
    world.run(2 * DAY)
    assert sorted(world.hosts.taken) == sorted(
        (queue_id, address)
        for n, queue_id in enumerate(ids)
        for address in (f"u{n}@d{n % 5}.test", f"v{n}@d{n % 3}.test")
    )
    assert not world.box.mails
    assert not world.runner._hand.mails


def test_trouble_with_reading_the_queue_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = RemoteWorld()
    world.box.commit(world.letter("b@far.test"))
    with monkeypatch.context() as patch:

        def broken(position: bytes, limit: int) -> None:
            raise OSError("no answer")

        patch.setattr(world.box, "fresh", broken)
        patch.setattr(world.box, "domains", broken)
        world.start()
        world.run(30)
    assert "the queue could not be read, which is tried again" in world.logged()
    assert not world.hosts.taken
    world.run(61)
    assert len(world.hosts.taken) == 1


def test_sites_without_mail_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.queue.sites._MOST", 10)
    world = RemoteWorld().start()
    for number in range(50):
        world.send(f"a@d{number}.test")
        world.run(1)
    assert len(world.hosts.taken) == 50
    assert len(world.runner._sites.known()) <= 10


def test_the_site_that_mail_waits_for_is_told_with_its_next_attempt_and_the_reason() -> None:
    world = RemoteWorld(router(route("local.test", "reject:no"), route("*", "mx"))).start()
    world.hosts.say = lambda site, address: REFUSED
    queue_id = world.send("b@far.test")
    world.run(100)
    envelope, row = world.box.mails[queue_id][0], world.box.rows[queue_id]
    site = world.runner.site_of(envelope, row.rcpts[0].number, row.hops)
    assert site is not None
    assert site.name == "mx.far.test"
    assert site.next_at is not None
    assert world.runner.wall_time(site.next_at) == pytest.approx(world.clock.now() + 260, abs=2)
    assert site.reason == "unreachable, 2 attempts in a row: connection refused"
    assert world.runner.site_of(envelope, 0, ["other.test:25"]) is None, "it was not looked up yet"
    assert world.runner.site_of(world.letter("b@local.test"), 0, ()) is None, "it is refused"
