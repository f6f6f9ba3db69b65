"""An operator's change of much relay mail, in pieces that hold up nobody.

The loop's thread picks the messages of a piece while the writer commits the one before; between two pieces everything
else has its turn, on both threads. So a piece is what either of them works on for a few milliseconds.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from fastsmtp.spool.base import SpoolError, SpoolFull
from fastsmtp.spool.changes import Changes, Job
from fastsmtp.spool.rows import AT_ONCE, hold, remove, start_waiting, try_now

Action = Literal["hold", "release", "retry", "reroute", "remove"]
"""``hold``: no attempts until ``release``; ``retry``: due now; ``reroute``: to hops of its own, or by the routes
again, released and due now; ``remove``: gone, and nobody is told."""

PIECE: dict[Action, int] = {"hold": 200, "release": 200, "retry": 60, "reroute": 60, "remove": 30}
"""Messages of one commit; one or two milliseconds of the writer's time."""
MOST = 5000
"""About the messages of one call. The engine looks at them in pieces of its own."""
_CALL = 0.2
"""Seconds after which a call begins no more pieces."""
_AHEAD = 2
"""Pieces that are picked and not committed yet, at most."""
_CHANGE = 512
"""About the bytes one message's change puts."""


class Picked(NamedTuple):
    """Messages that are meant, each with whether it is fresh, and where to go on; see `FoundPage`."""

    ids: list[tuple[str, bool]]
    position: bytes | None
    looked: int
    scan: bool


class Changed(NamedTuple):
    """What this call changed, durably; ``skipped`` are messages the action means nothing for. See `FoundPage`."""

    ids: list[str]
    skipped: int
    position: bytes | None
    looked: int
    scan: bool


class Bulk:
    """One call. ``pick`` gives the next messages from a position on, a number of them at most; ``changed`` is told of
    each piece once it is committed; ``done`` is called at the end, with the first error if there was one. Called on
    the loop's thread, as all of these are."""

    def __init__(
        self,
        action: Action,
        hops: tuple[str, ...],
        position: bytes,
        *,
        pick: Callable[[bytes, int], Picked],
        changed: Callable[[Sequence[str]], None],
        done: Callable[[SpoolError | None, Changed], None],
        job: Callable[[Job], None],
        post: Callable[[Callable[[], None]], object],
        remove_body: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._action: Action = action
        self._hops = hops
        self._position: bytes | None = position
        self._pick = pick
        self._tell = changed
        self._done = done
        self._job = job
        self._post = post
        self._remove_body = remove_body
        self._monotonic = monotonic
        self._until = monotonic() + _CALL
        self._error: SpoolError | None = None
        self._ids: list[str] = []
        self._picked = 0
        self._looked = 0
        self._scan = False
        self._committing = 0

    def begin(self) -> None:
        """Pick a piece, and go on until the call is over."""
        assert self._position is not None
        picked = self._pick(self._position, PIECE[self._action])
        self._position = picked.position
        self._picked += len(picked.ids)
        self._looked += picked.looked
        self._scan = picked.scan
        self._committing += 1  # a piece of nothing too, as far as the order of things goes
        if picked.ids:
            self._commit(picked.ids)
        else:
            self._post(lambda: self._committed([], None))
        if self._committing < _AHEAD and self._more():
            self._post(self._next)

    def _more(self) -> bool:
        return (
            self._position is not None
            and self._error is None
            and self._picked < MOST
            and self._monotonic() < self._until
        )

    def _next(self) -> None:
        if self._committing < _AHEAD and self._more():
            self.begin()

    def _commit(self, ids: list[tuple[str, bool]]) -> None:
        made: list[str] = []
        gone: list[str] = []

        def apply(changes: Changes) -> None:
            gone.clear()
            made[:] = self._change(changes, ids, gone)

        def done(error: SpoolError | None) -> None:
            if error is None:
                for queue_id in gone:
                    self._remove_body(queue_id)
            if isinstance(error, SpoolFull) and len(ids) > 1:
                self._post(lambda: self._halve(ids))  # their recipients are many: a commit does not take it
            else:
                self._post(lambda: self._committed(made, error))

        self._job(Job(apply, done, urgent=True, size=_CHANGE * len(ids)))

    def _halve(self, ids: list[tuple[str, bool]]) -> None:
        self._committing += 1
        self._commit(ids[: len(ids) // 2])
        self._commit(ids[len(ids) // 2 :])

    def _change(self, changes: Changes, ids: list[tuple[str, bool]], gone: list[str]) -> list[str]:
        """Do it to these messages as they are by now: those it changed. What has gone, or is being tried for the
        first time and waits for no action, is left alone."""
        action, hops = self._action, self._hops
        if action in ("hold", "release"):
            made = hold(changes, [queue_id for queue_id, _ in ids], held=action == "hold")
            if action == "hold":
                made += [one for one, fresh in ids if fresh and start_waiting(changes, one, held=True)]
            return made
        if action == "retry":
            return try_now(changes, [queue_id for queue_id, _ in ids], None)
        if action == "reroute":
            made = try_now(changes, [queue_id for queue_id, _ in ids], hops)
            if hops:
                made += [one for one, fresh in ids if fresh and self._start(changes, one, hops)]
            return made
        made, files = remove(changes, [queue_id for queue_id, _ in ids])
        gone += files
        return made

    @staticmethod
    def _start(changes: Changes, queue_id: str, hops: tuple[str, ...]) -> bool:
        return start_waiting(changes, queue_id, held=False, due=AT_ONCE, hops=hops)

    def _committed(self, ids: list[str], error: SpoolError | None) -> None:
        self._committing -= 1
        self._error = self._error or error
        if error is None and ids:
            self._ids += ids
            self._tell(ids)
        if self._more():
            self._next()
        elif not self._committing:
            skipped = self._picked - len(self._ids)
            self._done(self._error, Changed(self._ids, skipped, self._position, self._looked, self._scan))
