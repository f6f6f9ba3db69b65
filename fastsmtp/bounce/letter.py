"""The part of a notification for people: what happened to which address, why, and what to do."""

import textwrap
from collections.abc import Iterator

from fastsmtp.bounce.decide import Action, Notice, Outcome
from fastsmtp.bounce.mime import Part, encoded
from fastsmtp.bounce.original import find_field
from fastsmtp.bounce.status import date, hidden, known_as, said, status_of
from fastsmtp.bounce.texts import explain
from fastsmtp.mail.envelope import Envelope
from fastsmtp.mail.result import printable

NAMED = 50
"""Recipients that are described one by one; all of them are in the part for programs."""

_WIDTH = 72
_ADDRESS = 300  # characters of an address that are shown

_HAPPENED: dict[Action, str] = {
    "delivered": "Delivered.",
    "relayed": "Passed on to a mail system that does not report what becomes of it: this is the last you hear from "
    "us, unless it fails there.",
    "expanded": "This address stands for several people. The message is on its way to them; you are told if it "
    "fails for one of them.",
}


def subject(notice: Notice) -> str:
    """What happened, to whom; may hold any printable character."""
    first = notice.outcomes[0]
    many = len(notice.outcomes) - 1
    whom = _shown(known_as(first.recipient)) + (f" and {many} more" if many else "")
    if notice.kind == "succeeded":
        passed_on = any(outcome.action != "delivered" for outcome in notice.outcomes)
        return f"{'Passed on' if passed_on else 'Delivered'}: {whom}"
    return f"{'Delayed' if notice.kind == 'delayed' else 'Not delivered'}: {whom}"


def letter(notice: Notice, envelope: Envelope, headers: bytes, whole: bool, hostname: str) -> Part:
    """The first part; ``headers`` of the message it is about, which comes back ``whole`` or not."""
    text = "\r\n".join(_lines(notice, envelope, headers, whole, hostname)) + "\r\n"
    charset = "us-ascii" if text.isascii() else "utf-8"
    return encoded(f"text/plain; charset={charset}", text.encode())


def _lines(notice: Notice, envelope: Envelope, headers: bytes, whole: bool, hostname: str) -> Iterator[str]:
    yield f"This is the mail system at {hostname}."
    yield ""
    yield from _wrapped(_opening(notice))
    for outcome in notice.outcomes[:NAMED]:
        yield ""
        yield f"<{_shown(known_as(outcome.recipient))}>"
        for paragraph in _about(notice, outcome):
            yield from _wrapped(paragraph, "    ")
    if len(notice.outcomes) > NAMED:
        yield ""
        yield f"and {len(notice.outcomes) - NAMED} more; the attached report names them all."
    yield ""
    yield "The message:"
    for label, value in (
        ("Subject", find_field(headers, "Subject")),
        ("Date", find_field(headers, "Date")),
        ("Received here", date(envelope.received_at)),
        ("Number here", envelope.id),
    ):
        if value:
            yield f"    {label}: {value}"
    yield ""
    attached = (
        f"Attached are a report for programs and {'the message' if whole else 'the headers of the message'}."
    )
    if notice.kind == "failed" and not notice.double:
        attached += " If this does not help you, show it to whoever runs your mail."
    yield from _wrapped(attached)


def _opening(notice: Notice) -> str:
    """The first sentence: what happened to what."""
    one = len(notice.outcomes) == 1
    these = "the address below" if one else f"the {len(notice.outcomes)} addresses below"
    if notice.double:
        return (
            f"A message without a sender could not be delivered to {these}. Such messages are mostly reports of "
            "failed delivery; as there is nobody to send this one back to, it comes to you, the postmaster."
        )
    what = "Your message"
    if notice.from_list:
        name = notice.outcomes[0].recipient.original
        what = f"A message to {f'the list <{_shown(name)}>' if name else 'a list'} that you look after"
    if notice.kind == "failed":
        return f"{what} could not be delivered to {these}. It will not be tried again."
    if notice.kind == "delayed":
        return (
            f"{what} could not be delivered to {these} so far. You need not do anything: it will be tried again, "
            "and you are told if it fails for good."
        )
    return "You asked to be told what becomes of your message:"


def _about(notice: Notice, outcome: Outcome) -> Iterator[str]:
    """Paragraphs about one recipient."""
    recipient = outcome.recipient
    if outcome.action in _HAPPENED:
        yield _HAPPENED[outcome.action]
        return
    status = status_of(outcome)
    if hidden(notice, recipient):
        # What is wrong with the address behind would be read as being wrong with this one.
        reason = "" if status.startswith(("4.1.", "5.1.")) else f" {explain(status)}"
        yield f"Mail for this address is forwarded to another, where it could not be delivered.{reason}"
    else:
        if recipient.address != known_as(recipient):
            yield f"It was forwarded to <{_shown(recipient.address)}>."
        yield explain(status)
        words = said(outcome)
        if words and outcome.result.diagnostic == "smtp":
            yield f"{printable(outcome.result.remote) or 'The other mail system'} said: {words}"
        elif words:
            yield f"Reason: {words}"
    if outcome.action == "delayed":
        yield f"It will be tried until {date(outcome.retry_until)}."
    elif outcome.result.status == "deferred":
        yield f"It was tried again and again, for the last time on {date(outcome.at)}."


def _shown(address: str) -> str:
    return printable(address, _ADDRESS)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
