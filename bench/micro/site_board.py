"""What one delivery costs the plan of sites, with and without thousands of dead sites beside it.

    .venv/bin/python -m bench.micro.site_board

A step is `SiteBoard.take`, `ended` and the `offer` of the mail that comes after it, on 100 sites that work. The dead
ones have a hundred mails each, and those that come due within 24 minutes are tried while the steps run.
"""

import statistics
import time
import tracemalloc
from random import Random

from fastsmtp.queue.plan.board import SiteBoard
from fastsmtp.queue.plan.outcome import Outcome
from fastsmtp.queue.plan.settings import PlanSettings

LIVE, STEPS, ROUNDS = 100, 100_000, 5


def board_with(dead: int) -> tuple[SiteBoard, float]:
    """A board on which so many sites have failed for hours, and the queue time."""
    settings = PlanSettings()
    board = SiteBoard(settings.board_limits(workers=1), settings.schedule, Random(1))
    for i in range(dead):
        board.offer(f"dead{i}.example", 100, 0.0)
    now = 0.0
    while now < 8 * 3600:
        while (slot := board.take(now)) is not None:
            board.ended(
                slot, Outcome.UNREACHABLE, now + 0.001, "connection timed out (mx.dead.example[192.0.2.1]:25)"
            )
        wake_at = board.wake_at()
        now = max(now + 0.001, wake_at if wake_at is not None else now + 8 * 3600)
    for i in range(LIVE):
        board.offer(f"live{i}.example", 1, now)
    return board, now


def microseconds(dead: int) -> tuple[float, int]:
    """A step's cost, and how many attempts at dead sites were among the steps."""
    board, now = board_with(dead)
    tick = 24 * 60 / STEPS
    probes = 0
    begun = time.perf_counter()
    for _ in range(STEPS):
        now += tick
        slot = board.take(now)
        assert slot is not None
        if slot.kind == "failing":
            probes += 1
            board.ended(slot, Outcome.UNREACHABLE, now, "connection timed out")
            slot = board.take(now)
            assert slot is not None
        board.ended(slot, Outcome.DONE, now)
        board.offer(slot.name, 1, now)
    return (time.perf_counter() - begun) / STEPS * 1e6, probes


def bytes_a_site(dead: int) -> float:
    """Memory of one dead site, its name included."""
    tracemalloc.start()
    board, _ = board_with(dead)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(board)


def main() -> None:
    """Print one line a number of dead sites."""
    for dead in (0, 10_000, 100_000):
        rounds = [microseconds(dead) for _ in range(ROUNDS)]
        cost = statistics.median(cost for cost, _ in rounds)
        tried = rounds[0][1]
        print(
            f"{LIVE} live, {dead:7,} dead: {cost:5.2f} µs a delivery, {tried:6,} attempts at dead ones beside"
        )
    print(f"{bytes_a_site(10_000):.0f} bytes a dead site")


if __name__ == "__main__":
    main()
