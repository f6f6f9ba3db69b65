"""The mail for other hosts that is in memory, and its way back to the spool.

What changes in one turn of the loop is one settlement. A notice is durable before the change it tells of is
committed: a crash between the two may tell twice, and never not at all.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from fastsmtp.bounce.decide import Outcome
from fastsmtp.bounce.original import Original
from fastsmtp.mail.envelope import Envelope
from fastsmtp.queue.letters import RemoteMail
from fastsmtp.queue.plan.window import Entry
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.relay import Defer, Finish, Mail, Page
from fastsmtp.spool.waiting import Waiting
from fastsmtp.transport.smtp.connection import FileContent


class Box(Protocol):
    """The spool as this engine sees it; `RelayBox`, or a test's. All methods are called on the loop's thread."""

    on_fresh: Callable[[Envelope, int], None] | None
    on_changed: Callable[[Sequence[str]], None] | None

    def settle(self, changes: Sequence[Defer | Finish], done: Callable[[SpoolError | None], None]) -> None:
        """See `RelayBox.settle`."""

    def reading(self, queue_id: str) -> AbstractContextManager[Mail | None]:
        """See `RelayBox.reading`."""

    def load(self, queue_id: str) -> tuple[Envelope, Waiting | None] | None:
        """See `RelayBox.load`."""

    def is_held(self, queue_id: str) -> bool:
        """See `RelayBox.is_held`."""

    def fresh(self, position: bytes, limit: int) -> Page:
        """See `RelayBox.fresh`."""

    def due_from(self, entry: Entry) -> Iterator[Entry]:
        """See `RelayBox.due_from`."""

    def domains(self, position: bytes, limit: int) -> Page:
        """See `RelayBox.domains`."""

    def of_domain(self, domain: str, position: bytes, limit: int) -> Page:
        """See `RelayBox.of_domain`."""


Told = Callable[[list[Outcome]], None]
"""Called with what is to be told again, as its notice could not be stored; with nothing when all are."""


class Teller(Protocol):
    """`Notifier`, or a test's."""

    def tell(
        self,
        envelope: Envelope,
        outcomes: Iterable[Outcome],
        original: Callable[[int], Original],
        done: Told,
    ) -> None:
        """Send the notices that are owed, then call ``done``."""


class Hand:
    """``mails`` by queue id. ``soon`` calls on the next turn of the loop. ``settled`` is called with each mail that
    was stored again, and waits; ``aside`` tells what is not to be touched yet (suspects.py)."""

    def __init__(
        self,
        box: Box,
        teller: Teller,
        *,
        soon: Callable[[Callable[[], None]], object],
        event: Callable[[str], None],
        settled: Callable[[RemoteMail], None],
        aside: Callable[[str], bool],
    ) -> None:
        self.mails: dict[str, RemoteMail] = {}
        self._box = box
        self._teller = teller
        self._soon = soon
        self._event = event
        self._settled = settled
        self.aside = aside
        self._dirty: list[RemoteMail] = []
        self._called = False
        self._untold: list[tuple[RemoteMail, list[Outcome]]] = []

    def take(self, queue_id: str, found: tuple[Envelope, Waiting | None] | None = None) -> RemoteMail | None:
        """The mail with this id, out of the spool if need be, where it was ``found`` just now if anybody looked; None
        when it is gone, was not tried yet, or is set aside."""
        mail = self.mails.get(queue_id)
        if mail is not None:
            return mail
        found = None if self.aside(queue_id) else found or self._box.load(queue_id)
        if found is None or found[1] is None:
            return None
        mail = self.mails[queue_id] = RemoteMail(found[0], found[1].queued_at, found[1])
        return mail

    def release(self, mail: RemoteMail) -> None:
        """Forget it, unless something is still to be done with it."""
        if not mail.in_use:
            self.mails.pop(mail.envelope.id, None)

    def forget(self, mail: RemoteMail) -> None:
        """It is gone from the spool."""
        mail.left.clear()
        mail.busy.clear()
        self.release(mail)

    def touch(self, mail: RemoteMail) -> None:
        """It has changed, and is to be stored, or removed when nobody is left."""
        if not mail.dirty:
            mail.dirty = True
            self._dirty.append(mail)
        if not self._called:
            self._called = True
            self._soon(self._flush)

    def tell(self, mail: RemoteMail, outcomes: list[Outcome]) -> None:
        """Let its senders be told; its changes are stored after that."""
        mail.telling += 1

        def done(again: list[Outcome]) -> None:
            if again:
                self._untold.append((mail, again))
            else:
                mail.telling -= 1
                self.touch(mail)

        self._teller.tell(mail.envelope, outcomes, lambda most: self._original(mail.envelope.id, most), done)

    def content(self, queue_id: str) -> bytes | FileContent | None:
        """The message, whose file is the caller's to close; a copy of a small one, as the spool's memory is another's
        soon. None when it is gone."""
        with self._box.reading(queue_id) as found:
            if found is None:
                return None
            if found.view is not None:
                return bytes(found.view)
            assert found.path is not None
            fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC)
            return FileContent(fd, found.offset, found.length)

    def tick(self) -> None:
        """Once a second: try again what could not be told."""
        untold, self._untold = self._untold, []
        for mail, outcomes in untold:
            mail.telling -= 1
            self.tell(mail, outcomes)

    @property
    def settling(self) -> bool:
        """Whether something is on its way to the spool."""
        return any(mail.dirty or mail.commits or mail.telling for mail in self.mails.values())

    def _original(self, queue_id: str, most: int) -> Original:
        """The first ``most`` octets of the message, all of them for a negative number."""
        with self._box.reading(queue_id) as found:
            if found is None:
                return Original(b"", 0)
            if found.view is not None:
                return Original(bytes(found.view[:most]), found.length)
            assert found.path is not None
            try:
                with found.path.open("rb") as file:
                    file.seek(found.offset)
                    return Original(file.read(most), found.length)
            except OSError as error:
                self._event(f"{found.path}: {error.strerror}")
                return Original(b"", found.length)

    def _flush(self) -> None:
        self._called = False
        changes: list[Defer | Finish] = []
        mails = []
        for mail in self._dirty:
            mail.dirty = False
            if mail.telling:
                continue  # it comes again when its senders are told
            mail.commits += 1
            mails.append(mail)
            if mail.left:
                mail.stored = True
                changes.append(Defer(mail.envelope.id, mail.waiting()))
            else:
                changes.append(Finish(mail.envelope.id, len(mail.envelope.recipients)))
        self._dirty.clear()
        if changes:
            self._box.settle(changes, lambda error: self._committed(mails, error))

    def _committed(self, mails: list[RemoteMail], error: SpoolError | None) -> None:
        if error is not None:  # the spool ends: what is not stored is found as it was by the next start
            self._event(f"results of {len(mails)} message(s) could not be stored: {error}")
        for mail in mails:
            mail.commits -= 1
            if mail.left and not mail.dirty and error is None:
                self._settled(mail)
            self.release(mail)
