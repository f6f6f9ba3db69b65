"""How mail of programs of this machine comes in: by the same door, and asked the same questions, as that of users who
log in. Whoever has dropped it is gone, so that what is refused comes back to him as a bounce."""

import asyncio
import os
import pwd
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastsmtp.accounts.base import Identity
from fastsmtp.accounts.static import ANY_SENDER
from fastsmtp.clock import Clock
from fastsmtp.intake.trace_fields import LOCAL
from fastsmtp.ledger.format import DIRECTORY
from fastsmtp.ledger.search import EVER, Ledger
from fastsmtp.mail.address import NULL_SENDER, Address
from fastsmtp.mail.reply import Reply
from fastsmtp.maildrop.directory import MODE, Opened, Unfit
from fastsmtp.maildrop.form import Drop
from fastsmtp.maildrop.header import MOST, completed
from fastsmtp.maildrop.lists import lacks_domain
from fastsmtp.maildrop.picker import Named, Picker
from fastsmtp.process.errors import StartError
from fastsmtp.process.mail_desk import users_listener
from fastsmtp.process.privileges import Identity as User
from fastsmtp.process.privileges import acting_as, make_directory
from fastsmtp.process.settings import Settings
from fastsmtp.routing.addresses import parse_address
from fastsmtp.session.session import Context
from fastsmtp.session.submission import Outcome, Submission, Submitter
from fastsmtp.smtp.extensions.dsn import EXTENSION
from fastsmtp.smtp.grammar import parse_parameters

_BLANK = b"\r\n\r\n"
SETTLE = 3.0
"""Seconds after which a dead worker's mail has gone on: its shard is open again, and that is in the ledger."""
_LOOK = 0.25


class LocalMail:
    """A `Gate`. ``domain`` is that of addresses without one."""

    def __init__(self, settings: Settings, context: Context, clock: Clock) -> None:
        self._context = context
        self._limits = settings.limits
        self._ledger = settings.data_dir / DIRECTORY if settings.ledger.enabled else None
        self._domain = home_domain(settings)
        self._listener = users_listener(settings, clock, None)

    async def bring(self, opened: Opened, uid: int, named: Named) -> str:
        """See `Gate.bring`."""
        drop = opened.drop
        user = await asyncio.to_thread(_user, uid)
        sender, recipients = self._addresses(drop, user)
        mail, rcpt = _parameters(drop)
        if not all(one.text.isascii() for one in (sender, *recipients)):
            mail["SMTPUTF8"] = ""
        header, rest = await asyncio.to_thread(_begun, opened)
        header = completed(header, sender.text, drop.name, self._domain)
        by = Submitter(
            identity=Identity(user),
            ip="",
            carrier=LOCAL,
            senders=(ANY_SENDER,),
            helo=f"userid {uid}",
            waits=False,
        )
        size = len(header) + opened.size - rest

        async def told(outcome: Outcome) -> None:
            await named(outcome.id)

        outcome = await Submission(self._context, self._listener, self._limits, by).deliver(
            sender, "", recipients, mail, size, _body(opened, header, rest), told, rcpt
        )
        reply = outcome.reply
        if reply.positive:
            return ""
        words = " ".join(reply.text)
        if reply.code >= 500:
            raise Unfit(f"{reply.code} {reply.status} {words}", damaged=True)
        return words

    async def known(self, queue_id: str) -> bool:
        """See `Gate.known`; when nothing is kept of messages it is said that this one was not stored. That it was
        received may have been lost with the process that died; what becomes of it is told by whoever has its shard
        now, which takes a moment."""
        directory = self._ledger
        if directory is None:
            return False
        for pause in (0.0, *[_LOOK] * round(SETTLE / _LOOK)):
            await asyncio.sleep(pause)
            if await asyncio.to_thread(
                lambda: any(True for _ in Ledger(directory).find("id", queue_id, EVER))
            ):
                return True
        return False

    def _addresses(self, drop: Drop, user: str) -> tuple[Address, list[Address]]:
        """Sender and recipients, each with a domain. Raises `Unfit`."""
        try:
            sender = user if drop.sender is None else drop.sender
            return (
                parse_address(self._whole(sender)) if sender else NULL_SENDER,
                [parse_address(self._whole(one)) for one in drop.recipients],
            )
        except ValueError as error:
            raise Unfit(str(error), damaged=True) from None

    def _whole(self, address: str) -> str:
        return f"{address}@{self._domain}" if lacks_domain(address) else address


def home_domain(settings: Settings) -> str:
    """The domain of addresses without one."""
    return settings.maildrop.domain or next(iter(settings.mailboxes.domains), settings.hostname)


def make_picker(
    settings: Settings, context: Context, clock: Clock, event: Callable[[str], object]
) -> Picker | None:
    """Whoever takes mail from the maildrop in this worker, when no other process does; None when there is none."""
    path = settings.maildrop.path
    if path is None:
        return None
    return Picker(
        path,
        LocalMail(settings, context, clock),
        most=settings.limits.message_size,
        rate=settings.maildrop.messages_per_user_per_minute,
        facts={"message_size": str(settings.limits.message_size), "domain": home_domain(settings)},
        event=event,
        clock=clock,
    )


def make_maildrop(settings: Settings, identity: User | None) -> None:
    """The directory, of the server's user and with its mode, whoever made it before. Raises `StartError`."""
    if settings.maildrop.path is None:
        return
    path = Path(settings.maildrop.path)
    make_directory(path, "maildrop.path", identity)
    uid = os.geteuid() if identity is None else identity.uid
    try:
        with acting_as(identity):
            file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(file)
                if status.st_uid != uid:
                    raise StartError(
                        f"maildrop.path: {path} belongs to user {status.st_uid}, not to the server's; "
                        f"chown it to {uid}, or name another directory",
                        os.EX_NOPERM,
                    )
                if stat.S_IMODE(status.st_mode) != MODE:
                    os.fchmod(file, MODE)
            finally:
                os.close(file)
    except OSError as error:
        raise StartError(
            f"maildrop.path: cannot make {path} with mode {MODE:o}: {error.strerror}; make it before the start "
            f"(install -d -m {MODE:o}, as the server's user and group)",
            os.EX_CANTCREAT,
        ) from None


def _user(uid: int) -> str:
    """The name of a user of this machine."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid{uid}"


def _parameters(drop: Drop) -> tuple[dict[str, str], dict[str, str] | None]:
    """Those of MAIL and of RCPT. Raises `Unfit`."""
    mail: dict[str, str] = {"BODY": "8BITMIME"} if drop.eight_bit else {}
    rcpt: dict[str, str] | None = None
    for keyword, value in drop.parameters.items():
        if " " in value:
            raise Unfit(f"a bad value of {keyword}", damaged=True)
        found = parse_parameters(f"{keyword}={value}", {**EXTENSION.mail, **EXTENSION.rcpt})
        if isinstance(found, Reply) or found is None:
            raise Unfit("a parameter that is not known, or has a bad value", damaged=True)
        if keyword in EXTENSION.rcpt:
            rcpt = {**(rcpt or {}), **found}
        else:
            mail |= found
    return mail, rcpt


def _begun(opened: Opened) -> tuple[bytes, int]:
    """The header with the end of its last line, and how many octets of the message that is; nothing of a header
    that is too long. Raises OSError."""
    data = b""
    for piece in opened.pieces():
        data += piece
        if data.startswith(b"\r\n"):
            return b"", 0
        end = data.find(_BLANK)
        if end >= 0:
            return data[: end + 2], end + 2
        if len(data) > 2 * MOST:
            return b"", 0
    return data, len(data)  # one without an empty line is all header (RFC 5322 §3.5)


async def _body(opened: Opened, header: bytes, rest: int) -> AsyncIterator[bytes]:
    """The message with ``header`` in the place of its own, which was ``rest`` octets. Raises OSError."""
    pieces = opened.pieces()
    start = header
    while (piece := await asyncio.to_thread(next, pieces, b"")) or start:
        skipped = min(rest, len(piece))
        rest -= skipped
        if start or skipped < len(piece):
            yield start + piece[skipped:]
        start = b""
        if not piece:
            break
