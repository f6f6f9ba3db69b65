"""A message that comes by no connection of ours, such as by HTTP: the same session asks the same questions.

Whoever brings it has proven who the sender is. What SMTP's dialogue checks besides (sizes, numbers) is checked here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from fastsmtp.accounts.base import Identity
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import (
    MAILBOX_FULL,
    MAILBOX_OVER_QUOTA,
    NO_VALID_RECIPIENTS,
    NOT_YOUR_ADDRESS,
    OK,
    RECIPIENT_OK,
    TOO_BIG,
    TOO_MANY_RECIPIENTS,
    Reply,
    queued_as,
)
from fastsmtp.session.listener import Listener
from fastsmtp.session.session import Context, Session
from fastsmtp.smtp.handler import PENDING, Answer, Challenge

T = TypeVar("T")


class Submitter(Struct, frozen=True, kw_only=True):
    """Who brings a message: ``identity`` as an account, or a program that shows a token, whose ``senders`` are all
    that it may send as (canonical: ``user@domain``, ``@domain``, ``*``). ``carrier`` is for Received's "with", and
    ``helo`` says who it is where there is no ``ip``. Nobody ``waits`` for the answer where it was given before: what
    is refused for good goes into the queue then, which tells the sender, and sizes and numbers were looked at."""

    identity: Identity
    ip: str
    carrier: Literal["HTTP", "HTTPS", "local"]
    senders: tuple[str, ...] | None = None
    helo: str = ""
    waits: bool = True

    def may(self, sender: Address, canonical: str) -> bool:
        """Whether a token may send as ``sender``, which is ``canonical`` in its looked up form; of an account the
        session knows."""
        if self.senders is None:
            return True
        domain = "@" + canonical.rpartition("@")[2]
        return bool(sender.text) and not {canonical, domain, "*"}.isdisjoint(self.senders)


class Outcome(Struct):
    """What became of it: ``reply`` is positive when it is stored, under ``id``; then, and when all of them were
    refused, ``recipients`` has the reply to each in the order they were given."""

    reply: Reply
    id: str = ""
    recipients: Sequence[Reply] = ()


Named = Callable[[Outcome], Awaitable[None]]


class _Wire:
    """The session's connection, which there is none: answers are waited for."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[Reply | None] | None = None
        self._flows = asyncio.Event()
        self._flows.set()

    def answer(self, reply: Reply | Challenge | None) -> None:
        """See `Wire.answer`."""
        assert not isinstance(reply, Challenge)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(reply)

    def become(self, ip: str) -> Reply | None:
        """See `Wire.become`: nobody speaks for another here."""
        return None

    def pause_body(self) -> None:
        """See `Wire.pause_body`."""
        self._flows.clear()

    def resume_body(self) -> None:
        """See `Wire.resume_body`."""
        self._flows.set()

    async def settled(self, answer: Answer) -> Reply | None:
        """``answer``, waited for when it is pending."""
        if answer is not PENDING:
            return answer
        self._answer = asyncio.get_running_loop().create_future()
        try:
            return await self._answer
        finally:
            self._answer = None

    async def flowing(self) -> None:
        """Until more of the body is wanted."""
        await self._flows.wait()


class Submission:
    """One message to `deliver`. Lives on the loop's thread."""

    def __init__(self, context: Context, listener: Listener, limits: LimitSettings, by: Submitter) -> None:
        self._limits = limits
        self._by = by
        self._wire = _Wire()
        self._session = Session(context, listener, by.ip, self._wire)
        self._session.on_hello(by.helo or (f"[IPv6:{by.ip}]" if ":" in by.ip else f"[{by.ip}]"), True)
        self._session.vouched(by.identity, by.carrier, sender_known=by.senders is not None)

    async def deliver(
        self,
        sender: Address,
        canonical_sender: str,
        recipients: Sequence[Address],
        parameters: dict[str, str],
        size: int,
        body: AsyncIterator[bytes],
        named: Named | None = None,
        rcpt: dict[str, str] | None = None,
    ) -> Outcome:
        """Bring it in; returns when it is on stable storage, or refused. ``parameters`` are those of MAIL, ``rcpt``
        of each RCPT; ``body`` has ``size`` octets, each line ended by CRLF; ``named`` is told what will be its
        outcome, before it can be. When it is cancelled nothing comes of the message, unless its body was complete."""
        session, settled = self._session, self._wire.settled
        refused = self._refused(sender, canonical_sender, len(recipients), size)
        if refused is not None:
            return Outcome(refused)
        try:
            reply = await settled(session.on_mail(sender, {**parameters, "SIZE": str(size)}))
            if reply is not None and not reply.positive:
                return Outcome(reply)
            replies = []
            for recipient in recipients:
                reply = await settled(session.on_rcpt(recipient, rcpt)) or RECIPIENT_OK
                if not reply.positive and not self._by.waits:
                    if reply in (MAILBOX_FULL, MAILBOX_OVER_QUOTA):
                        session.wait_for_room(recipient, rcpt)
                    elif reply.code >= 500 or reply == TOO_MANY_RECIPIENTS:
                        session.undeliverable(recipient, rcpt)
                    else:
                        return Outcome(reply)
                    reply = RECIPIENT_OK
                replies.append(reply)
            if not any(one.positive for one in replies):
                return Outcome(_of_all(replies), recipients=replies)
            reply = await settled(session.on_data(False))
            if reply is not None:
                return Outcome(reply)
            queue_id = session.queue_id
            async for piece in body:
                session.on_body(piece)
                await self._wire.flowing()
            if named is not None:
                await named(Outcome(queued_as(queue_id), queue_id, replies))
            reply = await settled(session.on_body_end()) or OK
        finally:
            # Nothing is left of what did not come to its end; what did has nothing left.
            session.on_reset()
            session.close()
        return Outcome(reply, queue_id, replies) if reply.positive else Outcome(reply)

    def _refused(self, sender: Address, canonical: str, recipients: int, size: int) -> Reply | None:
        if not self._by.waits:
            return None
        if size > self._limits.message_size:
            return TOO_BIG
        if recipients > self._limits.recipients:
            return TOO_MANY_RECIPIENTS
        return None if self._by.may(sender, canonical) else NOT_YOUR_ADDRESS


def _of_all(replies: Sequence[Reply]) -> Reply:
    """The reply to a message that has no recipient left: a temporary one where that of one is, so that it is tried
    again."""
    return next(
        (one for one in replies if one.code < 500), replies[0] if len(replies) == 1 else NO_VALID_RECIPIENTS
    )
