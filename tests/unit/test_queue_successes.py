"""Who asked to hear of a success hears of it, once it can be stored."""

from collections.abc import Callable, Iterable

from fastsmtp.bounce.decide import Outcome, decide
from fastsmtp.bounce.original import Original
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.queue.hand import Told
from fastsmtp.queue.successes import Successes
from fastsmtp.routing.route import Expansion, Target
from tests.fakes.clock import FakeClock

WISH = {"NOTIFY": "SUCCESS"}
START = Original(b"Subject: x\r\n\r\n", 100)


class Teller:
    def __init__(self) -> None:
        self.refuses = 0
        self.told: list[tuple[str, str, list[str]]] = []
        self.starts: list[bytes] = []

    def tell(
        self,
        envelope: Envelope,
        outcomes: Iterable[Outcome],
        original: Callable[[int], Original],
        done: Told,
    ) -> None:
        if self.refuses:
            self.refuses -= 1
            done(list(outcomes))
            return
        self.starts.append(original(7).content)
        for notice in decide(envelope, outcomes).notices:
            self.told.append(
                (notice.to, notice.outcomes[0].action, [one.recipient.address for one in notice.outcomes])
            )
        done([])


def letter(*recipients: Recipient) -> Envelope:
    return Envelope("ID1", "a@near.test", list(recipients), "192.0.2.1", "c", "ESMTP", 0.0, None)


def successes(teller: Teller) -> tuple[Successes, list[str]]:
    events: list[str] = []
    return Successes(teller, FakeClock(), post=lambda call: call(), event=events.append), events


def test_a_delivery() -> None:
    teller = Teller()
    made, _ = successes(teller)
    made.delivered(letter(Recipient("b@here.test", "b", WISH), Recipient("c@here.test", "c")), [0], START)
    assert teller.told == [("a@near.test", "delivered", ["b@here.test"])]
    assert teller.starts == [b"Subject"]


def test_an_alias_is_expanded_and_a_list_has_it() -> None:
    teller = Teller()
    made, _ = successes(teller)
    several = Expansion((Target("b@here.test", "b"), Target("c@far.test", "")))
    listed = Expansion((Target("d@far.test", "", "owner@here.test"),))
    made.expanded(
        letter(),
        [(Recipient("team@here.test", "", WISH), several), (Recipient("list@here.test", "", WISH), listed)],
        START,
    )
    [(_, action, addresses)] = teller.told
    assert (action, addresses) == ("expanded", ["team@here.test", "list@here.test"])


def test_what_cannot_be_stored_is_tried_each_second_and_bounded() -> None:
    teller = Teller()
    made, events = successes(teller)
    teller.refuses = 1003
    for _ in range(1002):
        made.delivered(letter(Recipient("b@here.test", "b", WISH)), [0], START)
    assert len(events) == 2
    made.tick()
    made.tick()
    assert len(teller.told) == 1000
