"""Mail for other hosts from the spool to its sites and back, on fakes."""

import asyncio
from pathlib import Path

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.remote import shared
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.waiting import Waiting
from fastsmtp.transport.smtp.mx import Unroutable
from tests.fakes.remote import BUSY, REFUSED, TAKEN, RemoteWorld
from tests.fakes.routing import route, router, tables

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
    assert sorted(world.box.settled) == [Finish(first), Finish(second)]
    assert not world.box.mails
    assert not world.runner._hand.mails
    assert world.hosts.contents[0] == b"Subject: x\r\n\r\nx\r\n"
    assert (
        "sent id=" + first + ' to=<b@far.test> relay=mx.far.test:25 delay=0.00 reply="250 taken"'
        in world.logged()
    )


def test_recipients_of_one_place_are_one_delivery() -> None:
    world = RemoteWorld().start()
    world.guide.sites["two.test"] = "mx.far.test"
    queue_id = world.send("a@far.test", "b@two.test", "c@far.test", "d@alone.test")
    world.run(1)
    assert sorted((site, to) for _, site, _, to in world.hosts.jobs) == [
        ("mx.alone.test", ("d@alone.test",)),
        ("mx.far.test", ("a@far.test", "c@far.test")),
        ("mx.far.test", ("b@two.test",)),
    ]
    assert world.box.settled[-1] == Finish(queue_id)


def test_a_large_message_is_sent_from_its_file(tmp_path: Path) -> None:
    world = RemoteWorld().start()
    file = tmp_path / "body"
    file.write_bytes(b"..." + b"large")
    world.box.commit(world.letter("b@far.test"), file)
    world.run(1)
    assert world.hosts.contents == [b"large"]
    assert not world.box.mails


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


def test_what_one_recipient_came_to_does_not_wait_for_another() -> None:
    world = RemoteWorld().start()
    answers = {"b@far.test": TAKEN, "c@far.test": (451, "4.3.0", "later"), "d@far.test": (550, "5.1.1", "no")}
    world.hosts.say = lambda site, address: answers[address]
    queue_id = world.send(*answers)
    world.run(1)
    assert [one.number for one in world.box.rows[queue_id].rcpts] == [1]
    assert world.teller.notices("failed") == [(queue_id, "d@far.test")]
    answers["c@far.test"] = TAKEN
    world.run(120)
    assert world.hosts.jobs[-1][3] == ("c@far.test",)
    assert not world.box.mails


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
    assert f"bounced id={queue_id}" in world.logged()


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


def test_a_notice_is_stored_before_the_message_is_finished() -> None:
    world = RemoteWorld().start()
    world.teller.refuses = 3
    world.hosts.say = lambda site, address: (550, "5.1.1", "nobody")
    queue_id = world.send("b@far.test")
    assert queue_id in world.box.mails
    world.loop.run(5)
    assert queue_id in world.box.mails, "it is tried again each second"
    world.run(5)
    assert not world.box.mails
    assert world.teller.notices("failed") == [(queue_id, "b@far.test")]
    assert world.teller.originals[0].content == b"Subject: x\r\n\r\nx\r\n"


def test_a_domain_that_does_not_exist_bounces() -> None:
    world = RemoteWorld().start()
    world.guide.sites["far.test"] = Unroutable("5.1.2", "far.test: there is no such domain")
    queue_id = world.send("b@far.test")
    world.run(1)
    assert world.teller.notices("failed") == [(queue_id, "b@far.test")]
    assert not world.box.mails


def test_when_dns_fails_the_look_up_is_what_is_tried() -> None:
    world = RemoteWorld().start()
    world.guide.sites["far.test"] = Unroutable("4.4.3", "DNS: far.test: SERVFAIL")
    ids = [world.send(f"u{number}@far.test") for number in range(30)]
    world.run(120)
    assert len(world.guide.asked) < 6
    assert len(world.box.rows) == 30
    [state] = [one for one in world.runner.sites() if one.waiting]
    assert state.name == "MX of far.test, not found"
    assert "SERVFAIL" in state.reason
    del world.guide.sites["far.test"]
    world.run(400)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert not world.box.mails


def test_a_domain_whose_hosts_change_takes_its_mail_along() -> None:
    world = RemoteWorld().start()
    world.hosts.say = lambda site, address: REFUSED if site == "mx.far.test" else TAKEN
    ids = [world.send(f"u{number}@far.test") for number in range(80)]
    world.run(10)
    world.guide.sites["far.test"] = "new.far.test"
    world.run(400)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert world.attempts("mx.far.test")[0] == 0
    assert not world.box.mails


def test_routes_that_are_read_again_hold_for_what_waits() -> None:
    world = RemoteWorld(router(route("far.test", "old.test:25"))).start()
    world.hosts.say = lambda site, address: REFUSED if site == "mx.old.test" else TAKEN
    ids = [world.send(f"u{number}@far.test") for number in range(5)]
    world.run(10)
    world.router.replace(tables(route("far.test", "new.test:25")))
    world.run(120)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert {site for _, site, _, _ in world.hosts.jobs} == {"mx.old.test", "mx.new.test"}


def test_a_route_that_refuses_now_bounces() -> None:
    world = RemoteWorld(router(route("corp.test", "old.test:25"))).start()
    world.hosts.say = lambda site, address: (451, "4.3.0", "later")
    queue_id = world.send("b@corp.test")
    world.router.replace(tables(route("corp.test", "reject:moved away")))
    world.run(120)
    assert world.teller.notices("failed") == [(queue_id, "b@corp.test")]
    assert not world.box.mails


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


def test_members_of_a_list_do_not_carry_the_senders_wishes() -> None:
    world = RemoteWorld().start()
    world.send(
        Recipient("b@far.test", "", None, "owner-list@example.org", "list@example.org"),
        Recipient("c@far.test", "", {"NOTIFY": "FAILURE"}),
        RET="FULL",
        ENVID="x",
        SIZE="100",
    )
    world.run(1)
    sent = {
        job[3]: envelope.params for job, envelope in zip(world.hosts.jobs, world.hosts.envelopes, strict=True)
    }
    assert sent == {
        ("b@far.test",): {"SIZE": "100"},
        ("c@far.test",): {"RET": "FULL", "ENVID": "x", "SIZE": "100"},
    }


def test_success_is_told_where_the_next_host_will_not() -> None:
    world = RemoteWorld().start()
    queue_id = world.send(
        Recipient("b@far.test", "", {"NOTIFY": "SUCCESS"}), Recipient("c@far.test", "", None)
    )
    world.run(1)
    assert world.teller.notices("succeeded") == [(queue_id, "b@far.test")]
    assert not world.box.mails


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


def test_a_site_not_tried_yet_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("fastsmtp.queue.remote", fromlist=["_MOST"])._MOST, "new", 10)
    world = RemoteWorld().start()
    world.hosts.seconds["mx.slow.test"] = 30.0
    for number in range(100):
        world.send(f"u{number}@slow.test")
    assert len(world.runner._hand.mails) <= 11
    assert len(world.box.rows) == 89
    world.hosts.seconds["mx.slow.test"] = 0.1
    world.run(200)
    assert len(world.hosts.taken) == 100
    assert not world.box.mails


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


def test_workers_share_the_limits() -> None:
    limits = shared(PlanSettings(connections=100, connections_per_site=20, messages_per_site_per_minute=7), 3)
    assert (limits.connections, limits.site.connections, limits.site.per_minute) == (34, 7, 3)
    assert shared(PlanSettings(), 2).site.per_minute == 0


def test_a_message_that_cannot_be_read_waits_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    world = RemoteWorld().start()
    with monkeypatch.context() as patch:

        def broken(queue_id: str) -> None:
            raise OSError("damaged page")

        patch.setattr(world.box, "reading", broken)
        queue_id = world.send("b@far.test")
        world.run(1)
    assert [state.text for state in world.box.rows[queue_id].rcpts] == ["the message cannot be read for now"]
    assert "damaged page" in world.logged()
    other = world.send("c@far.test")
    world.run(100)
    assert sorted(one for one, _ in world.hosts.taken) == sorted([queue_id, other])


def test_a_file_that_is_gone_is_no_reason_to_stand_still(tmp_path: Path) -> None:
    world = RemoteWorld().start()
    file = tmp_path / "body"
    file.write_bytes(b"...large")
    missing = file.rename(tmp_path / "missing")
    world.box.commit(world.letter("b@far.test"), file)
    other = world.send("c@far.test")
    world.run(10)
    assert world.hosts.taken == [(other, "c@far.test")]
    missing.rename(file)
    world.run(100)
    assert world.hosts.contents[-1] == b"large"
    assert not world.box.mails


def test_a_fault_of_ours_ends_one_delivery_and_not_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    world = RemoteWorld().start()
    world.send("a@far.test")
    world.run(1)
    with monkeypatch.context() as patch:

        def fault(way: object) -> None:
            raise ValueError("a fault")

        patch.setattr(world.ways, "place", fault)
        world.send("b@far.test")
        world.run(1)
    assert "internal error at a delivery to mx.far.test: ValueError('a fault')" in world.logged()
    third = world.send("c@far.test")
    world.run(1)
    assert (third, "c@far.test") in world.hosts.taken


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
