"""Work that is too long for one turn of the loop."""

from collections.abc import Callable, Iterator


class Steps:
    """Goes through iterators, one piece a turn each, until `end`. ``soon`` calls on the next turn of the loop."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._ended = False

    def run(self, work: Iterator[None]) -> None:
        """Begin with ``work``."""

        def step() -> None:
            if not self._ended and next(work, self) is None:
                self._soon(step)

        self._soon(step)

    def end(self) -> None:
        """Nothing is gone on with."""
        self._ended = True
