"""What a file of the maildrop looks like: the envelope in lines of text, an empty line, the message.

The first line names the format and, as its last character, `EIGHT` or `SEVEN`: whether the message has octets that
are not ASCII, which is known when all of it was written. The other lines are a key, a blank and a value. Lines of the
message end with CRLF. What is written here is read by a server that may be newer: a change is a new format.
"""

MOST_HEAD = 4 << 20
"""Octets of an envelope."""
MOST_RECIPIENTS = 10_000
"""Recipients of one message."""
SEVEN, EIGHT = b"7", b"8"
_FIRST = b"fastsmtp maildrop 1 "
MARK = len(_FIRST)
"""Where `EIGHT` or `SEVEN` stands."""


class DropError(Exception):
    """A file is not of this form; one line."""


class Drop:
    """An envelope. ``sender`` is None for the user's own address and empty for the null sender; it and the
    ``recipients`` may lack a domain, which is the server's then. ``name`` is the sender's full name for a From that
    is missing; ``parameters`` are those of MAIL (NOTIFY is that of each RCPT)."""

    __slots__ = ("eight_bit", "name", "parameters", "recipients", "sender")

    def __init__(
        self,
        sender: str | None,
        recipients: tuple[str, ...],
        name: str = "",
        parameters: dict[str, str] | None = None,
        eight_bit: bool = False,
    ) -> None:
        self.sender = sender
        self.recipients = recipients
        self.name = name
        self.parameters = parameters or {}
        self.eight_bit = eight_bit


def encoded(drop: Drop) -> bytes:
    """What a file begins with. Raises `DropError` when a value cannot stand there."""
    lines = []
    if drop.sender is not None:
        lines.append(f"sender {drop.sender}")
    if drop.name:
        lines.append(f"name {drop.name}")
    lines += [f"parameter {keyword} {value}" for keyword, value in drop.parameters.items()]
    lines += [f"recipient {recipient}" for recipient in drop.recipients]
    for line in lines:
        if any(character < " " or character == "\x7f" for character in line):
            raise DropError("a control character in an address or a name")
    text = "".join(line + "\n" for line in lines)
    return (
        _FIRST
        + (EIGHT if drop.eight_bit else SEVEN)
        + b"\n"
        + text.encode("utf-8", "surrogateescape")
        + b"\n"
    )


def decoded(head: bytes) -> Drop:
    """The envelope of a file that begins with ``head``, its empty line left out. Raises `DropError`."""
    first, *lines = head.split(b"\n")
    if first[:MARK] != _FIRST or first[MARK:] not in (SEVEN, EIGHT):
        raise DropError("it does not begin as a file of the maildrop, or is of another version of fastsmtp")
    sender: str | None = None
    name = ""
    parameters: dict[str, str] = {}
    recipients: list[str] = []
    for line in lines:
        try:
            key, _, value = line.decode("utf-8").partition(" ")
        except UnicodeDecodeError:
            raise DropError("a line of the envelope is not UTF-8") from None
        if key == "sender":
            sender = value
        elif key == "name":
            name = value
        elif key == "recipient":
            recipients.append(value)
        elif key == "parameter":
            keyword, _, word = value.partition(" ")
            parameters[keyword] = word
        elif line:
            raise DropError("a line of the envelope begins with a word that is not known")
    if not 0 < len(recipients) <= MOST_RECIPIENTS:
        raise DropError(f"expected 1 to {MOST_RECIPIENTS:,} recipients, got {len(recipients):,}")
    return Drop(sender, tuple(recipients), name, parameters, first[MARK:] == EIGHT)
