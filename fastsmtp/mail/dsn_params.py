"""What a sender wants to be told, as the envelope's parameters say it (RFC 3461 §4, RFC 6533 §3).

The server checks the parameters' syntax when it reads them (smtp/extensions/dsn.py); here they get their meaning.
"""

import re
from collections.abc import Mapping
from enum import Flag, auto

from msgspec import Struct

Params = Mapping[str, str] | None

_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
_QCHAR = frozenset(map(chr, range(0x21, 0x7F))) - {"+", "=", "\\"}  # RFC 6533 §3
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


class Notify(Flag):
    """Of what a sender wants to hear (RFC 3461 §4.1); none of them is NEVER."""

    SUCCESS = auto()
    FAILURE = auto()
    DELAY = auto()


NEVER = Notify(0)
DEFAULT = Notify.FAILURE | Notify.DELAY
"""Without NOTIFY: one of the two readings that RFC 3461 §4.1 allows."""


class OriginalRecipient(Struct, frozen=True):
    """ORCPT: the recipient as the sender named it, ``kind`` the address type in lower case, ``address`` decoded,
    ``coded`` as it came."""

    kind: str
    address: str
    coded: str


def notify(params: Params) -> Notify:
    """NOTIFY of one recipient's ``params``; what is none of its words says nothing."""
    given = (params or {}).get("NOTIFY")
    if given is None:
        return DEFAULT
    wanted = NEVER
    for word in given.upper().split(","):
        wanted |= Notify.__members__.get(word, NEVER)
    return wanted


def without_success(params: Params) -> dict[str, str] | None:
    """The parameters that go on to the members of an alias with several addresses, whose sender is told of the
    expansion instead (RFC 3461 §5.2.7.3 c)."""
    if params is None or Notify.SUCCESS not in notify(params):
        return None if params is None else dict(params)
    words = [word for word in params["NOTIFY"].upper().split(",") if word != "SUCCESS"]
    return {**params, "NOTIFY": ",".join(words) or "NEVER"}


def original_recipient(params: Params) -> OriginalRecipient | None:
    """ORCPT of one recipient's ``params``. An address that would not decode to printable text stays as it came: the
    field it goes into must be there (RFC 3461 §6.3 d, RFC 6533 §3)."""
    kind, separator, coded = (params or {}).get("ORCPT", "").partition(";")
    if not separator or not coded:
        return None
    kind = kind.lower()
    # the utf-8 type has an escape of its own, which leaves nothing for xtext to do (RFC 6533 §3)
    decoded = unitext_decode(coded) if kind == "utf-8" else xtext_decode(coded)
    return OriginalRecipient(kind, decoded if _fits(kind, decoded) else coded, coded)


def _fits(kind: str, address: str) -> bool:
    return address.isprintable() and (kind == "utf-8" or address.isascii())


def envelope_id(params: Params) -> str:
    """ENVID of MAIL's ``params``, decoded; as it came where it would not decode to printable ASCII (RFC 3461 §4.4);
    empty without one."""
    coded = (params or {}).get("ENVID", "")
    decoded = xtext_decode(coded)
    return decoded if decoded.isascii() and decoded.isprintable() else coded


def wants_all(params: Params) -> bool:
    """Whether MAIL's ``params`` ask for the whole message back (RET=FULL, RFC 3461 §4.3)."""
    return (params or {}).get("RET", "").upper() == "FULL"


def xtext_decode(text: str) -> str:
    """The text of an xtext, a character for each octet; a ``+`` that begins no hexchar stays."""
    return _HEXCHAR.sub(lambda match: chr(int(match[1], 16)), text)


def unitext_encode(text: str) -> str:
    """utf-8-addr-xtext of RFC 6533 §3: 7-bit, and nothing in it that xtext would have to escape."""
    return "".join([c if c in _QCHAR else f"\\x{{{ord(c):02X}}}" for c in text])


def unitext_decode(text: str) -> str:
    """The text of a utf-8-addr-xtext or utf-8-addr-unitext; what is no character of Unicode stays as it is."""
    return _EMBEDDED.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    point = int(match[1], 16)
    return match[0] if point > 0x10FFFF or 0xD800 <= point < 0xE000 else chr(point)
