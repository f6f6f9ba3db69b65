"""What can happen, as values: one type for each kind of event, and their form as lines of JSON.

An event is one JSON object in one line, its fields in the order below, after ``kind``: the log in this format, the
ledger, and whatever is built on it read the same octets. A field that has nothing to say is left out. `VERSION` is
in every line; it changes when a field's meaning does, not when a kind or a field is added. docs/logging.md has these
types as a table.

Strings are what was said, cut to a bounded length, and JSON's escapes keep it from being more than a string. No
password, token or other secret is ever put into an event.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta, Struct, field

VERSION = 1
"""Of the schema."""

Seconds = Annotated[float, Meta(description="seconds")]
QueueId = Annotated[str, Meta(description="queue id of the message")]
Client = Annotated[str, Meta(description="the client's IP address")]
To = Annotated[str, Meta(description="the recipient's address")]
Delay = Annotated[float, Meta(description="seconds since the message was received")]


class Event(Struct, omit_defaults=True, gc=False, tag_field="kind"):
    """What every event has."""

    v: Annotated[int, Meta(description="version of this schema")]
    at: Annotated[float, Meta(description="seconds since 1970 UTC")]
    worker: Annotated[int | None, Meta(description="the worker's slot, null for the master")]
    pid: Annotated[int, Meta(description="the process")]


class Message(Event):
    """What every event in a message's life has."""

    id: QueueId


class Received(Message, tag="received"):
    """A message is on stable storage, and its client is told so."""

    sender: Annotated[str, Meta(description="reverse-path, empty for the null sender")] = field(name="from")
    to: Annotated[
        Sequence[str], Meta(description="all its recipients; what an alias stands for in its place")
    ]
    size: Annotated[int, Meta(description="octets as the client sent it")]
    client: Client
    helo: Annotated[str, Meta(description="what the client called itself")]
    protocol: Annotated[str, Meta(description="how it came, as in Received (RFC 3848)")]
    sync: Annotated[float, Meta(description="seconds from the last octet to stable storage")] = 0.0
    message_id: Annotated[str, Meta(description="Message-ID in the header, without its brackets")] = ""
    login: Annotated[str, Meta(description="the account that sent it")] = ""
    tls: Annotated[str, Meta(description="version and cipher of the session")] = ""
    aliases: Annotated[
        Sequence[str], Meta(description="addresses given by the client that stood for others")
    ] = ()
    more: Annotated[int, Meta(description="recipients beyond the first 1,000, which `to` leaves out")] = 0


class Rejected(Event, tag="rejected"):
    """A command, a message or a connection was refused."""

    client: Client
    stage: Annotated[str, Meta(description="the command's verb, or connect")]
    code: Annotated[int, Meta(description="of the reply")]
    enhanced: Annotated[str, Meta(description="status of RFC 3463")]
    reply: Annotated[str, Meta(description="the reply's words")]
    sender: Annotated[str | None, Meta(description="reverse-path, as far as given")] = field(
        name="from", default=None
    )
    to: Annotated[str | None, Meta(description="the recipient, as far as given")] = None
    helo: Annotated[str, Meta(description="what the client called itself")] = ""
    protocol: Annotated[str, Meta(description="SMTP, ESMTP or LMTP")] = ""


class Authenticated(Event, tag="authenticated"):
    """Somebody has logged in."""

    client: Client
    mechanism: Annotated[str, Meta(description="of SASL")]
    login: Annotated[str, Meta(description="the account")]


class LoginFailed(Event, tag="login_failed"):
    """Somebody could not log in."""

    client: Client
    mechanism: Annotated[str, Meta(description="of SASL")]
    login: Annotated[str, Meta(description="what the client called itself, never its password")]
    reason: Annotated[str, Meta(description="why")]


class Verified(Event, tag="verified"):
    """A next hop was asked whether a recipient exists."""

    to: To
    relay: Annotated[str, Meta(description="the host that was asked, empty where none was reached")]
    exists: Annotated[bool, Meta(description="whether it takes mail for the recipient")]
    reply: Annotated[str, Meta(description="its words, or why there are none")]


class Routed(Message, tag="routed"):
    """It was decided where recipients elsewhere are delivered to."""

    to: Annotated[Sequence[str], Meta(description="these recipients")]
    route: Annotated[
        str, Meta(description="`match` of the route; * where none says otherwise, `hand` for a reroute")
    ]
    hops: Annotated[
        Sequence[str], Meta(description="next hops in order of preference, as in `to` of a route")
    ]
    site: Annotated[
        str, Meta(description="the site whose queue they are in, empty where it is still looked up")
    ] = ""


class Delivered(Message, tag="delivered"):
    """The message stands in a mailbox, durable."""

    to: To
    mailbox: Annotated[str, Meta(description="user@domain")]
    delay: Delay


class Attempt(Message):
    """What came of one attempt for one recipient elsewhere."""

    to: To
    relay: Annotated[str, Meta(description="the host that was spoken to, empty where none was reached")]
    code: Annotated[int, Meta(description="of its reply, 0 where there was none")]
    enhanced: Annotated[str, Meta(description="status of RFC 3463: the reply's, or ours")]
    reply: Annotated[str, Meta(description="its words, or our reason")]
    delay: Delay
    duration: Annotated[float, Meta(description="seconds that the attempt took")] = 0.0
    tls: Annotated[str, Meta(description="version and cipher of the session")] = ""


class Sent(Attempt, tag="sent"):
    """The next hop has taken the message."""


class Deferred(Attempt, tag="deferred"):
    """It is tried again later."""

    next_at: Annotated[
        float, Meta(description="when, in seconds since 1970 UTC; left out where its site's turn decides")
    ] = 0.0


class Bounced(Attempt, tag="bounced"):
    """It failed for good."""


class Expired(Attempt, tag="expired"):
    """It was tried for as long as the settings say; the rest is of the last attempt."""


class Notified(Message, tag="notified"):
    """A notification of ours was stored, as a message with an id of its own."""

    about: Annotated[str, Meta(description="queue id of the message it is about")]
    to: Annotated[str, Meta(description="whom it goes to")]
    notice: Annotated[str, Meta(description="failed, delayed or succeeded")]
    recipients: Annotated[int, Meta(description="how many recipients it tells of")]


class Untold(Message, tag="untold"):
    """Something would have to be told, and there is nobody to tell it to."""

    to: Annotated[str, Meta(description="the recipient it is about, empty for several")]
    reason: Annotated[str, Meta(description="why")]


class Failed(Message, tag="failed"):
    """A delivery into a mailbox did not succeed and is not tried again."""

    to: To
    reason: Annotated[str, Meta(description="why, and where the message is kept")]


class Changed(Message, tag="changed"):
    """Somebody changed the queue by hand."""

    action: Annotated[
        Literal["retry", "hold", "release", "reroute", "remove", "bounce"],
        Meta(description="what was done, as the command is called"),
    ]
    hops: Annotated[Sequence[str], Meta(description="of a reroute")] = ()


class Closed(Event, tag="closed"):
    """A connection ended that never became a session."""

    client: Client
    reason: Annotated[str, Meta(description="why")]


class Server(Event, tag="server"):
    """Something about the server itself."""

    text: Annotated[str, Meta(description="in words")]


class Lost(Event, tag="lost"):
    """Events did not get where they should."""

    sink: Annotated[str, Meta(description="where: log or ledger")]
    count: Annotated[int, Meta(description="how many, since it was told last")]


AnyEvent = (
    Received
    | Rejected
    | Authenticated
    | LoginFailed
    | Verified
    | Routed
    | Delivered
    | Sent
    | Deferred
    | Bounced
    | Expired
    | Notified
    | Untold
    | Failed
    | Changed
    | Closed
    | Server
    | Lost
)

KINDS: tuple[type[Event], ...] = AnyEvent.__args__
"""All types, in the order of the documentation."""


class Sink(Protocol):
    """Whoever keeps the lines of events, such as the ledger."""

    def append(self, lines: bytes, count: int) -> None:
        """Take ``count`` lines, each ended by LF. Called on the loop's thread, where it must not wait for anything
        but a write to a file; it never raises."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


def encode(events: Iterable[Event]) -> bytes:
    """The events as lines of JSON, each ended by LF; never raises for what a string holds."""
    events = list(events)
    try:
        return _encoder.encode_lines(events)
    except UnicodeEncodeError:  # a name of a file that is not UTF-8
        return b"".join(map(_encode_cleaned, events))


def decode(line: bytes | memoryview) -> AnyEvent:
    """One line as an event. Raises `msgspec.DecodeError` where it is none, or of a kind that is not known here;
    fields that are not known are passed over."""
    event: AnyEvent = _decoder.decode(line)
    return event


def _encode_cleaned(event: Event) -> bytes:
    raw = msgspec.to_builtins(event, str_keys=True)
    return _encoder.encode(_cleaned(raw)) + b"\n"


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _cleaned(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(one) for one in value]
    return value
