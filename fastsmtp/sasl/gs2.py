"""The GS2 header that SCRAM and OAUTHBEARER begin with (RFC 5801 §4): channel binding, and whom to act as."""

import re

from msgspec import Struct

from fastsmtp.sasl.server import Malformed, text

_HEADER = re.compile(
    rb"(?:(?P<flag>[ny])|p=(?P<binding>[A-Za-z0-9.-]{1,64})),(?:a=(?P<name>[^,\0]{1,3072}))?,"
)
_NAME = re.compile(r"(?:[^=,]|=2C|=3D)+")


class Gs2(Struct, frozen=True, gc=False):
    """``flag`` is ``n`` (no channel binding), ``y`` (the client could, and believes that the server cannot) or ``p``
    (with that of the type ``binding``). ``octets`` are all of the header."""

    flag: str
    binding: str
    authorization: str
    octets: bytes


def header(message: bytes, mechanism: str) -> Gs2:
    """The header at the start of ``message``. Raises `Malformed`."""
    found = _HEADER.match(message)
    if found is None:
        raise Malformed(f"{mechanism}: no GS2 header that can be read")
    return Gs2(
        flag=(found["flag"] or b"p").decode(),
        binding=(found["binding"] or b"").decode(),
        authorization=saslname(found["name"], mechanism) if found["name"] else "",
        octets=found[0],
    )


def saslname(octets: bytes, mechanism: str) -> str:
    """A name in which ``=2C`` and ``=3D`` stand for comma and equals sign (RFC 5802 §5.1). Raises `Malformed`."""
    name = text(octets, mechanism)
    if not _NAME.fullmatch(name):
        raise Malformed(f"{mechanism}: a name with a bare comma or equals sign, or an empty one")
    return name.replace("=2C", ",").replace("=3D", "=")
