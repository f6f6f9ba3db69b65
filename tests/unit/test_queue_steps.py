"""Long work in pieces: others have their turn in between, and trouble is not its end."""

from collections.abc import Iterator

from fastsmtp.queue.steps import AGAIN, Steps
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeLoop


def test_one_piece_a_turn_until_it_ends() -> None:
    loop = FakeLoop(FakeClock())
    events: list[str] = []
    steps = Steps(loop.call_soon, loop.call_later, events.append)
    done: list[str] = []

    def work(name: str) -> Iterator[None]:
        for number in range(3):
            done.append(f"{name}{number}")
            yield

    steps.run(lambda: work("a"))
    steps.run(lambda: work("b"))
    loop.turn()
    assert done == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert not events


def test_trouble_is_told_and_the_work_begun_anew() -> None:
    loop = FakeLoop(FakeClock())
    events: list[str] = []
    steps = Steps(loop.call_soon, loop.call_later, events.append)
    tries: list[int] = []

    def work() -> Iterator[None]:
        tries.append(len(tries))
        yield
        if len(tries) < 3:
            raise OSError("no answer")

    steps.run(work)
    loop.turn()
    assert events == ["the queue could not be read, which is tried again: OSError('no answer')"]
    loop.run(3 * AGAIN)
    assert tries == [0, 1, 2]


def test_the_end() -> None:
    loop = FakeLoop(FakeClock())
    events: list[str] = []
    steps = Steps(loop.call_soon, loop.call_later, events.append)

    def work() -> Iterator[None]:
        steps.end()
        yield
        raise AssertionError("gone on with")

    steps.run(work)
    loop.turn()
