"""Mail that comes in by a worker's control socket, such as the HTTP process brings it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from fastsmtp.accounts.base import Identity
from fastsmtp.clock import Clock
from fastsmtp.control.mail import INCOMING, LoginAnswer, LoginAsked, Said, Submit, Submitted
from fastsmtp.control.server import Refused
from fastsmtp.limits.guard import is_loopback, network_of
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.mail.reply import AUTHENTICATED, BAD_RECIPIENT_SYNTAX, BAD_SENDER_SYNTAX, LOCAL_ERROR, Reply
from fastsmtp.process.settings import Settings
from fastsmtp.routing.account_words import parse_sender
from fastsmtp.routing.addresses import parse_address
from fastsmtp.session.auth import Channel, Logins, Step
from fastsmtp.session.listener import Listener
from fastsmtp.session.listener_settings import ListenerSettings
from fastsmtp.session.session import Context
from fastsmtp.session.submission import Named, Outcome, Submission, Submitter
from fastsmtp.web.replay import write_named

_PIECE = 256 << 10
"""Octets that are read from a file at once."""


class WorkerMailDesk:
    """A `MailDesk`. ``listener`` says what is done for mail of users; ``event`` takes lines for the log."""

    def __init__(
        self,
        data_dir: Path,
        *,
        context: Context,
        listener: Listener,
        limits: LimitSettings,
        logins: Logins,
        event: Callable[[str], object],
    ) -> None:
        self._data_dir = data_dir
        self._context = context
        self._listener = listener
        self._limits = limits
        self._logins = logins
        self._event = event

    async def login(self, asked: LoginAsked) -> LoginAnswer:
        """See `MailDesk.login`. A client on this machine may come without TLS: nobody else hears it."""
        future: asyncio.Future[Step] = asyncio.get_running_loop().create_future()

        def told(step: Step) -> None:
            if not future.done():
                future.set_result(step)

        loopback = is_loopback(network_of(asked.ip))
        channel = Channel(asked.ip, asked.encrypted or loopback, loopback, None)
        login = self._logins.begin(channel, "PLAIN", told)
        if isinstance(login, Reply):
            return LoginAnswer(_said(login))
        try:
            step = login.start(b"\0%b\0%b" % (_octets(asked.login), _octets(asked.password)))
            found = await future if step is None else step
        finally:
            login.forget()
        if isinstance(found, Identity):
            return LoginAnswer(_said(AUTHENTICATED), found.login, found.senders)
        return LoginAnswer(_said(found if isinstance(found, Reply) else LOCAL_ERROR))

    async def submit(self, asked: Submit) -> Submitted:
        """See `MailDesk.submit`."""
        try:
            sender = parse_address(asked.sender)
            canonical = parse_sender(asked.sender)
        except ValueError:
            return Submitted(_said(BAD_SENDER_SYNTAX))
        try:
            recipients = [parse_address(one) for one in asked.recipients]
        except ValueError:
            return Submitted(_said(BAD_RECIPIENT_SYNTAX))
        by = Submitter(
            identity=Identity(asked.login, asked.login_senders),
            ip=asked.ip,
            carrier=asked.carrier,
            senders=asked.senders,
        )
        parameters = {"SMTPUTF8": ""} if asked.utf8 else {}
        submission = Submission(self._context, self._listener, self._limits, by)
        try:
            outcome = await submission.deliver(
                sender, canonical, recipients, parameters, asked.size, self._body(asked), self._named(asked)
            )
        except OSError as error:
            self._event(f"mail by HTTP: {error.filename or asked.file}: {error.strerror}; nothing came of it")
            return Submitted(_said(LOCAL_ERROR))
        return _submitted(outcome)

    def _named(self, asked: Submit) -> Named | None:
        if not asked.record:
            return None

        async def named(outcome: Outcome) -> None:
            will_be = msgspec.msgpack.encode(_submitted(outcome))
            await asyncio.to_thread(write_named, self._data_dir, asked.record, will_be)

        return named

    async def _body(self, asked: Submit) -> AsyncIterator[bytes]:
        """Its pieces, as many octets as were said. Raises `Refused`, OSError."""
        left = asked.size
        if asked.start:
            left -= len(asked.start)
            yield asked.start
        if asked.file:
            file = await asyncio.to_thread(
                os.open, self._data_dir / INCOMING / asked.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            )
            try:
                at = 0
                while piece := await asyncio.to_thread(os.pread, file, _PIECE, at):
                    at += len(piece)
                    left -= len(piece)
                    yield piece
            finally:
                os.close(file)
        if left:
            raise Refused("request", "the message has another size than was said")


def make_mail_desk(
    settings: Settings, context: Context, logins: Logins, clock: Clock, event: Callable[[str], object]
) -> WorkerMailDesk:
    """The desk of a worker, whose sessions share ``context``: what comes by it is as mail of users is."""
    return WorkerMailDesk(
        settings.data_dir,
        context=context,
        listener=users_listener(settings, clock, logins),
        limits=settings.limits,
        logins=logins,
        event=event,
    )


def users_listener(settings: Settings, clock: Clock, logins: Logins | None) -> Listener:
    """One that no client can reach: it says what is done for mail of users that comes in another way."""
    return Listener(
        ListenerSettings(address="127.0.0.1:0", protocol="submission"),
        settings.session,
        clock=clock,
        certificates=None,
        logins=logins,
    )


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _said(reply: Reply) -> Said:
    return Said(reply.code, reply.status, " ".join(reply.text))


def _submitted(outcome: Outcome) -> Submitted:
    return Submitted(_said(outcome.reply), outcome.id, tuple(map(_said, outcome.recipients)))
