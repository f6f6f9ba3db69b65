"""Which messages `fastsmtp trace` is asked for, found by the best index there is."""

import fnmatch
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from fastsmtp.config.values import parse_duration
from fastsmtp.ledger.line import Line
from fastsmtp.ledger.search import Kind, Ledger, Span, folded, holds
from fastsmtp.ledger.story import Story, read_story

_PATTERN = frozenset("*?[")


def parse_moment(text: str) -> float:
    """``4h`` ago, or a moment such as ``2026-11-24 15:00`` in UTC, in seconds since 1970 UTC. Raises ValueError."""
    try:
        return time.time() - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'expected how long ago, such as "4h", or a moment in UTC such as "2026-11-24 15:00", got "{text}"'
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class Wanted(Struct, frozen=True):
    """What all must be true of a message; None: anything."""

    span: Span
    to: str | None = None
    sender: str | None = None
    message_id: str | None = None

    @property
    def anything(self) -> bool:
        """Whether only its time matters."""
        return self.to is None and self.sender is None and self.message_id is None

    @property
    def scans(self) -> bool:
        """Whether no index answers."""
        return self._key() is None

    def found(self, ledger: Ledger) -> Iterator[Story | Line]:
        """Messages, newest event first, and refusals of some. Raises OSError."""
        seen: set[str] = set()
        for line in self._lines(ledger):
            queue_id = line.text("id")
            if line.kind == "rejected":
                if self.fits(line):
                    yield line
            elif queue_id and queue_id not in seen:
                seen.add(queue_id)
                story = read_story(ledger, queue_id)
                if story is not None and self._fits_story(story):
                    yield story

    def fits(self, line: Line) -> bool:
        """Whether an event says all of what is wanted by itself."""
        return (
            self.span.holds(line.at)
            and (self.sender is None or any(_same(one, self.sender) for one in line.texts("from")))
            and (self.to is None or any(_same(one, self.to) for one in line.texts("to")))
            and (self.message_id is None or _same_id(line.text("message_id"), self.message_id))
        )

    def _lines(self, ledger: Ledger) -> Iterator[Line]:
        key = self._key()
        if key is None:
            everything = list(ledger.scan(self.span, ("received", "rejected")))
            yield from reversed(everything)
        else:
            yield from ledger.find(*key, self.span)

    def _key(self) -> tuple[Kind, str] | None:
        if self.message_id is not None:
            return "message_id", self.message_id.strip("<>")
        choices: tuple[tuple[Kind, str | None], ...] = (("to", self.to), ("from", self.sender))
        return next(
            ((kind, text) for kind, text in choices if text is not None and not _PATTERN & set(text)), None
        )

    def _fits_story(self, story: Story) -> bool:
        return (
            (self.sender is None or (story.sender is not None and _same(story.sender, self.sender)))
            and (
                self.to is None
                or any(_same(fate.address, self.to) for fate in story.fates)
                or self._named(story)
            )
            and (self.message_id is None or _same_id(story.message_id, self.message_id))
        )

    def _named(self, story: Story) -> bool:
        return self.to is not None and any(holds(line, "to", self.to) for line in story.lines)


def _same(text: str, wanted: str) -> bool:
    text, wanted = folded(text), folded(wanted)
    return fnmatch.fnmatchcase(text, wanted) if _PATTERN & set(wanted) else text == wanted


def _same_id(text: str, wanted: str) -> bool:
    return folded(text).strip("<>") == folded(wanted).strip("<>")
