"""Paths and parameters of MAIL and RCPT (RFC 5321 §4.1.2), as functions from text to values.

Accepted beyond the RFC, because mail in the field needs it:

* white space after the colon of ``FROM:`` and ``TO:`` (old Windows clients);
* dots anywhere in an unquoted local part (addresses made by Japanese mobile operators), and local parts of
  more than 64 octets (VERP senders), both bounded by the line;
* underscores in domain names (Windows host names).

Never accepted: an address without its angle brackets, control characters, an empty local part.
"""

import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping

from fastsmtp.mail import reply
from fastsmtp.mail.address import NULL_SENDER, Address
from fastsmtp.mail.reply import Reply

_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
# UTF8-non-ascii of RFC 6531 §3.3 without the C1 controls and the line and paragraph separators
_UTF8 = r"\u00a0-\u2027\u202a-\U0010ffff"
# RFC 5321 §4.1.2 Dot-string and Quoted-string; RFC 6531 §3.3 adds UTF8-non-ascii to both.
_LOCAL = rf'(?P<local>[{_ATEXT}.{_UTF8}]+|"(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*")'
_LABEL = rf"[A-Za-z0-9_{_UTF8}](?:[A-Za-z0-9_\-{_UTF8}]*[A-Za-z0-9_{_UTF8}])?"
_DOMAIN = rf"(?P<domain>{_LABEL}(?:\.{_LABEL})*|\[[A-Za-z0-9:.]+\])"
# RFC 5321 §4.1.2, appendix C: a source route is read and ignored.
_ROUTE = rf"(?:@{_LABEL}(?:\.{_LABEL})*(?:,@{_LABEL}(?:\.{_LABEL})*)*:)?"
_MAILBOX = re.compile(rf"{_ROUTE}(?P<text>{_LOCAL}@{_DOMAIN})")
_PATH = re.compile(r' *<(?P<path>(?:[^<>"]|"(?:[^"\\]|\\.)*")*)>(?P<rest>.*)', re.DOTALL)
_PARAMETER = re.compile(r"(?P<keyword>[A-Za-z0-9][A-Za-z0-9\-]*)(?:=(?P<value>[!-<>-~" + _UTF8 + r"]+))?")
_HELLO = re.compile(r"""[!#-'*+\--:=?A-\[\]-~]+""")  # printable, without ()<>@,;\\"
_UNQUOTE = re.compile(r"\\(.)", re.DOTALL)

DOMAIN_OCTETS = 255  # RFC 5321 §4.5.3.1.2

ParameterReader = Callable[[str | None], str | Reply]
"""Checks one parameter's value; gives it in canonical form, or the reply that refuses it."""


def _literal_is_good(literal: str) -> bool:
    # RFC 5321 §4.1.3: [IPv4] or [IPv6:…]; other tags are registered for nobody.
    inner = literal[1:-1]
    try:
        if inner[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    except ValueError:
        return False
    return True


def parse_mailbox(text: str) -> Address | None:
    """``local@domain`` with an optional source route before it; None when it is not one."""
    match = _MAILBOX.fullmatch(text)
    if match is None:
        return None
    local, domain = match["local"], match["domain"]
    if len(domain.encode("utf-8", "surrogatepass")) > DOMAIN_OCTETS:
        return None
    if domain.startswith("[") and not _literal_is_good(domain):
        return None
    if local.startswith('"'):
        local = _UNQUOTE.sub(r"\1", local[1:-1])
        if not local:
            return None
    return Address(local, domain, match["text"])


def parse_path(argument: str, bad: Reply) -> tuple[Address, str] | Reply:
    """What follows ``FROM:`` or ``TO:``: the address and the rest of the line (RFC 5321 §4.1.1.2, §4.1.1.3).

    ``bad`` is the reply to an argument without a well-formed path. ``<>`` gives `NULL_SENDER`, and
    ``<postmaster>`` an address without domain.
    """
    match = _PATH.fullmatch(argument)
    if match is None:
        return bad
    path, rest = match["path"], match["rest"]
    if rest and not rest.startswith(" "):
        return bad
    if not path:
        return NULL_SENDER, rest
    if path.lower() == "postmaster":
        return Address(path, "", path), rest
    address = parse_mailbox(path)
    return bad if address is None else (address, rest)


def parse_parameters(rest: str, readers: Mapping[str, ParameterReader]) -> dict[str, str] | None | Reply:
    """The ESMTP parameters after a path (RFC 5321 §4.1.2 Mail-parameters), by upper-case keyword.

    None when there are none; the reply when one is unknown, malformed, or given twice.
    """
    parameters: dict[str, str] = {}
    for word in rest.split(" "):
        if not word:
            continue
        match = _PARAMETER.fullmatch(word)
        if match is None:
            return reply.BAD_SYNTAX
        keyword = match["keyword"].upper()
        reader = readers.get(keyword)
        if reader is None:
            return reply.UNKNOWN_PARAMETER
        if keyword in parameters:
            return reply.PARAMETER_TWICE
        value = reader(match["value"])
        if isinstance(value, Reply):
            return value
        parameters[keyword] = value
    return parameters or None


def parse_hello(argument: str) -> str | None:
    """The name after HELO or EHLO, or None when it is none.

    Anything printable without white space passes: RFC 5321 §4.1.4 forbids refusing for a name that does not
    verify, and names with underscores or half-configured ones are everywhere. It only ever ends in a header
    field, so brackets and quotes that could unbalance one are refused.
    """
    name = argument.strip(" ")
    if not name or len(name) > DOMAIN_OCTETS:
        return None
    return name if _HELLO.fullmatch(name) else None


def decode_base64(text: bytes) -> bytes | None:
    """Octets of an AUTH exchange (RFC 4954 §4); None when ``text`` is not base64 to the letter (RFC 4648 §4)."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None


def decode_line(line: bytes) -> str | None:
    """A command line's text; None when it is not UTF-8 (RFC 6531 §3.1 item 8)."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None
