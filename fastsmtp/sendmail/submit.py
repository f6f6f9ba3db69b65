"""A message from standard input into the maildrop."""

import errno
import os

from fastsmtp.maildrop.dropping import Dropping, TooLarge, room
from fastsmtp.maildrop.form import MOST_RECIPIENTS, Drop, DropError
from fastsmtp.maildrop.header import MOST, Field, field_name, fields
from fastsmtp.maildrop.lists import addresses
from fastsmtp.maildrop.place import maildrop, most_octets
from fastsmtp.sendmail.failure import Failure, usage
from fastsmtp.sendmail.options import Options
from fastsmtp.sendmail.user import full_name, malformed

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to be imported than all of this
    from collections.abc import Iterator
    from typing import BinaryIO

_PIECE = 65_536
_REMOVED = frozenset({"bcc", "resent-bcc", "return-path", "content-length"})
"""Fields that are not for those who receive the message, or will be ours."""
_RECIPIENTS = ("to", "cc", "bcc")


def submit(options: Options, stream: "BinaryIO") -> int:
    """Take the message in ``stream``; returns when it is on stable storage. Raises `Failure`."""
    if not options.recipients and not options.from_header:
        raise usage("recipients are missing; name them, or use -t when they stand in the message")
    sender = None if options.sender is None else _sender(options.sender)
    named = [one for word in options.recipients for one in addresses(word)]
    for address in named:
        if malformed(address):
            raise Failure(os.EX_NOUSER, f'"{address}" is no address')
    message = Message(stream, options.ignore_dots)
    found = fields(message.header())
    if options.from_header:
        named += in_header(found)
    recipients = tuple(dict.fromkeys(named))
    if not recipients:
        raise usage("no recipients: the message has no address in To, Cc or Bcc")
    if len(recipients) > MOST_RECIPIENTS:
        raise Failure(
            os.EX_DATAERR, f"{len(recipients):,} recipients; a message can have {MOST_RECIPIENTS:,}"
        )
    name = full_name() if options.name is None else options.name
    drop = Drop(sender, recipients, name, parameters(options))
    header = b"".join(field.raw for field in found if field.name not in _REMOVED)
    dropped = Dropped(drop)
    try:
        dropped.write(header + b"\r\n")
        for piece in message.body():
            dropped.write(piece)
    except BaseException:
        dropped.abort()
        raise
    dropped.commit()
    return os.EX_OK


class Dropped:
    """A message on its way into the maildrop. Every call raises `Failure`, and nothing comes of the message then."""

    def __init__(self, drop: Drop) -> None:
        self._directory = maildrop()
        try:
            if not room(self._directory):
                raise Failure(os.EX_TEMPFAIL, f"{self._directory}: the disk is full")
            self._dropping = Dropping(self._directory, drop, most_octets(self._directory))
        except DropError as error:
            raise Failure(os.EX_DATAERR, str(error)) from None
        except OSError as error:
            raise self._failure(error) from None

    def write(self, piece: bytes) -> None:
        """The next octets of the message, lines ended by CRLF."""
        try:
            self._dropping.write(piece)
        except (OSError, TooLarge) as error:
            self.abort()
            if isinstance(error, TooLarge):
                raise Failure(os.EX_DATAERR, "the message is larger than the server takes") from None
            raise self._failure(error) from None

    def commit(self) -> None:
        """It is complete: when this returns it is on stable storage."""
        try:
            self._dropping.commit()
        except OSError as error:
            raise self._failure(error) from None

    def abort(self) -> None:
        """Nothing comes of it."""
        self._dropping.abort()

    def _failure(self, error: OSError) -> Failure:
        place, words = self._directory, error.strerror or str(error)
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Failure(
                os.EX_CONFIG,
                f"{place}: there is no maildrop; set maildrop.path in the settings and start the server once",
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return Failure(os.EX_NOPERM, f"{place}: {words}; it is to have mode 3733, as the server makes it")
        return Failure(os.EX_TEMPFAIL, f"{place}: {words}; try again later")


def parameters(options: Options) -> dict[str, str]:
    """What the options say for MAIL and RCPT (RFC 3461 §4)."""
    said = {"RET": options.ret, "ENVID": xtext(options.envid), "NOTIFY": options.notify}
    return {keyword: value for keyword, value in said.items() if value}


def xtext(text: str) -> str:
    """``text`` as RFC 3461 §4 has it."""
    return "".join(
        chr(octet) if 33 <= octet <= 126 and octet not in b"+=" else f"+{octet:02X}"
        for octet in text.encode("utf-8", "surrogateescape")
    )


def in_header(found: list[Field]) -> list[str]:
    """The recipients that the header names: those of Resent fields, where there are any. Raises `Failure`."""
    resent = [field for field in found if field.name in {f"resent-{name}" for name in _RECIPIENTS}]
    named = [
        one
        for field in resent or [field for field in found if field.name in _RECIPIENTS]
        for one in addresses(field.text)
    ]
    for address in named:
        if malformed(address):
            raise Failure(os.EX_DATAERR, f'the header names "{address}", which is no address')
    return named


def _sender(text: str) -> str:
    """The reverse-path that -f names; empty for nobody. Raises `Failure`."""
    if text.strip() in ("", "<>"):
        return ""
    found = addresses(text)
    if len(found) != 1 or malformed(found[0]):
        raise usage(f'-f: "{text}" is no address')
    return found[0]


class Message:
    """What is read from ``stream``: the header, then the body, both with CRLF at the ends of lines."""

    def __init__(self, stream: "BinaryIO", ignore_dots: bool) -> None:
        self._stream = stream
        self._dots = not ignore_dots
        self._begun = b""  # of the body, what was read with the header
        self._ended = False

    def header(self) -> bytes:
        """All fields. A line that is none begins the body, as does an empty one. Raises `Failure`."""
        lines: list[bytes] = []
        size = 0
        while line := self._stream.readline(MOST):
            text = line.rstrip(b"\r\n")
            size += len(line)
            if size > MOST:
                raise Failure(os.EX_DATAERR, f"the header has more than {MOST:,} octets")
            if self._dots and text == b".":
                self._ended = True
                break
            if not text:
                break
            if not field_name(text) and not (lines and text[:1] in b" \t"):
                if not lines and line.startswith(b"From "):
                    continue  # what mailboxes in one file begin a message with
                self._begun = line
                break
            lines.append(text.replace(b"\r", b" ") + b"\r\n")
        else:
            self._ended = True
        return b"".join(lines)

    def body(self) -> "Iterator[bytes]":
        """The body in pieces; its last line is ended."""
        if self._ended:
            return
        last = b"\n"
        for piece in self._until_dot() if self._dots else self._all():
            if piece:
                last = piece[-1:]
                yield piece
        if last != b"\n":
            yield b"\r\n"

    def _all(self) -> "Iterator[bytes]":
        held = b""
        piece = self._begun
        while piece or (piece := self._stream.read(_PIECE)):
            piece = held + piece
            held = b"\r" if piece.endswith(b"\r") else b""  # its LF may be in the next one
            yield with_ends(piece[:-1] if held else piece)
            piece = b""
        yield with_ends(held)

    def _until_dot(self) -> "Iterator[bytes]":
        fresh = True  # at the beginning of a line
        held, size = [], 0  # lines of which one piece is made
        line = self._begun
        while line or (line := self._stream.readline(_PIECE)):
            if fresh and line.rstrip(b"\r\n") == b".":
                break
            if line.endswith(b"\r") and len(line) == _PIECE:
                line += self._stream.readline(1)
            fresh = line.endswith(b"\n")
            held.append(line)
            size += len(line)
            if size >= _PIECE:
                yield with_ends(b"".join(held))
                held, size = [], 0
            line = b""
        yield with_ends(b"".join(held))


def with_ends(data: bytes) -> bytes:
    """``data`` with every end of line made CRLF."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\n", b"\r\n")
