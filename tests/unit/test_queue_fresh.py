"""Fresh mail: at once while there is room, else out of the spool; each message once."""

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.queue.fresh import FreshMail
from fastsmtp.queue.hand import Hand
from fastsmtp.queue.letters import RemoteMail
from fastsmtp.queue.steps import Steps
from tests.fakes.clock import FakeClock
from tests.fakes.relay_box import FakeRelayBox
from tests.fakes.remote import FakeLoop, FakeTeller


class World:
    def __init__(self) -> None:
        self.loop = FakeLoop(FakeClock())
        self.box = FakeRelayBox(self.loop.call_soon)
        self.events: list[str] = []
        self.taken: list[str] = []
        self.fails = ""
        soon = self.loop.call_soon
        self.hand = Hand(
            self.box,
            FakeTeller(),
            soon=soon,
            event=self.events.append,
            settled=lambda mail: None,
            aside=lambda queue_id: False,
        )
        steps = Steps(soon, self.loop.call_later, self.events.append)
        self.fresh = FreshMail(self.box, self.hand, steps, self.take, self.events.append)
        self.box.on_fresh = self.fresh.committed

    def take(self, envelope: Envelope) -> None:
        if envelope.id == self.fails:
            raise ValueError("a fault")
        self.taken.append(envelope.id)
        self.hand.mails[envelope.id] = RemoteMail(envelope, 0.0, None)

    def commit(self, *numbers: int) -> None:
        for number in numbers:
            recipients = [Recipient("a@far.test", "")]
            self.box.commit(Envelope(f"ID{number:03}", "s@x", recipients, "", "", "", 0.0))

    def done(self) -> None:
        """All that was taken is delivered."""
        for queue_id in list(self.hand.mails):
            del self.hand.mails[queue_id], self.box.mails[queue_id]
        self.fresh.go_on()
        self.loop.turn()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("fastsmtp.queue.fresh.MOST", 10)
    return World()


def test_what_stands_there_at_the_start(world: World) -> None:
    world.box.on_fresh = None
    world.commit(*range(5))
    assert not world.taken
    world.fresh.go_on()
    world.loop.turn()
    assert world.taken == [f"ID{number:03}" for number in range(5)]


def test_what_is_passed_by_is_found_once_and_in_order(world: World) -> None:
    world.fresh.go_on()
    world.loop.turn()
    world.commit(*range(25))
    assert len(world.taken) == 10
    world.done()
    world.commit(100)
    while world.hand.mails:
        world.done()
    assert sorted(world.taken) == [*(f"ID{number:03}" for number in range(25)), "ID100"]


def test_a_fault_at_one_does_not_cost_the_others(world: World) -> None:
    world.fails = "ID001"
    world.commit(0, 1, 2)
    assert world.taken == ["ID000", "ID002"]
    assert world.events == ["internal error at ID001, which waits for the next start: ValueError('a fault')"]


def test_what_was_read_before_its_commit_is_told_of_is_taken_once(world: World) -> None:
    """A commit is in the tables a moment before the loop hears of it, and the spool may be read in that moment."""
    told = world.box.on_fresh
    assert told is not None
    world.box.on_fresh = None
    world.commit(1)
    world.fresh.go_on()
    world.loop.turn()
    told(world.box.mails["ID001"][0], 100)
    assert world.taken == ["ID001"]
