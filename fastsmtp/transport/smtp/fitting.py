"""Large messages for a server that may not take them as they are: looked into, and converted, beside the loop.

A small message is in memory, and the protocol converts it itself. One that lies in a file is read here in pieces;
only when it has to change is it in memory, one at a time and up to `LARGEST`, and what comes of it is a file again.
"""

from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from msgspec import Struct

from fastsmtp.mail.seven_bit import to_seven_bit
from fastsmtp.smtp.outgoing_plan import NO_BINARY, NO_EIGHT_BIT, NO_UTF8_HEADER, header_is_ascii
from fastsmtp.smtp.outgoing_values import Offer, Outcome
from fastsmtp.transport.smtp.connection import FileContent

LARGEST = 32 * 1024 * 1024
"""Octets of a message that is converted. On the way it takes up to eight times as much memory."""
PIECE = 1024 * 1024
"""Octets that are read at once; the header has to end within the first of them."""

TOO_LARGE = Outcome(
    "failed",
    0,
    "5.6.3",
    f"the next hop does not take such content, and more than {LARGEST >> 20} MB are not converted",
    "plan",
    True,
)


class Fitted(Struct, frozen=True):
    """A message as servers with exactly ``keywords`` take it: ``content`` and the parameters of MAIL. ``file`` holds
    a converted one, None where the message itself will do."""

    keywords: frozenset[str]
    content: FileContent
    params: dict[str, str]
    file: IO[bytes] | None = None

    def close(self) -> None:
        """Forget what was converted."""
        if self.file is not None:
            self.file.close()


def fit(content: FileContent, fd: int, offer: Offer, params: dict[str, str] | None) -> Fitted | Outcome:
    """``content`` for a server that offers ``offer``, or why it must not get it. Takes long; from any thread. ``fd``
    is a duplicate of the content's, read and closed here: the message's own may be closed meanwhile."""
    try:
        with open(fd, "rb", buffering=0) as file:
            file.seek(content.offset)
            return _fit(content, file, offer, dict(params or {}))
    except OSError as error:
        return _deferred("4.3.0", f"the message cannot be read: {error.strerror}")


def _fit(content: FileContent, file: IO[bytes], offer: Offer, params: dict[str, str]) -> Fitted | Outcome:
    first = _read(file, min(PIECE, content.length))
    keywords = offer.keywords
    if "SMTPUTF8" in params and not {"SMTPUTF8", "8BITMIME"} <= keywords:
        if not header_is_ascii(first):
            return NO_UTF8_HEADER
        del params["SMTPUTF8"]  # whether the addresses need it the plan finds out by itself
    binary = params.get("BODY") == "BINARYMIME"
    if binary:
        fits = {"BINARYMIME", "CHUNKING"} <= keywords
    else:
        fits = "8BITMIME" in keywords or _all_ascii(first, file, content.length - len(first))
    if fits:
        return Fitted(keywords, content, params)
    if content.length > LARGEST:
        return TOO_LARGE
    params.pop("BODY", None)
    file.seek(content.offset)
    converted = to_seven_bit(_read(file, content.length))
    if converted is None:
        return NO_BINARY if binary else NO_EIGHT_BIT
    return _filed(keywords, converted, params)


def _read(file: IO[bytes], count: int) -> bytes:
    """The next ``count`` octets. Raises OSError also when there are fewer."""
    found = file.read(count)
    if len(found) < count:
        raise OSError(0, "its file is shorter than it was")
    return found


def _all_ascii(first: bytes, file: IO[bytes], left: int) -> bool:
    piece = first
    while piece.isascii():
        if not left:
            return True
        piece = _read(file, min(PIECE, left))
        left -= len(piece)
    return False


def _filed(keywords: frozenset[str], converted: bytes, params: dict[str, str]) -> Fitted | Outcome:
    file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - it goes with what is returned
    try:
        file.write(converted)
        file.flush()
    except OSError as error:
        with suppress(OSError):  # of what is still to be written
            file.close()
        return _deferred("4.3.1", f"the converted message cannot be written: {error.strerror}")
    return Fitted(keywords, FileContent(file.fileno(), 0, len(converted)), params, file)


def _deferred(enhanced: str, text: str) -> Outcome:
    return Outcome("deferred", 0, enhanced, text, "plan", True)
