"""A message as JSON, and what becomes of it."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.control.mail import MOST_RECIPIENTS

MOST_FIELDS = 100
MOST_FILES = 100

Line = Annotated[str, Meta(max_length=5000)]
Address = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=1000,
        description="`alice@example.org`, or with a name: `Alice <alice@example.org>`",
        examples=["Alice <alice@example.org>"],
    ),
]
Addresses = Annotated[tuple[Address, ...], Meta(max_length=MOST_RECIPIENTS)]


class Attachment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that goes with a message."""

    filename: Annotated[str, Meta(min_length=1, max_length=255, description="without a path")]
    content: Annotated[bytes, Meta(description="in base64")]
    type: Annotated[
        str,
        Meta(
            max_length=127,
            pattern="^[A-Za-z0-9!#$&^_.+-]{1,60}/[A-Za-z0-9!#$&^_.+-]{1,60}$",
            description="its media type",
        ),
    ] = "application/octet-stream"
    content_id: Annotated[
        str,
        Meta(
            max_length=200,
            pattern="^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]*$",
            description="by which the HTML shows it inline, as `cid:ID`; without it, it is an attachment",
        ),
    ] = ""


class NewMessage(Struct, frozen=True, kw_only=True, rename={"sender": "from"}, forbid_unknown_fields=True):
    """A message to be sent. It needs a recipient, and `text` or `html`; with both of these the reader's program
    chooses. The server adds Message-ID and Date."""

    sender: Annotated[Address, Meta(description="who it is from; the account or token must be allowed to")]
    to: Addresses = ()
    cc: Addresses = ()
    bcc: Annotated[Addresses, Meta(description="get it without being named in it")] = ()
    reply_to: Addresses = ()
    subject: Line = ""
    text: str | None = None
    html: str | None = None
    headers: Annotated[
        dict[str, Line],
        Meta(
            max_length=MOST_FIELDS,
            description="further header fields; those that this API makes itself are refused",
            examples=[{"List-Unsubscribe": "<mailto:leave@example.org>"}],
        ),
    ] = {}
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=MOST_FILES)] = ()


class RecipientResult(Struct, frozen=True, kw_only=True):
    """What was said of one recipient, as SMTP would have: `code` is 2xx where it was taken."""

    address: str
    accepted: bool
    code: int
    enhanced: str
    text: str


class Accepted(Struct, frozen=True, kw_only=True):
    """The message is on stable storage, and is delivered to the recipients that were accepted."""

    id: Annotated[str, Meta(description="queue id, for /v1/trace and the log")]
    recipients: tuple[RecipientResult, ...]
