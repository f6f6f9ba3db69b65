"""What a transaction may say to one server: the command lines, as far as its extensions allow, and the outcomes of
those recipients that must not be tried there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastsmtp.idn import to_ascii
from fastsmtp.mail.seven_bit import to_seven_bit
from fastsmtp.smtp.grammar import parse_mailbox
from fastsmtp.smtp.outgoing_body import EIGHT_BIT
from fastsmtp.smtp.outgoing_values import Offer, Outcome

_COMMON = re.compile(r"[A-Za-z0-9._+=-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_VALUE = re.compile(r"[!-<>-~]+")  # RFC 5321 §4.1.2 esmtp-value
_HEADER_END = re.compile(rb"\r?\n\r?\n")


Content = bytes | bytearray | memoryview


class Recipient(Protocol):
    """What the protocol has to know of a recipient; `fastsmtp.mail.envelope.Recipient` is one."""

    @property
    def address(self) -> str:
        """Without angle brackets."""

    @property
    def params(self) -> Mapping[str, str] | None:
        """NOTIFY and ORCPT (RFC 3461 §4)."""


@dataclass(slots=True)
class Plan:
    """One transaction.

    ``mail`` and each of ``rcpts`` is a whole command line; ``numbers`` has for each of ``rcpts`` its place in
    ``outcomes``, which holds None for those that are to be tried. ``chunked``: the body must go by BDAT.
    ``binary``: its line ends are left alone (RFC 3030 §3). ``seven``: no octet above 127 may be sent. ``body``: what
    is to be sent, when it is known: as it was given, or converted to seven bits.
    """

    mail: bytes
    rcpts: list[bytes]
    numbers: list[int]
    outcomes: list[Outcome | None]
    chunked: bool = False
    binary: bool = False
    seven: bool = False
    body: Content | None = None


def unfit(fault: int) -> Outcome:
    """Why a content with a `BodyWriter`'s ``fault`` is not sent."""
    return NO_EIGHT_BIT if fault == EIGHT_BIT else BARE_LINE_END


def _ours(enhanced: str, text: str) -> Outcome:
    return Outcome("failed", 0, enhanced, text, "plan", True)


TOO_BIG = _ours("5.3.4", "the message is larger than the next hop takes")
NO_EIGHT_BIT = _ours("5.6.3", "the next hop takes no 8-bit content, and this cannot be converted")
NO_BINARY = _ours("5.6.3", "the next hop takes no binary content, and this cannot be converted")
BARE_LINE_END = _ours("5.6.0", "the message has a bare CR or LF; lines end with CRLF (RFC 5321 2.3.8)")
NO_UTF8_SENDER = _ours("5.6.7", "the sender's address needs SMTPUTF8, which the next hop does not offer")
NO_UTF8_RECIPIENT = _ours("5.6.7", "the address needs SMTPUTF8, which the next hop does not offer")
NO_UTF8_HEADER = _ours("5.6.9", "the header needs SMTPUTF8, which the next hop does not offer")
NO_REQUIRETLS = _ours("5.7.30", "the sender requires TLS all the way, which the next hop does not promise")
BAD_SENDER = _ours("5.1.7", "the sender's address cannot be written into a command")
BAD_RECIPIENT = _ours("5.1.3", "the address cannot be written into a command")
NEXT_TRANSACTION = Outcome("again", 0, "4.5.3", "left for the next transaction", "plan", True)


def make(
    offer: Offer,
    encrypted: bool,
    sender: str,
    recipients: Sequence[Recipient],
    params: Mapping[str, str] | None,
    size: int,
    body: Content | None,
    ascii_body: bool,
) -> Plan:
    """The plan of a transaction with a server that offers ``offer``; the arguments are those of
    `OutgoingProtocol.begin`. ``body`` is whole or None; ``ascii_body`` tells of a whole one whether all its octets
    are below 128."""
    keywords = offer.keywords
    plan = Plan(b"", [], [], [], body=body)
    words = ""
    refusal = None
    if params or not ascii_body or "8BITMIME" not in keywords:
        words, refusal = _content(plan, keywords, params or {}, ascii_body)
        if plan.body is not body and plan.body is not None:
            size = len(plan.body)
    if "SIZE" in keywords:
        # RFC 1870 §6.1: what is larger than announced is not even tried.
        if offer.size and size > offer.size:
            refusal = TOO_BIG
        words = f" SIZE={size}{words}"
    utf8 = "SMTPUTF8" in keywords and "8BITMIME" in keywords  # RFC 6531 §3.1 item 3: never without it
    uses_utf8 = False
    if params:
        if "SMTPUTF8" in params:
            if utf8:
                uses_utf8 = True
            elif body is None or not header_is_ascii(body):
                refusal = NO_UTF8_HEADER
        more, why = _promises(keywords, encrypted, params)
        words += more
        refusal = refusal or why
    if sender and not _COMMON.fullmatch(sender):
        written = write_address(sender, utf8)
        if written is None:
            refusal = refusal or (BAD_SENDER if sender.isascii() or utf8 else NO_UTF8_SENDER)
        else:
            sender = written
            uses_utf8 = uses_utf8 or not sender.isascii()
    if refusal is not None:
        plan.outcomes = list(refused(recipients, refusal))
        return plan
    uses_utf8 = _recipients(plan, offer, recipients, utf8) or uses_utf8
    if uses_utf8:
        words += " SMTPUTF8"
    plan.mail = f"MAIL FROM:<{sender}>{words}\r\n".encode()
    return plan


def refused(recipients: Sequence[Recipient], refusal: Outcome) -> list[Outcome]:
    """The outcomes of ``recipients`` of a message that must not be sent by ``refusal``. Whose address needs SMTPUTF8
    is told so, rather than that the header does: it holds his address, in Received."""
    if refusal is not NO_UTF8_HEADER:
        return [refusal] * len(recipients)
    return [
        refusal if write_address(recipient.address, False) else NO_UTF8_RECIPIENT for recipient in recipients
    ]


def wants_whole(offer: Offer, params: Mapping[str, str] | None) -> bool:
    """Whether a content has to be given whole to have a chance with this server: it may have to be converted, or
    looked into."""
    if not params:
        return "8BITMIME" not in offer.keywords
    if params.get("BODY") == "BINARYMIME" and not {"BINARYMIME", "CHUNKING"} <= offer.keywords:
        return True
    wanted = {"8BITMIME", "SMTPUTF8"} if "SMTPUTF8" in params else {"8BITMIME"}
    return not wanted <= offer.keywords


def _content(
    plan: Plan, keywords: frozenset[str], params: Mapping[str, str], ascii_body: bool
) -> tuple[str, Outcome | None]:
    """What MAIL says about the content, and why the server must not get it; it is converted where it has to be."""
    declared = params.get("BODY", "")
    if declared == "BINARYMIME":
        if "BINARYMIME" in keywords and "CHUNKING" in keywords:
            plan.chunked = plan.binary = True
            return " BODY=BINARYMIME", None
        # RFC 3030 §3: without both extensions it is to be converted, or given back.
        return "", None if _convert(plan) else NO_BINARY
    if "8BITMIME" in keywords:
        # RFC 6152 §3: 8-bit content is declared, whether the one who brought it did so or not.
        return (" BODY=8BITMIME" if declared == "8BITMIME" or not ascii_body else ""), None
    plan.seven = plan.body is None
    return "", None if ascii_body or _convert(plan) else NO_EIGHT_BIT


def _convert(plan: Plan) -> bool:
    converted = None if plan.body is None else to_seven_bit(bytes(plan.body))
    plan.body = converted
    return converted is not None


def header_is_ascii(body: Content) -> bool:
    """Whether no octet of the header is above 127; ``body`` is whole, or its beginning with the whole header."""
    end = _HEADER_END.search(body)
    return bytes(body[: end.start() if end else len(body)]).isascii()


def _promises(
    keywords: frozenset[str], encrypted: bool, params: Mapping[str, str]
) -> tuple[str, Outcome | None]:
    """RET, ENVID (RFC 3461 §4.3, §4.4) and REQUIRETLS."""
    words = ""
    if "DSN" in keywords:
        for keyword in ("RET", "ENVID"):
            value = params.get(keyword, "")
            if _VALUE.fullmatch(value):
                words += f" {keyword}={value}"
    if "REQUIRETLS" in params:
        # RFC 8689 §4.2.1: only over TLS, and only to a server that offers it.
        if not encrypted or "REQUIRETLS" not in keywords:
            return words, NO_REQUIRETLS
        words += " REQUIRETLS"
    return words, None


def _recipients(plan: Plan, offer: Offer, recipients: Sequence[Recipient], utf8: bool) -> bool:
    """Fills in the recipients; whether one of them needs SMTPUTF8."""
    dsn = "DSN" in offer.keywords
    uses_utf8 = False
    most, domains = offer.rcptmax or len(recipients), offer.rcptdomainmax
    seen: set[str] = set()
    outcomes, rcpts, numbers = plan.outcomes, plan.rcpts, plan.numbers
    for number, recipient in enumerate(recipients):
        address: str | None = recipient.address
        if not _COMMON.fullmatch(recipient.address):
            address = write_address(recipient.address, utf8)
        if address is None:
            unsaid = recipient.address.isascii() or utf8
            outcomes.append(BAD_RECIPIENT if unsaid else NO_UTF8_RECIPIENT)
            continue
        if domains:
            domain = address.rpartition("@")[2].lower()
            if domain not in seen and len(seen) >= domains:
                outcomes.append(NEXT_TRANSACTION)
                continue
            seen.add(domain)
        if len(rcpts) >= most:  # RFC 9422 §4: what is over the limit is not sent to be refused
            outcomes.append(NEXT_TRANSACTION)
            continue
        words = _wishes(recipient.params, utf8) if dsn and recipient.params else ""
        uses_utf8 = uses_utf8 or not (address.isascii() and words.isascii())
        rcpts.append(f"RCPT TO:<{address}>{words}\r\n".encode())
        numbers.append(number)
        outcomes.append(None)
    return uses_utf8


def _wishes(params: Mapping[str, str], utf8: bool) -> str:
    """NOTIFY and ORCPT (RFC 3461 §4.1, §4.2) as words of RCPT."""
    words = ""
    notify, orcpt = params.get("NOTIFY", ""), params.get("ORCPT", "")
    if _VALUE.fullmatch(notify):
        words = f" NOTIFY={notify}"
    if not orcpt.isascii() and not utf8:
        # RFC 6533 §3: utf-8-addr-xtext says the same in ASCII
        orcpt = "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in orcpt)
    if orcpt.isprintable() and " " not in orcpt and "=" not in orcpt and orcpt:
        words += f" ORCPT={orcpt}"
    return words


def write_address(address: str, utf8: bool) -> str | None:
    """``address`` as a command may hold it, None when it may not. Without SMTPUTF8 a domain is written in A-labels
    (RFC 6531 §3.2); a local part that needs it has no other form."""
    if address.isascii() and address.lower() == "postmaster":
        return address
    parsed = parse_mailbox(address)
    if parsed is None or any("\ud800" <= letter <= "\udfff" for letter in address):
        return None
    if utf8 or address.isascii():
        return parsed.text
    local = parsed.text[: -len(parsed.domain) - 1]
    if not local.isascii():
        return None
    try:
        return f"{local}@{to_ascii(parsed.domain)}"
    except ValueError:
        return None
