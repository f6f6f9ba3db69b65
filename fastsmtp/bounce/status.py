"""The part of a notification for programs: message/delivery-status (RFC 3464 §2.1) and its form in UTF-8 (RFC 6533
§4.1)."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

from fastsmtp.bounce.decide import Notice, Outcome, member_of_list
from fastsmtp.bounce.mime import Part, encoded, field
from fastsmtp.mail.dsn_params import OriginalRecipient, envelope_id, original_recipient, unitext_encode
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.future_release import request
from fastsmtp.mail.result import printable

_STATUS = re.compile(r"[245]\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})", re.ASCII)
_CLASSES = {"failed": "45", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}


def date(seconds: float) -> str:
    """``seconds`` since 1970 UTC as a date-time with a numeric zone (RFC 5322 §3.3, RFC 3464 §2.2.5)."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC))


def known_as(recipient: Recipient) -> str:
    """The address under which the reader of a notification knows ``recipient``: as it was when the message was
    accepted (RFC 3464 §2.3.2), and of a list's members their own, as a list's mail is a new message."""
    return recipient.address if member_of_list(recipient) else recipient.original or recipient.address


def hidden(notice: Notice, recipient: Recipient) -> bool:
    """Whether where the mail of ``recipient`` is forwarded to is none of the reader's business (RFC 3464 §4.2 c):
    neither the address nor the host behind it, nor words that may name them."""
    return not notice.double and known_as(recipient).lower() != recipient.address.lower()


def status_of(outcome: Outcome) -> str:
    """The status code, of a class that goes with the action; a failure may be of class 4 when time ran out (RFC 3464
    §2.3.3)."""
    classes = _CLASSES[outcome.action]
    enhanced = outcome.result.enhanced
    return enhanced if _STATUS.fullmatch(enhanced) and enhanced[0] in classes else f"{classes[-1]}.0.0"


def said(outcome: Outcome) -> str:
    """The words of the next hop with their code, or our own; one printable line."""
    result = outcome.result
    code = f"{result.code} " if result.diagnostic == "smtp" and result.code else ""
    return printable(code + result.text)


def delivery_status(notice: Notice, envelope: Envelope, hostname: str, utf8: bool) -> Part:
    """The second part. ``utf8``: whether its fields may hold UTF-8; the part is of the plain type all the same when
    none does (RFC 6533 §4.4)."""
    groups = [_message_fields(notice, envelope, hostname)]
    groups += [_recipient_fields(notice, outcome, utf8) for outcome in notice.outcomes]
    body = b"\r\n".join([b"".join([field(name, value, utf8) for name, value in group]) for group in groups])
    return encoded(
        "message/delivery-status" if body.isascii() else "message/global-delivery-status",
        body,
        eight_bit=utf8,
    )


def _message_fields(notice: Notice, envelope: Envelope, hostname: str) -> Iterator[tuple[str, str]]:
    if not notice.from_list and (id := envelope_id(envelope.params)):
        yield "Original-Envelope-Id", id
    yield "Reporting-MTA", f"dns; {hostname}"
    if envelope.client_ip:
        yield "Received-From-MTA", f"dns; {envelope.helo} ({envelope.client_ip})"
    yield "Arrival-Date", date(envelope.received_at)
    if not notice.from_list and (wish := request(envelope.params)):
        yield "Future-Release-Request", wish  # RFC 4865
    yield "X-Fastsmtp-Queue-Id", envelope.id


def _recipient_fields(notice: Notice, outcome: Outcome, utf8: bool) -> Iterator[tuple[str, str]]:
    recipient, result = outcome.recipient, outcome.result
    # RFC 3461 §6.3 d: there when ORCPT was, and only then
    original = None if notice.from_list else original_recipient(recipient.params)
    if original is not None:
        yield "Original-Recipient", f"{original.kind}; {_spelled(original, utf8)}"
    address = known_as(recipient)
    if address.isascii():
        yield "Final-Recipient", f"rfc822; {address}"
    else:
        yield "Final-Recipient", f"utf-8; {address if utf8 else unitext_encode(address)}"
    yield "Action", outcome.action
    yield "Status", status_of(outcome)
    if not hidden(notice, recipient):
        if result.remote:
            yield "Remote-MTA", f"dns; {result.remote.partition('[')[0] or result.remote}"
        if result.diagnostic == "smtp" or outcome.action in ("failed", "delayed"):
            # Remote words are no place for encoded words, which readers would decode (RFC 2047 §5).
            yield "Diagnostic-Code", f"{result.diagnostic}; {said(outcome).replace('=?', '= ?')}"
    yield "Last-Attempt-Date", date(outcome.at)
    if outcome.action == "delayed":
        yield "Will-Retry-Until", date(outcome.retry_until)


def _spelled(original: OriginalRecipient, utf8: bool) -> str:
    # RFC 6533 §3: the utf-8 type has a 7-bit form, which ORCPT is in when it is 7-bit at all
    if utf8 or original.kind != "utf-8":
        return original.address
    return original.coded if original.coded.isascii() else unitext_encode(original.address)
