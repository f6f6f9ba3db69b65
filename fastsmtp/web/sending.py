"""``POST /v1/messages``: a message comes in by HTTP, and is answered when it is on stable storage."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fastsmtp.control.mail import MOST_RECIPIENTS, Said, Submit, Submitted
from fastsmtp.mail.address import Address
from fastsmtp.routing.addresses import parse_address
from fastsmtp.web import raw
from fastsmtp.web.bodies import Large, Lines, Mail, MailBox, Pieces, too_large, whole
from fastsmtp.web.compose import Composed, compose
from fastsmtp.web.hub import Hub
from fastsmtp.web.message import Accepted, NewMessage, RecipientResult
from fastsmtp.web.operation import Answer, Asked, Operation, read_body
from fastsmtp.web.problem import Problem, later
from fastsmtp.web.replay import KEYS, LONGEST_KEY, Busy, Record, record_name

JSON, MIME = "application/json", "message/rfc822"
_KEY = "idempotency-key"
_KEY_FORM = re.compile(rf"[!-~]{{1,{LONGEST_KEY}}}")
_COMPOSED_AT_ONCE = 2

WasReceived = Callable[[str], Awaitable[bool | None]]
"""Whether a message of this queue id was ever received; None: that cannot be told."""


class SendQuery(Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """The envelope of a message that is posted as message/rfc822; absent: by its header."""

    sender: Annotated[str, Meta(max_length=1000, description="who it is from")] = ""
    to: Annotated[
        tuple[str, ...], Meta(max_length=MOST_RECIPIENTS, description="a recipient; may stand several times")
    ] = ()


class _Post(Struct):
    """What goes to a worker: the ``envelope``, and the content as it comes."""

    sender: Address
    recipients: Sequence[Address]
    utf8: bool
    first: bytes
    pieces: Pieces
    digest: bytes = b""
    """Of the request, where it is not that of the content: the boundaries of a composed message are drawn by lot."""


class SendApi:
    """Takes mail for the workers of ``hub``; a message may have ``most`` octets."""

    def __init__(
        self,
        hub: Hub,
        mailbox: MailBox,
        data_dir: Path,
        most: int,
        was_received: WasReceived,
        now: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._mailbox = mailbox
        self._keys = data_dir / KEYS
        self._most = most
        self._was_received = was_received
        self._now = now
        self._large = Large()
        self._composing = asyncio.Semaphore(_COMPOSED_AT_ONCE)

    def operations(self) -> list[Operation]:
        """What can be asked."""
        return [
            Operation(
                method="POST",
                path="/v1/messages",
                name="sendMessage",
                group="messages",
                summary="Send a message",
                about="As JSON, or as it goes over the wire (message/rfc822), with the envelope in the query or by "
                "its header; Bcc is taken out of that. 202 comes when the message is on stable storage; each "
                "recipient has his own result. With an Idempotency-Key a request may be repeated for a day: it is "
                "carried out once, and answered alike.",
                handler=self._send,
                right="send",
                query=SendQuery,
                body=NewMessage,
                media=(MIME,),
                answer=Accepted,
                status=202,
                errors=(409, 429),
                headers={
                    "Idempotency-Key": f"Up to {LONGEST_KEY} printable characters, chosen by the client."
                },
            )
        ]

    async def _send(self, asked: Asked) -> Answer:
        kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (JSON, MIME):
            raise Problem(415, f"expected Content-Type {JSON} or {MIME}")
        key = asked.headers.get(_KEY)
        if key is not None and not _KEY_FORM.fullmatch(key):
            raise Problem(
                422, f"Idempotency-Key: expected up to {LONGEST_KEY} printable ASCII characters, no blanks"
            )
        if asked.length is not None and asked.length > self._most_of(kind):
            raise too_large(self._most_of(kind))
        async with (
            self._read(asked, kind) as post,
            self._mailbox.keep(post.first, post.pieces, self._most) as mail,
        ):
            if key is None:
                return _answer(post, await self._submit(asked, post, mail, ""))
            return await self._once(asked, post, mail, key)

    def _most_of(self, kind: str) -> int:
        """Octets of a body: in JSON attachments are a third larger, and text is escaped."""
        return self._most if kind == MIME else self._most + (self._most >> 1) + 65_536

    # --- what is posted -----------------------------------------------------------------------

    @asynccontextmanager
    async def _read(self, asked: Asked, kind: str) -> AsyncIterator[_Post]:
        if kind == MIME:
            yield await self._as_it_is(asked)
            return
        if asked.query != SendQuery():
            raise Problem(422, f"query: from and to are for {MIME}")
        async with self._large.turn(asked.length):
            data = await whole(asked.pieces, self._most_of(kind))
            digest = hashlib.sha256(data).digest()
            message = read_body(NewMessage, data)
            del data
            try:
                async with self._composing:
                    made = await asyncio.to_thread(_composed, message)
            except ValueError as error:
                raise Problem(422, f"body: {error}") from None
            del message
            yield _Post(made.sender, made.recipients, made.utf8, made.content, _nothing(), digest)

    async def _as_it_is(self, asked: Asked) -> _Post:
        query: SendQuery = asked.query
        lines = Lines()
        pieces = _with_line_ends(asked.pieces, lines)
        start = b""
        async for piece in pieces:
            start += piece
            if len(start) >= raw.MOST_HEAD or raw.split(start) is not None:
                break
        found = raw.split(start) or (start, b"")
        head = found[0]
        if not start:
            raise Problem(422, "body: it is empty")
        if len(head) >= raw.MOST_HEAD:
            raise Problem(422, f"body: a header of more than {raw.MOST_HEAD:,} octets")
        try:
            sender = parse_address(query.sender) if query.sender else None
            recipients: Sequence[Address] = [parse_address(one) for one in query.to]
            if sender is None or not recipients:
                header = await asyncio.to_thread(raw.read, head)
                sender, recipients = sender or header.sender, recipients or header.recipients
        except ValueError as error:
            raise Problem(422, str(error)) from None
        if sender is None:
            raise Problem(
                422, "from: say in the query who it is from; the header has not one From with one address"
            )
        if not recipients:
            raise Problem(422, "to: say in the query whom it is for; the header names nobody")
        utf8 = not all(one.text.isascii() for one in (sender, *recipients))
        return _Post(sender, recipients, utf8, raw.without_bcc(head) + found[1], pieces)

    # --- carried out --------------------------------------------------------------------------

    async def _submit(self, asked: Asked, post: _Post, mail: Mail, record: str) -> Submitted:
        user = asked.user
        assert user is not None
        if len(post.recipients) > MOST_RECIPIENTS:
            raise Problem(422, f"to: more than {MOST_RECIPIENTS} recipients; send it in several requests")
        answer: Submitted = await self._hub.any(
            "mail.submit",
            Submit(
                asked.client.ip,
                "HTTPS" if asked.client.tls else "HTTP",
                user.name,
                user.login_senders,
                user.senders,
                post.sender.text,
                tuple(one.text for one in post.recipients),
                mail.start,
                mail.size,
                post.utf8,
                mail.name,
                record,
            ),
            Submitted,
        )
        return answer

    async def _once(self, asked: Asked, post: _Post, mail: Mail, key: str) -> Answer:
        """Carry it out, unless it was: then what was answered is answered again."""
        assert asked.user is not None
        name = record_name(asked.user.key, key)
        try:
            record = await asyncio.to_thread(Record, self._keys / name, self._now)
        except Busy:
            raise Problem(409, "a request with this Idempotency-Key is under way") from None
        except OSError as error:
            raise later(f"the Idempotency-Key cannot be kept: {error.strerror}", 30) from None
        try:
            digest = await asyncio.to_thread(self._digest, post, mail)
            told = await self._told(record, post, digest)
            if told is not None:
                return told
            await asyncio.to_thread(record.begin, digest)
            # Where no answer comes the record stays as it is: the message may have been taken all the same.
            said = await self._submit(asked, post, mail, name)
            try:
                answer = _answer(post, said)
            except Problem:
                record.forget()
                raise
            await asyncio.to_thread(record.end, digest, answer.status, answer.body)
            return answer
        except OSError as error:
            raise later(f"the Idempotency-Key cannot be kept: {error.strerror}", 30) from None
        finally:
            record.close()

    async def _told(self, record: Record, post: _Post, digest: bytes) -> Answer | None:
        """What the same request was answered before; None when nothing came of it."""
        past = record.past
        if past is None:
            return None
        if past.digest != digest:
            raise Problem(422, "another request came with this Idempotency-Key")
        if past.status:
            return Answer(past.answer, past.status, headers={"Idempotent-Replayed": "true"})
        if not record.named:
            return None
        named = msgspec.msgpack.decode(record.named, type=Submitted)
        received = await self._was_received(named.id)
        if received is None:
            raise Problem(
                409,
                f"the server ended while this request was carried out; whether {named.id} was taken, its log tells",
            )
        if not received:
            return None
        answer = _answer(post, named)
        await asyncio.to_thread(record.end, digest, answer.status, answer.body)
        return Answer(answer.body, answer.status, headers={"Idempotent-Replayed": "true"})

    def _digest(self, post: _Post, mail: Mail) -> bytes:
        """Of the request as a whole. In a thread."""
        if post.digest:
            return post.digest
        made = hashlib.sha256(repr((post.sender.text, [one.text for one in post.recipients])).encode())
        if mail.name:
            with self._mailbox.path(mail).open("rb") as file:
                while piece := file.read(1 << 20):
                    made.update(piece)
        else:
            made.update(mail.start)
        return made.digest()


def _composed(message: NewMessage) -> Composed:
    made = compose(message)
    lines = Lines()
    return made._replace(content=lines.feed(made.content) + lines.end())


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _with_line_ends(pieces: Pieces, lines: Lines) -> AsyncIterator[bytes]:
    """``pieces`` with CRLF at the ends of lines, the last one too."""
    last = b""
    async for piece in pieces:
        found = lines.feed(piece)
        if found:
            last = found[-2:]
            yield found
    rest = lines.end()
    if rest or (last and not last.endswith(b"\n")):
        yield rest or b"\r\n"


def _answer(post: _Post, said: Submitted) -> Answer:
    """202, or a `Problem`, which is raised."""
    results = tuple(
        RecipientResult(
            address=recipient.text,
            accepted=one.code < 300,
            code=one.code,
            enhanced=one.enhanced,
            text=one.text,
        )
        for recipient, one in zip(post.recipients, said.recipients, strict=False)
    )
    if said.reply.code < 300:
        accepted = Accepted(id=said.id, recipients=results)
        return Answer(msgspec.json.encode(accepted), 202, headers={"Location": f"/v1/trace?id={said.id}"})
    raise _refused(said.reply, results)


_STATUS = {"5.7.1": 403, "4.7.1": 429, "5.3.4": 413}
"""HTTP status by the enhanced one; of the rest temporary refusals are 503, the others 422."""


def _refused(reply: Said, results: tuple[RecipientResult, ...]) -> Problem:
    status = _STATUS.get(reply.enhanced, 503 if reply.code < 500 else 422)
    more: dict[str, object] = {"code": reply.code, "enhanced": reply.enhanced}
    if results:
        more["recipients"] = msgspec.to_builtins(results)
    headers = {"Retry-After": "60"} if status in (429, 503) else {}
    return Problem(status, reply.text, headers=headers, more=more)
