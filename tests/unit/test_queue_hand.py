"""The mail in memory, and its way back: notices first, one settlement a turn."""

from collections.abc import Callable, Iterable
from pathlib import Path

from fastsmtp.bounce.decide import Outcome
from fastsmtp.bounce.original import Original
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.hand import Hand, Told
from fastsmtp.queue.letters import RemoteMail
from fastsmtp.spool.relay import Defer, Finish
from fastsmtp.spool.waiting import RcptState, Try, Waiting
from tests.fakes.clock import FakeClock
from tests.fakes.relay_box import FakeRelayBox
from tests.fakes.remote import FakeLoop


class World:
    """A hand with a teller that answers when it is told to."""

    def __init__(self) -> None:
        self.loop = FakeLoop(FakeClock())
        self.box = FakeRelayBox(self.loop.call_soon)
        self.settled: list[str] = []
        self.asked: list[tuple[Callable[[int], Original], Told]] = []
        self.outcomes: list[list[Outcome]] = []
        self.events: list[str] = []
        self.hand = Hand(
            self.box,
            self,
            soon=self.loop.call_soon,
            event=self.events.append,
            settled=lambda mail: self.settled.append(mail.envelope.id),
            aside=lambda queue_id: False,
        )

    def tell(
        self,
        envelope: Envelope,
        outcomes: Iterable[Outcome],
        original: Callable[[int], Original],
        done: Told,
    ) -> None:
        self.asked.append((original, done))
        self.outcomes.append(list(outcomes))

    def mail(self, number: int, content: bytes | Path = b"Subject: x\r\n\r\nbody\r\n") -> RemoteMail:
        envelope = Envelope(f"ID{number}", "s@x", [Recipient("a@far.test", "")], "", "", "", 0.0)
        self.box.commit(envelope, content)
        mail = self.hand.mails[envelope.id] = RemoteMail(envelope, 0.0, None)
        return mail


OUTCOME = Outcome(
    Recipient("a@far.test", ""), "failed", DeliveryResult(0, "failed", 550, "5.1.1", "no", "", "smtp"), 0.0
)


def test_all_of_one_turn_is_one_settlement() -> None:
    world = World()
    done, waits = world.mail(1), world.mail(2)
    done.left.clear()
    for mail in (done, waits, done):
        world.hand.touch(mail)
    assert world.hand.settling
    world.loop.turn()
    assert world.box.settled == [Finish("ID1"), Defer("ID2", waits.waiting())]
    assert world.settled == ["ID2"]
    assert not world.hand.mails
    assert not world.hand.settling


def test_nothing_is_committed_before_its_sender_is_told() -> None:
    world = World()
    mail = world.mail(1)
    mail.left.clear()
    world.hand.tell(mail, [OUTCOME])
    world.hand.touch(mail)
    world.loop.turn()
    assert not world.box.settled
    world.asked.pop()[1]([OUTCOME])
    world.loop.turn()
    assert not world.box.settled, "it could not be stored"
    world.hand.tick()
    world.asked.pop()[1]([])
    world.loop.turn()
    assert world.box.settled == [Finish("ID1")]
    assert not world.hand.mails


def test_who_was_told_is_not_told_again() -> None:
    world = World()
    other = Outcome(Recipient("b@far.test", ""), "failed", OUTCOME.result, 0.0)
    world.hand.tell(world.mail(1), [OUTCOME, other])
    world.asked.pop()[1]([other])
    world.hand.tick()
    assert world.outcomes == [[OUTCOME, other], [other]]


def test_the_original_of_a_notice(tmp_path: Path) -> None:
    world = World()
    world.hand.tell(world.mail(1), [OUTCOME])
    assert world.asked[-1][0](7) == Original(b"Subject", 20)
    file = tmp_path / "body"
    file.write_bytes(b"...Subject: large\r\n")
    world.hand.tell(world.mail(2, file), [OUTCOME])
    assert world.asked[-1][0](7) == Original(b"Subject", 16)
    world.box.mails.clear()
    assert world.asked[-1][0](7) == Original(b"", 0), "somebody has removed it"


def test_mail_is_taken_out_of_the_spool_when_it_waits() -> None:
    world = World()
    world.mail(1)
    world.hand.mails.clear()
    assert world.hand.take("ID1") is None, "it had no attempt"
    assert world.hand.take("none") is None
    world.box.rows["ID1"] = Waiting(5.0, True, False, [RcptState(0, 0.0, (Try(6.0), Try(7.0)))])
    mail = world.hand.take("ID1")
    assert mail is not None
    assert (mail.queued_at, mail.noticed, mail.left[0]) == (
        5.0,
        True,
        RcptState(0, 0.0, (Try(6.0), Try(7.0))),
    )
    assert world.hand.take("ID1") is mail
    mail.busy.add(0)
    world.hand.release(mail)
    assert world.hand.mails
    world.hand.forget(mail)
    assert not world.hand.mails
