"""Mail for other hosts whose recipients live here by now: the routes have changed while it waited, its sender had it
held for a time (RFC 4865), or their mailboxes were full when it came.

It enters by the intake once more, as mail for their mailboxes, and only when it is durable there those recipients are
done. A crash in between brings it twice.
"""

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from fastsmtp.intake.intake import Incoming
from fastsmtp.mail.envelope import Recipient
from fastsmtp.mail.future_release import request, without_request
from fastsmtp.mail.reply import SPOOL_FAILED, Reply
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.queue.hand import Hand
from fastsmtp.queue.judging import Judge
from fastsmtp.queue.letters import RemoteMail, refused
from fastsmtp.routing.room import Quotas, refusal
from fastsmtp.routing.route import LocalRoute
from fastsmtp.transport.smtp.connection import FileContent

_PIECE = 65_536


class Door(Protocol):
    """`Intake`, or a test's."""

    def begin(
        self,
        *,
        sender: str,
        recipients: list[Recipient],
        client_ip: str,
        helo: str,
        protocol: str,
        parameters: dict[str, str] | None,
        resume: Callable[[], None],
    ) -> Incoming | Reply:
        """See `Intake.begin`."""


class Home:
    """Called on the loop's thread. Without ``quotas`` no mailbox is ever full."""

    def __init__(self, hand: Hand, door: Door, judge: Judge, quotas: Quotas | None = None) -> None:
        self._hand = hand
        self._door = door
        self._judge = judge
        self._quotas = quotas
        self._coming: set[_Coming] = set()

    def bring(self, mail: RemoteMail, places: Mapping[int, LocalRoute]) -> None:
        """Into these mailboxes, by recipient. Where that cannot be for now, they wait as after an attempt."""
        params = mail.envelope.params
        full = {number: why for number, one in places.items() if (why := refusal(self._quotas, one, params))}
        if full:
            self._judge.judge(mail, [refused(number, reply) for number, reply in full.items()])
        mailboxes = {number: one.mailbox for number, one in places.items() if number not in full}
        if mailboxes:
            self._bring(mail, mailboxes)

    def _bring(self, mail: RemoteMail, mailboxes: Mapping[int, str]) -> None:
        mail.busy.update(mailboxes)

        def done(result: Reply | str) -> None:
            self._coming.discard(coming)
            mail.busy.difference_update(mailboxes)
            if isinstance(result, Reply):
                self._judge.judge(mail, [refused(number, result, later=True) for number in mailboxes])
            else:
                why = "it was held" if request(mail.envelope.params) else "it lives here by now"
                text = f"{why}: queued as {result}"
                self._judge.judge(
                    mail,
                    [
                        DeliveryResult(number, "delivered", 0, "2.0.0", text, "", "x-fastsmtp")
                        for number in mailboxes
                    ],
                )

        coming = _Coming(done)
        self._coming.add(coming)
        coming.begin(self._hand, self._door, mail, mailboxes)

    def stop(self) -> None:
        """What is not in yet stays where it is."""
        for coming in self._coming:
            coming.stop()
        self._coming.clear()


class _Coming:
    """One message on its way in."""

    def __init__(self, done: Callable[[Reply | str], None]) -> None:
        self._done = done
        self._incoming: Incoming | None = None
        self._content: bytes | FileContent = b""
        self._at = 0
        self._stopped = False

    def begin(self, hand: Hand, door: Door, mail: RemoteMail, mailboxes: Mapping[int, str]) -> None:
        envelope = mail.envelope
        known = [envelope.recipients[number] for number in mailboxes]
        try:
            content = hand.content(envelope.id)
        except Exception:  # storage does not answer: later
            content = None
        incoming = door.begin(
            sender=envelope.sender,
            recipients=[
                Recipient(one.address, mailbox, one.params, one.sender, one.original)
                for one, mailbox in zip(known, mailboxes.values(), strict=True)
            ],
            client_ip="",
            helo="",
            protocol="",
            parameters=without_request(envelope.params),
            resume=self._go_on,
        )
        if isinstance(incoming, Reply) or content is None:
            if isinstance(content, FileContent):
                os.close(content.fd)
            self._done(incoming if isinstance(incoming, Reply) else SPOOL_FAILED)
            return
        self._incoming, self._content = incoming, content
        self._go_on()

    def stop(self) -> None:
        """Let it be."""
        self._stopped = True
        if self._incoming is not None:
            self._incoming.abort()
        self._close()

    def _go_on(self) -> None:
        incoming = self._incoming
        if self._stopped or incoming is None:
            return
        try:
            while piece := self._next():
                self._at += len(piece)
                if not incoming.write(piece):
                    return
        except OSError:
            incoming.abort()
            self._over(SPOOL_FAILED)
            return
        self._close()
        self._incoming = None
        failure = incoming.finish(lambda one, reply: self._over(reply or one.envelope.id))
        if failure is not None:
            self._over(failure)

    def _next(self) -> bytes:
        content = self._content
        if isinstance(content, bytes):
            return content[self._at : self._at + _PIECE]
        return os.pread(content.fd, min(_PIECE, content.length - self._at), content.offset + self._at)

    def _over(self, result: Reply | str) -> None:
        self._close()
        if not self._stopped:
            self._done(result)

    def _close(self) -> None:
        if isinstance(self._content, FileContent):
            os.close(self._content.fd)
        self._content = b""
