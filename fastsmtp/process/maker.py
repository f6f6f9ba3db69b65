"""What the master wants of whoever makes its generations; generation.py does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from fastsmtp.process.crew import Generation
from fastsmtp.process.door import Door
from fastsmtp.process.heritage import Heritage
from fastsmtp.process.messages import Renewal


class Refusal(Exception):
    """There can be no new generation; its ``lines`` say why."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(*lines)
        self.lines = list(lines)


class NotYet(Exception):
    """There can be no new generation before the current one has given ``shards`` back."""

    def __init__(self, shards: Sequence[int]) -> None:
        super().__init__(*shards)
        self.shards = shards


class Maker(Protocol):
    """Makes generations from settings, and knows what the master does not: sockets, tables, certificates."""

    def first(self) -> Generation:
        """The one that the server starts with."""

    def next(self, taken: set[int], orphans: set[int]) -> Generation:
        """One by the settings as they are now. ``taken``: shards that processes have open, among them ``orphans``,
        which the current generation has adopted. Raises `Refusal`, `NotYet`."""

    def begin(self) -> tuple[list[int], list[str]]:
        """The last one made takes over. Returns the numbers of those listeners of the one before it that it does not
        have, and lines that say what is new. Raises `StartError`."""

    def take_over(self) -> None:
        """The first generation, which has waited, serves in place of another master's: take connections on sockets
        that are new. Raises `StartError`."""

    def claim(self) -> None:
        """This is the server's master now."""

    def abandoned(self) -> bool:
        """Whether the master that has claimed the server, another one by now, has ended."""

    def heritage(self, channel: int) -> Heritage:
        """What another master is given, that we speak with by ``channel``."""

    def shun(self) -> None:
        """It has come to nothing: use nothing that it has made."""

    def give_up(self) -> None:
        """The last one made is none."""

    def announce(self) -> None:
        """All workers serve."""

    def stop(self) -> list[int]:
        """No generation follows any more: close the listening sockets, whose numbers are returned."""

    def open_door(self, make: Callable[[Path, int], Door]) -> None:
        """Have ``make`` called with the place of the master's socket and the user who may ask, and open it."""

    def listeners(self) -> list[str]:
        """Of the current generation, for people."""

    def sessions(self, row: int) -> int:
        """Of the process of ``row``."""

    def waiting(self, shard: int | None) -> int:
        """Messages in a shard, or in all of them."""

    def ended(self, row: int, orderly: bool) -> None:
        """The process of ``row`` has ended."""

    def renewals(self, at_once: bool) -> Sequence[Renewal]:
        """Certificates that were replaced: asked once a second."""

    def reopen(self) -> int | None:
        """Open the log's file anew, for all processes; None where there is none. Raises OSError."""
