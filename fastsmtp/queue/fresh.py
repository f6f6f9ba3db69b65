"""Mail that has had no attempt yet: as it is committed while there is room for it in memory, else from the spool."""

from collections.abc import Callable, Iterator

from fastsmtp.mail.envelope import Envelope
from fastsmtp.queue.hand import Box, Hand
from fastsmtp.queue.steps import Steps

MOST = 10_000
"""Messages in memory up to which fresh ones are taken."""
_PAGE = 500


class FreshMail:
    """``take`` gets each message."""

    def __init__(
        self,
        box: Box,
        hand: Hand,
        steps: Steps,
        take: Callable[[Envelope], None],
        event: Callable[[str], None],
    ) -> None:
        self._box = box
        self._hand = hand
        self._steps = steps
        self._take = take
        self._event = event
        self._passed_by: bytes | None = b""
        """The first of the messages that were left in the spool; at the start, all that stand there."""
        self._reading = False

    def committed(self, envelope: Envelope, length: int) -> None:
        """A message was committed."""
        if envelope.id in self._hand.mails:
            return  # it was read from the spool in the moment before
        if len(self._hand.mails) >= MOST:
            self._pass_by(envelope.id.encode())
            return
        try:
            self._take(envelope)
        except Exception as error:  # a fault of ours must not cost the others of its commit their turn
            self._event(f"internal error at {envelope.id}, which waits for the next start: {error!r}")

    def go_on(self) -> None:
        """Read on with those that were passed by, if there is room."""
        if self._passed_by is not None and not self._reading and len(self._hand.mails) <= MOST // 2:
            position, self._passed_by = self._passed_by, None
            self._reading = True
            self._steps.run(lambda: self._read(position))

    def _read(self, start: bytes) -> Iterator[None]:
        position: bytes | None = start
        while position is not None:
            if len(self._hand.mails) >= MOST:
                self._pass_by(position)
                break
            ids, position = self._box.fresh(position, _PAGE)
            for queue_id in ids:
                if queue_id not in self._hand.mails and not self._hand.aside(queue_id):
                    found = self._box.load(queue_id)
                    if found is not None and found[1] is None:
                        self._take(found[0])
            yield
        self._reading = False

    def _pass_by(self, position: bytes) -> None:
        if self._passed_by is None or position < self._passed_by:
            self._passed_by = position
