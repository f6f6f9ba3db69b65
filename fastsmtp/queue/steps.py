"""Work that is too long for one turn of the loop."""

from collections.abc import Callable, Iterator

AGAIN = 60.0
"""Seconds after which work that met trouble is begun anew."""


class Steps:
    """Goes through iterators, one piece a turn each, until `end`. ``soon`` calls on the next turn of the loop,
    ``later`` after so many seconds; ``event`` is told of trouble."""

    def __init__(
        self,
        soon: Callable[[Callable[[], None]], object],
        later: Callable[[float, Callable[[], None]], object],
        event: Callable[[str], None],
    ) -> None:
        self._soon = soon
        self._later = later
        self._event = event
        self._ended = False

    def run(self, begin: Callable[[], Iterator[None]]) -> None:
        """Go through what ``begin`` gives, and begin anew when it meets trouble, as where storage does not answer."""
        work = begin()

        def step() -> None:
            if self._ended:
                return
            try:
                over = next(work, self) is self
            except Exception as error:
                self._event(f"the queue could not be read, which is tried again: {error!r}")
                self._later(AGAIN, lambda: self.run(begin))
                return
            if not over:
                self._soon(step)

        self._soon(step)

    def end(self) -> None:
        """Nothing is gone on with."""
        self._ended = True
