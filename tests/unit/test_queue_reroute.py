"""Mail that an operator has given hops of its own goes there, whatever the routes say, and is lost by no answer."""

import pytest

from fastsmtp.spool.rows import AT_ONCE
from fastsmtp.spool.waiting import RcptState, Waiting
from tests.fakes.remote import REFUSED, TAKEN, RemoteWorld

DAY = 86_400.0
LATER = (451, "4.3.0", "later")


def reroute(world: RemoteWorld, *ids: str, to: tuple[str, ...]) -> None:
    """As an operator does it: released, due now, and elsewhere."""
    for queue_id in ids:
        envelope, row = world.box.mails[queue_id][0], world.box.rows.get(queue_id)
        rcpts = (
            [RcptState(number) for number in range(len(envelope.recipients))] if row is None else row.rcpts
        )
        world.box.rows[queue_id] = Waiting(
            envelope.received_at if row is None else row.queued_at,
            row is not None and row.noticed,
            False,
            [one.moved(AT_ONCE) for one in rcpts],
            to,
        )
    assert world.box.on_changed is not None
    world.box.on_changed(ids)
    world.loop.turn()


def says(**answers: object) -> object:
    """Answers by the host's first label."""
    return lambda site, address: answers.get(site.split(".")[1], TAKEN)


@pytest.mark.parametrize("answer", [REFUSED, LATER])
def test_what_waits_goes_to_its_hops(answer: object) -> None:
    world = RemoteWorld().start()
    world.hosts.say = says(far=answer)  # type: ignore[assignment]
    ids = [world.send("b@far.test", "c@far.test") for _ in range(3)]
    world.run(10)
    reroute(world, *ids, to=("other.test:2525",))
    world.run(1)
    assert sorted(world.hosts.taken) == [(one, f"{who}@far.test") for one in ids for who in "bc"]
    assert {job[1] for job in world.hosts.jobs[-3:]} == {"mx.other.test"}
    assert not world.box.mails


def test_mail_in_the_queue_of_a_site_in_its_pause_leaves_it() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 30.0
    ids = [world.send("b@far.test") for _ in range(5)]
    world.run(1)
    reroute(world, *ids[1:], to=("other.test:25",))
    world.run(1)
    assert sorted(one for one, _ in world.hosts.taken) == ids[1:]
    world.run(60)
    assert sorted(one for one, _ in world.hosts.taken) == ids


@pytest.mark.parametrize("answer", [REFUSED, LATER])
def test_hops_that_do_not_answer_lose_nothing(answer: object) -> None:
    world = RemoteWorld().start()
    world.hosts.say = says(far=REFUSED, other=answer)  # type: ignore[assignment]
    ids = [world.send(f"u{n}@far.test") for n in range(4)]
    world.run(10)
    reroute(world, *ids, to=("other.test:25",))
    world.run(2 * 3600)
    assert sorted(world.box.mails) == ids
    assert all(row.due() for row in world.box.rows.values()), "found by their due times"
    before = len(world.attempts("mx.far.test"))
    world.hosts.say = says()  # type: ignore[assignment]
    world.run(5 * 3600)
    assert sorted(one for one, _ in world.hosts.taken) == ids
    assert {site for _, site, _, _ in world.hosts.jobs[-4:]} == {"mx.other.test"}
    assert len(world.attempts("mx.far.test")) == before, "nothing waits for it"
    assert not world.box.mails
    assert not world.runner._hand.mails


def test_all_of_it_is_told_of_and_given_up_when_its_hops_never_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("fastsmtp.queue.placing", fromlist=["x"])._MOST_GIVEN, "failing", 3)
    world = RemoteWorld().start()
    world.hosts.say = says(far=REFUSED, other=REFUSED)  # type: ignore[assignment]
    ids = [world.send(f"u{n}@far.test") for n in range(10)]
    world.run(10)
    reroute(world, *ids, to=("other.test:25",))
    world.run(4 * 3600)
    assert len(world.runner._hand.mails) <= 3
    world.run(6 * DAY)
    assert sorted(one for one, _ in world.teller.notices("delayed")) == ids
    assert sorted(one for one, _ in world.teller.notices("failed")) == ids
    assert not world.box.mails
    assert not world.runner._hand.mails


def test_a_start_finds_it() -> None:
    world = RemoteWorld().start()
    world.hosts.say = says(far=REFUSED, other=REFUSED)  # type: ignore[assignment]
    queue_id = world.send("b@far.test")
    world.run(10)
    reroute(world, queue_id, to=("other.test:25",))
    world.run(10)
    world.runner.stop()
    world.make()
    world.hosts.say = says()  # type: ignore[assignment]
    world.start()
    world.run(400)
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert world.hosts.jobs[-1][1] == "mx.other.test"


@pytest.mark.parametrize("hops", ["local", "reject:no", "one two three", ""])
def test_hops_that_are_none_keep_the_mail(hops: str) -> None:
    world = RemoteWorld().start()
    world.hosts.say = says(far=LATER)  # type: ignore[assignment]
    queue_id = world.send("b@far.test")
    world.run(10)
    reroute(world, queue_id, to=(hops,))
    world.run(3600)
    [state] = world.box.rows[queue_id].rcpts
    assert state.text == "the hops that it was given by hand cannot be used"
    assert len(world.attempts("mx.far.test")) == 1
    reroute(world, queue_id, to=())
    world.hosts.say = says()  # type: ignore[assignment]
    world.run(1)
    assert world.hosts.taken == [(queue_id, "b@far.test")]


def test_mx_stands_for_the_domain_of_each_recipient() -> None:
    world = RemoteWorld().start()
    world.hosts.say = says(one=LATER)  # type: ignore[assignment]
    queue_id = world.send("b@one.test", "c@one.test")
    world.run(1)
    world.hosts.say = says()  # type: ignore[assignment]
    reroute(world, queue_id, to=("mx",))
    world.run(1)
    assert [job[1:2] + job[3:] for job in world.hosts.jobs[1:]] == [
        ("mx.one.test", ("b@one.test", "c@one.test"))
    ]


def test_mail_rerouted_while_it_is_under_way_goes_on_by_its_hops() -> None:
    world = RemoteWorld().start()
    world.hosts.seconds["mx.far.test"] = 5.0
    world.hosts.say = says(far=REFUSED)  # type: ignore[assignment]
    queue_id = world.send("b@far.test")
    world.run(1)
    reroute(world, queue_id, to=("other.test:25",))
    world.run(100)
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert world.hosts.jobs[-1][1] == "mx.other.test"
    assert not world.box.mails


def test_mail_rerouted_while_its_result_is_being_stored() -> None:
    world = RemoteWorld().start()
    world.hosts.say = says(far=REFUSED)  # type: ignore[assignment]
    queue_id = world.send("b@far.test")
    world.run(1)
    mail = world.runner._hand.take(queue_id)
    assert mail is not None
    mail.noticed = True
    world.runner._hand.touch(mail)
    world.runner._hand._flush()
    envelope, row = world.box.mails[queue_id][0], world.box.rows[queue_id]
    world.box.rows[envelope.id] = Waiting(
        row.queued_at, False, False, [one.moved(AT_ONCE) for one in row.rcpts], ("other.test:25",)
    )
    world.runner.changed([queue_id])
    world.run(100)
    assert world.hosts.taken == [(queue_id, "b@far.test")]
    assert not world.box.mails
