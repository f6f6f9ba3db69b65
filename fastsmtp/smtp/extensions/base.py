"""What an ESMTP extension brings (RFC 5321 §2.2): its EHLO line and its parameters of MAIL and RCPT."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.grammar import ParameterReader


@dataclass(frozen=True)
class Facts:
    """What the EHLO lines tell of this server. ``size`` in octets, 0 for no limit; ``secured``: under TLS;
    ``future_release``: how far ahead a message may be sent, as FUTURERELEASE says it, empty where that cannot be."""

    size: int
    recipients: int
    secured: bool = False
    starttls: bool = False
    mechanisms: tuple[str, ...] = ()
    xclient: bool = False
    lmtp: bool = False
    future_release: str = ""


@dataclass(frozen=True)
class Extension:
    """One extension.

    ``line`` gives its EHLO line, or None where it is not offered: its parameters are then unknown.
    """

    line: Callable[[Facts], str | None]
    mail: Mapping[str, ParameterReader] = field(default_factory=dict)
    rcpt: Mapping[str, ParameterReader] = field(default_factory=dict)


def keyword(word: str) -> Callable[[Facts], str | None]:
    """An EHLO line that is one word."""
    return lambda facts: word


def one_of(*values: str) -> ParameterReader:
    """A reader that takes one of ``values`` in any case."""

    def read(value: str | None) -> str | Reply:
        upper = (value or "").upper()
        return upper if upper in values else reply.BAD_PARAMETER_VALUE

    return read


def no_value(value: str | None) -> str | Reply:
    """The reader of a parameter that is a keyword alone."""
    return "" if value is None else reply.BAD_PARAMETER_VALUE
