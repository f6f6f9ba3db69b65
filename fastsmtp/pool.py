"""A few threads for what would hold up the loop, such as hashing a password, and a bounded queue before them."""

import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from fastsmtp.defects import describe
from fastsmtp.threads import make_way

T = TypeVar("T")
Post = Callable[[Callable[[], None]], object]


class ThreadPool:
    """At most ``threads`` pieces of work at a time, and ``waiting`` more that wait. ``post`` runs a function on the
    loop's thread. A thread begins when it is first needed. All methods are for the loop's thread."""

    def __init__(self, name: str, threads: int, waiting: int, post: Post) -> None:
        self._name = name
        self._most = threads
        self._room = threads + waiting
        self._post = post
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._under_way = 0

    def submit(self, work: Callable[[], T], told: Callable[[T], None], failed: Callable[[str], T]) -> bool:
        """Have ``work`` done by a thread; ``told`` gets the result on the loop's thread. When it raises, which is a
        defect, the result is what ``failed`` makes of a line about that. False, and nothing is done, when too much
        waits already."""
        if self._under_way >= self._room:
            return False

        def done(result: T) -> None:
            self._under_way -= 1
            told(result)

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # or the thread, and its room, were lost to all that come after
                result = failed(describe(error))
            with contextlib.suppress(RuntimeError):  # a loop that is closed wants no result
                self._post(lambda: done(result))

        self._under_way += 1
        if len(self._threads) < min(self._most, self._under_way):
            thread = Thread(target=self._serve, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._queue.put(run)
        return True

    def stop(self, *, wait: bool = True) -> None:
        """Let the threads end, when what is submitted is done; ``wait`` until then."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads if wait else ():
            thread.join()
        self._threads = []

    def _serve(self) -> None:
        make_way()
        while (run := self._queue.get()) is not None:
            run()
