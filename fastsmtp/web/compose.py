"""A message as JSON, made into one as it goes over the wire (RFC 5322, RFC 2045)."""

import re
from collections.abc import Iterable, Sequence
from email import policy
from email.errors import MessageError
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage, MIMEPart
from itertools import chain
from typing import NamedTuple

from fastsmtp.mail.address import Address
from fastsmtp.routing.addresses import parse_address
from fastsmtp.web.message import Attachment, NewMessage

_OWN = frozenset(
    (
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "reply-to",
        "mime-version",
        "return-path",
        "received",
        "sender",
        "date",
    )
)
"""Fields that are made by other members, or by the server."""
_MOST_TEXT = 10_000
"""Characters of all further header fields together, and of all names beside addresses: to write them in lines takes
time that grows faster than they do."""
_FAULTS = (MessageError, ValueError, IndexError, AttributeError, TypeError, KeyError, RecursionError)
"""What `email` raises for header fields that it cannot read or write."""
_NAME = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 §3.6.8
_NAMED = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<name>[^<>"]*?))\s*<(?P<address>[^<>]*)>\s*')
_ENCODED = re.compile(r"=\?[^?]*\?[bq]\?", re.IGNORECASE)
_FIELD = re.compile(rb"([!-9;-~]+):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


class Named(NamedTuple):
    """An address of a header field: the ``name`` beside it, which may be empty."""

    name: str
    address: Address


class Composed(NamedTuple):
    """``utf8``: an address needs SMTPUTF8 (RFC 6531)."""

    sender: Address
    recipients: list[Address]
    content: bytes
    utf8: bool


def compose(message: NewMessage) -> Composed:
    """Raises ValueError, whose text begins with the member that is wrong."""
    sender = read_named("from", message.sender)
    fields = {
        name: [read_named(name, one) for one in addresses]
        for name, addresses in (
            ("to", message.to),
            ("cc", message.cc),
            ("bcc", message.bcc),
            ("reply_to", message.reply_to),
        )
    }
    recipients = [named.address for name in ("to", "cc", "bcc") for named in fields[name]]
    if not recipients:
        raise ValueError("to: a message needs a recipient, in to, cc or bcc")
    if sum(len(named.name) for named in (sender, *chain.from_iterable(fields.values()))) > _MOST_TEXT:
        raise ValueError(f"to: names of more than {_MOST_TEXT:,} characters together")
    shown = [sender, *fields["to"], *fields["cc"], *fields["reply_to"]]
    utf8 = not all(one.address.text.isascii() for one in shown)
    made = EmailMessage(policy.SMTPUTF8 if utf8 else policy.SMTP)
    made["From"] = _written([sender])
    for name, key in (("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to")):
        if fields[key]:
            made[name] = _written(fields[key])
    if not (fields["to"] or fields["cc"]):
        made["To"] = "undisclosed-recipients:;"
    if message.subject:
        made["Subject"] = _line("subject", message.subject)
    _add_fields(made, message.headers)
    _add_content(made, message)
    try:
        content = made.as_bytes()
    except _FAULTS:
        raise ValueError("headers: there is a value that cannot be written (RFC 5322)") from None
    _check(made, content)
    return Composed(
        sender.address, recipients, content, utf8 or not all(one.text.isascii() for one in recipients)
    )


def read_named(where: str, text: str) -> Named:
    """An address with a name or without, as ``where`` has it. Raises ValueError."""
    _line(where, text)
    found = _NAMED.fullmatch(text)
    name = "" if found is None else found["name"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
    try:
        return Named(name.strip(), parse_address(text.strip() if found is None else found["address"].strip()))
    except ValueError:
        raise ValueError(
            f'{where}: expected an address such as "alice@example.org" or "Alice <alice@example.org>"'
        ) from None


def _written(addresses: Iterable[Named]) -> Sequence[HeaderAddress]:
    return [
        HeaderAddress(display_name=name, username=address.local, domain=address.domain)
        for name, address in addresses
    ]


def _add_fields(made: EmailMessage, fields: dict[str, str]) -> None:
    if sum(map(len, fields.values())) > _MOST_TEXT:
        raise ValueError(f"headers: more than {_MOST_TEXT:,} characters together")
    for name, value in fields.items():
        where = f"headers.{_printable(name)}"
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{where}: expected the name of a header field, of printable ASCII without a colon"
            )
        if lower in _OWN or lower.startswith(("content-", "resent-")):
            raise ValueError(f"{where}: this field is made by the server or by another member")
        if lower in made:
            raise ValueError(f"{where}: this field stands twice")
        _line(where, value)
        try:
            made[name] = value
        except _FAULTS:
            raise ValueError(f"{where}: expected a value that may stand in such a field (RFC 5322)") from None


def _check(made: EmailMessage, content: bytes) -> None:
    """Whether the header has the fields that it was given and no others, whatever `email` has made of their
    values."""
    head, _, _ = content.partition(b"\r\n\r\n")
    fields: list[str] = []
    for line in head.split(b"\r\n"):
        found = _FIELD.match(line)
        if found is not None:
            fields.append(found[1].decode("ascii").lower())
        if b"\r" in line or b"\n" in line or (found is None and line[:1] not in (b" ", b"\t")):
            fields.append("")
    if fields != [name.lower() for name in made]:
        raise ValueError("headers: there is a value that cannot be written (RFC 5322)")


def _add_content(made: EmailMessage, message: NewMessage) -> None:
    text, html = message.text, message.html
    inline = [one for one in message.attachments if one.content_id]
    attached = [one for one in message.attachments if not one.content_id]
    if text is None and html is None:
        raise ValueError("text: a message needs text or html")
    if inline and html is None:
        raise ValueError("attachments: content_id is for what html shows, and there is none")
    if text is not None:
        made.set_content(_letters("text", text), cte=_encoding(text))
    if html is not None:
        shown = _letters("html", html)
        if text is None:
            made.set_content(shown, subtype="html", cte=_encoding(shown))
        else:
            made.add_alternative(shown, subtype="html", cte=_encoding(shown))
        part = made if text is None else list(made.iter_parts())[-1]
        assert isinstance(part, MIMEPart)
        for one in inline:
            kind, _, sub = one.type.partition("/")
            part.add_related(
                one.content,
                kind,
                sub,
                cid=f"<{one.content_id}>",
                filename=_filename(one),
                disposition="inline",
            )
    for one in attached:
        kind, _, sub = one.type.partition("/")
        made.add_attachment(one.content, kind, sub, filename=_filename(one))


def _encoding(text: str) -> str:
    """No line may be longer than 998 octets, and no octet above 127 (RFC 5322 §2.1.1): what is not plain is encoded,
    whichever way is shorter to read."""
    plain = text.isascii() and all(len(line) <= 998 for line in text.splitlines())
    return "7bit" if plain and "\0" not in text else "quoted-printable" if len(text) < 1 << 20 else "base64"


def _filename(file: Attachment) -> str:
    name = _line("attachments.filename", file.filename)
    if "/" in name or "\\" in name or name in (".", ".."):
        raise ValueError("attachments.filename: expected the name of a file, without a path")
    if file.type.lower().startswith(("multipart/", "message/")):
        raise ValueError(
            "attachments.type: a multipart or a message cannot be attached; post it as message/rfc822"
        )
    return name


def _line(where: str, text: str) -> str:
    """``text`` when it can be part of one header field: no line end of any kind, no other control character."""
    if _CONTROL.search(text):
        raise ValueError(f"{where}: a line end or another control character is in it")
    if _ENCODED.search(text):
        # It could hold any character, and `email` undoes it before it writes the field.
        raise ValueError(f"{where}: write it in letters, not in encoded words (RFC 2047); that is done here")
    return text


def _letters(where: str, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{where}: half a surrogate pair is in it, which is no character") from None
    return text


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:76])
