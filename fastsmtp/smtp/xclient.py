"""XCLIENT's argument: what a server in front of us says of the client it speaks for (Postfix's XCLIENT_README)."""

import ipaddress
import re

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.grammar import parse_hello

ANNOUNCED = ("ADDR", "HELO", "LOGIN")
"""What counts here; LOGIN where one may log in."""
_KNOWN = {*ANNOUNCED, "NAME", "PORT", "PROTO", "DESTADDR", "DESTPORT"}

_NOT_KNOWN = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")
_HEX = re.compile(r"\+([0-9A-F]{2})")
_PLAIN = re.compile(r"[!-~]*")


def parse(argument: str) -> dict[str, str] | Reply:
    """Attributes by upper-case name, values decoded (xtext, RFC 3461 §4); what is not known is left out. ``ADDR`` is
    an IP address: a client without one would be taken for the server that speaks for it, which may be trusted.
    ``HELO`` is a name as EHLO takes it. The reply when an attribute is unknown or its value no good."""
    found: dict[str, str] = {}
    for word in argument.split():
        name, equals, text = word.partition("=")
        name = name.upper()
        value = _HEX.sub(lambda match: chr(int(match[1], 16)), text)
        if not equals or name not in _KNOWN or name in found or not _PLAIN.fullmatch(value):
            return reply.BAD_SYNTAX
        if name != "ADDR" and value.upper() in _NOT_KNOWN:
            continue
        if name == "ADDR":
            try:
                value = str(ipaddress.ip_address(value[5:] if value[:5].upper() == "IPV6:" else value))
            except ValueError:
                return reply.BAD_PARAMETER_VALUE
        if name == "HELO" and parse_hello(value) is None:
            return reply.BAD_PARAMETER_VALUE
        found[name] = value
    return found if argument.strip() else reply.BAD_SYNTAX
