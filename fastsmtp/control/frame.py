"""What goes over a control socket: one request, one response, each a frame.

A frame is one byte with the version, four with the length of what follows in network order, and msgpack. The version
changes with any of the types that are sent; a server and a command of different versions say so and do nothing.
"""

import struct
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

VERSION = 3
MOST_REQUEST = 64 << 10
"""Octets of a request."""
MOST_RESPONSE = 16 << 20
"""Octets of a response."""

_HEAD = struct.Struct("!BI")
HEAD_BYTES = _HEAD.size

Fault = Literal["version", "verb", "request", "permission", "busy", "gone", "missing", "impossible", "failed"]
"""Why a request was not carried out: an unknown version, verb or form; not allowed; too many at once; the shard is
not here any more; what is asked for is not there; the server cannot do that; a defect of the server."""


class Request(Struct, array_like=True):
    """``body`` is the msgpack of what the verb wants."""

    verb: str
    body: msgspec.Raw


class Response(Struct, array_like=True):
    """``body`` is what the verb gives; when ``fault`` is set there is none, and ``text`` is one line that tells."""

    body: msgspec.Raw
    fault: Fault | None = None
    text: str = ""


class FrameError(Exception):
    """What came is no frame of ours; one line that says why. ``version``: it is one of another version."""

    def __init__(self, text: str, *, version: bool = False) -> None:
        super().__init__(text)
        self.version = version


T = TypeVar("T")
_encode = msgspec.msgpack.Encoder().encode


def packed(value: Any) -> msgspec.Raw:
    """``value`` as the body of a request or response."""
    return msgspec.Raw(_encode(value))


def fault(kind: Fault, text: str) -> Response:
    """That a request was not carried out."""
    return Response(packed(None), kind, text)


def frame(message: Request | Response) -> bytes:
    """The octets of a message."""
    data = _encode(message)
    return _HEAD.pack(VERSION, len(data)) + data


def body_length(head: bytes, most: int) -> int:
    """How many octets follow the first `HEAD_BYTES`. Raises `FrameError`."""
    version, length = _HEAD.unpack(head)
    if version != VERSION:
        raise FrameError(f"version {version} is spoken there, {VERSION} here", version=True)
    if length > most:
        raise FrameError(f"{length} octets, {most} are allowed")
    return int(length)


def unpacked(data: bytes | msgspec.Raw, form: type[T]) -> T:
    """The value of ``data``. Raises `FrameError` when it is not of that form."""
    try:
        return msgspec.msgpack.decode(data, type=form)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise FrameError(f"not a {form.__name__}: {error}") from None


BUSY = fault("busy", "too many ask at once; try again")
NOT_ALLOWED = fault("permission", "only root and the server's user may ask")
UNKNOWN = fault("verb", "the server does not know this request")


def unreadable(error: FrameError) -> Response:
    """The answer to what is no request of ours."""
    return fault("version" if error.version else "request", str(error))
