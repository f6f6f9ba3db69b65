"""Work goes to few threads, waits in a bounded queue, and is told on the loop's thread."""

import threading
from collections.abc import Callable
from queue import Queue

from fastsmtp.pool import ThreadPool


def failed(reason: str) -> str:
    return f"failed: {reason}"


def test_never_more_at_a_time_than_threads_and_never_more_waiting_than_said() -> None:
    posted: Queue[object] = Queue()
    pool = ThreadPool("test", 2, 3, posted.put)
    gate, told, running = threading.Event(), [], threading.Semaphore(0)
    most, now, lock = [0], [0], threading.Lock()

    def work() -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        running.release()
        gate.wait(30)
        with lock:
            now[0] -= 1
        return "7"

    assert [pool.submit(work, told.append, failed) for _ in range(6)] == [True] * 5 + [False]
    for _ in range(2):
        assert running.acquire(timeout=30)
    assert told == []
    gate.set()
    for _ in range(5):
        posted.get(timeout=30)()  # type: ignore[operator]
    assert told == ["7"] * 5
    assert most == [2]
    assert pool.submit(work, told.append, failed)  # there is room again
    posted.get(timeout=30)()  # type: ignore[operator]
    pool.stop()


def test_a_thread_begins_when_it_is_needed_and_ends() -> None:
    before = set(threading.enumerate())  # those of other tests may end meanwhile
    posted: Queue[object] = Queue()
    pool = ThreadPool("test", 4, 1, posted.put)
    assert set(threading.enumerate()) <= before
    pool.submit(lambda: "1", lambda result: None, failed)
    assert len(set(threading.enumerate()) - before) == 1
    pool.stop()
    assert set(threading.enumerate()) <= before
    assert posted.qsize() == 1


def test_work_that_raises_is_told_and_costs_nobody_else_a_thread() -> None:
    posted: Queue[Callable[[], None]] = Queue()
    pool = ThreadPool("test", 1, 1, posted.put)
    told: list[str] = []

    def work() -> str:
        raise ValueError("a secret")

    for _ in range(3):
        assert pool.submit(work, told.append, failed)
        posted.get(timeout=30)()
    assert pool.submit(lambda: "7", told.append, failed)
    posted.get(timeout=30)()
    assert told[-1] == "7"
    assert {one.rpartition(":")[0] for one in told[:-1]} == {
        "failed: internal error, ValueError at test_pool.py"
    }
    pool.stop()


def test_a_loop_that_has_gone_gets_no_result() -> None:
    def post(work: object) -> None:
        raise RuntimeError("Event loop is closed")

    pool = ThreadPool("test", 1, 1, post)
    assert pool.submit(lambda: "1", lambda result: None, failed)
    pool.stop()
