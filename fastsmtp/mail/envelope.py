"""The envelope: who sends, who receives, and how it came (RFC 5321 §2.3.1).

These are the records the spool keeps, so their fields are a file format: `FORMAT` in spool/record.py changes
when they do. Only a last field with a default may be added without: both programs read both forms.
"""

from collections.abc import Mapping

import msgspec


class Recipient(msgspec.Struct, array_like=True, gc=False):
    """One recipient of one message.

    ``address`` as the client gave it (without the angle brackets), ``mailbox`` the mailbox it stands for in
    canonical form (``user@domain``, lower case, sub-address removed), empty for one that lives elsewhere;
    ``params`` its RCPT parameters by upper-case keyword (NOTIFY, ORCPT: RFC 3461 §4).

    ``sender`` is the reverse-path for this recipient where it is not the envelope's (a list's owner, RFC 5321
    §3.9.2, or a rewritten one); ``original`` the address the client gave, where an alias made ``address`` of it.
    """

    address: str
    mailbox: str
    params: dict[str, str] | None = None
    sender: str | None = None
    original: str | None = None


class Envelope(msgspec.Struct, array_like=True, gc=False):
    """One message's envelope.

    ``id`` the queue id; ``sender`` the reverse-path without brackets, empty for the null sender;
    ``received_at`` seconds since 1970 UTC; ``params`` MAIL's parameters by upper-case keyword (SIZE, BODY,
    SMTPUTF8, RET, ENVID, HOLDFOR, HOLDUNTIL), None when there are none.
    """

    id: str
    sender: str
    recipients: list[Recipient]
    client_ip: str
    helo: str
    protocol: str
    received_at: float
    params: dict[str, str] | None = None


def declared_size(params: Mapping[str, str] | None) -> int:
    """What MAIL's parameters say of the message's size (RFC 1870 §4), in octets; 0: nothing."""
    return 0 if params is None else int(params.get("SIZE", "0"))
