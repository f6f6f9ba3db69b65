"""``sendmail -bs``: a session of SMTP on standard input and output, by the same protocol as the server's; the mail
goes into the maildrop."""

import os
import socket
from typing import Literal

from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import BAD_PARAMETER_VALUE, LOCAL_ERROR, NEED_AUTH, SPOOL_FULL, TOO_BIG, Reply
from fastsmtp.maildrop.form import MOST_RECIPIENTS, Drop
from fastsmtp.maildrop.place import maildrop, most_octets
from fastsmtp.sendmail.failure import Failure
from fastsmtp.sendmail.submit import Dropped, with_ends
from fastsmtp.smtp.handler import Pending
from fastsmtp.smtp.rules import ServerRules
from fastsmtp.smtp.server import ServerProtocol

_PIECE = 65_536
_ERRORS = 20
_TAKEN = Reply(250, "0.0", "kept for the server, which takes it up when it runs")


def serve(source: int, target: int) -> int:
    """Speak with whoever is at these two files until one says goodbye."""
    rules = ServerRules(
        hostname=socket.gethostname() or "localhost",
        size=most_octets(maildrop()),
        recipients=MOST_RECIPIENTS,
        errors=_ERRORS,
    )
    dialogue = ServerProtocol(rules, Session())
    _say(target, rules.greeting)
    lax: bool | None = None
    while not dialogue.closing and (piece := os.read(source, _PIECE)):
        if lax is None and b"\n" in piece:
            # Whoever ends the first line by LF alone does so with all: a script, and there is nobody to smuggle past.
            lax = not piece.partition(b"\n")[0].endswith(b"\r")
        _say(target, dialogue.receive(with_ends(piece) if lax else piece))
        while dialogue.full and not dialogue.closing:
            _say(target, dialogue.proceed())
    if not dialogue.closing:
        dialogue.end()
    return os.EX_OK


def _say(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


class Session:
    """A `Handler`: every well-formed recipient is taken; the server says later who does not exist."""

    def __init__(self) -> None:
        self._drop = Drop(None, ())
        self._dropped: Dropped | None = None
        self._failed: Reply | None = None
        self._recipients: list[str] = []

    def on_hello(self, name: str, extended: bool) -> None:
        """See `Handler`."""

    def on_starttls(self) -> Reply | None:
        """See `Handler`: it is not offered."""
        return LOCAL_ERROR

    def on_auth(self, mechanism: str, initial: bytes | None) -> Reply:
        """See `Handler`: it is not offered."""
        return NEED_AUTH

    def on_auth_data(self, response: bytes) -> Reply:
        """See `Handler`: it is not offered."""
        return NEED_AUTH

    def on_auth_cancelled(self) -> None:
        """See `Handler`."""

    def on_xclient(self, attributes: dict[str, str]) -> Reply | None:
        """See `Handler`: it is not offered."""
        return LOCAL_ERROR

    def on_mail(self, sender: Address, parameters: dict[str, str] | None) -> Reply | None:
        """See `Handler`. A message in the maildrop consists of lines."""
        if parameters and parameters.get("BODY") == "BINARYMIME":
            return BAD_PARAMETER_VALUE
        kept = {word: value for word, value in (parameters or {}).items() if word in ("RET", "ENVID")}
        self._drop = Drop(sender.text, (), parameters=kept)
        self._recipients = []
        return None

    def on_rcpt(self, recipient: Address, parameters: dict[str, str] | None) -> None:
        """See `Handler`."""
        if recipient.text not in self._recipients:
            self._recipients.append(recipient.text)
        notify = (parameters or {}).get("NOTIFY")
        if notify:
            self._drop.parameters["NOTIFY"] = notify

    def on_data(self, chunked: bool) -> Reply | None:
        """See `Handler`."""
        self._drop.recipients = tuple(self._recipients)
        self._failed = None
        try:
            self._dropped = Dropped(self._drop)
        except Failure as failure:
            return _reply(failure)
        return None

    def on_body(self, piece: bytes) -> None:
        """See `Handler`."""
        if self._failed is not None or self._dropped is None:
            return
        try:
            self._dropped.write(piece)
        except Failure as failure:
            self._failed = _reply(failure)

    def on_body_end(self) -> Reply | Literal[Pending.PENDING]:
        """See `Handler`."""
        dropped, self._dropped = self._dropped, None
        if self._failed is not None or dropped is None:
            return self._failed or LOCAL_ERROR
        try:
            dropped.commit()
        except Failure as failure:
            return _reply(failure)
        return _TAKEN

    def on_body_refused(self, refusal: Reply) -> None:
        """See `Handler`."""
        self.on_reset()

    def on_reset(self) -> None:
        """See `Handler`."""
        dropped, self._dropped = self._dropped, None
        if dropped is not None:
            dropped.abort()


def _reply(failure: Failure) -> Reply:
    if failure.code == os.EX_DATAERR:
        return TOO_BIG
    return SPOOL_FULL if failure.code == os.EX_TEMPFAIL else LOCAL_ERROR
