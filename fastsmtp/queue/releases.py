"""Mail that its senders have held for a time (RFC 4865), after a start: the time they named is the clock's, and queue
time has not gone on by all of a long absence. What waits is given the due time it would have by now."""

from collections.abc import Callable, Iterator
from itertools import islice

from fastsmtp.mail.future_release import release_at
from fastsmtp.queue.hand import Box, Hand
from fastsmtp.queue.letters import RemoteMail
from fastsmtp.queue.plan.window import Entry

_PAGE = 100


class Releases:
    """``wall`` is what the clock says, ``now`` queue time."""

    def __init__(self, box: Box, hand: Hand, *, wall: Callable[[], float], now: Callable[[], float]) -> None:
        self._box = box
        self._hand = hand
        self._wall = wall
        self._now = now

    def bring_forward(self) -> Iterator[None]:
        """Look through all that has a due time, a page at a time."""
        entry: Entry | None = (self._now(), "")
        while entry is not None:
            page = list(islice(self._box.due_from(entry), _PAGE + 1))
            entry = page[_PAGE] if len(page) > _PAGE else None
            for _, queue_id in page[:_PAGE]:
                mail = self._hand.take(queue_id)
                if mail is not None:
                    self._put_right(mail)
                    self._hand.release(mail)
            yield

    def _put_right(self, mail: RemoteMail) -> None:
        release = release_at(mail.envelope.params, mail.envelope.received_at)
        if release is None or mail.busy:
            return
        now = self._now()
        at = max(now, now + release - self._wall())
        if mail.queued_at > at:  # it is what still waits for its time whose age begins in the future
            mail.queued_at = at
            mail.put_off(list(mail.left), at)
            self._hand.touch(mail)
