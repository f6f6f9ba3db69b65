"""Mail that says ``TLS-Required: No`` goes on where the TLS that its destination asks for by DANE or MTA-STS fails
(RFC 8689 §4.2.2): its sender would rather have it read on the way than not arrive, as a report of such failures.
"""

import os
import re

from msgspec.structs import replace

from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.transport.smtp.connection import Content, FileContent
from fastsmtp.transport.smtp.opening import NO_TLS
from fastsmtp.transport.smtp.place import Place, Target
from fastsmtp.transport.smtp.policy import Protection

HEAD_LIMIT = 65_536
"""Octets of a message that are looked at for its header."""

_SAYS_NO = re.compile(rb"^tls-required[ \t]*:(?:\r\n)?[ \t]*no[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


def failed_by_tls(outcome: Outcome) -> bool:
    """Whether a session came to nothing for want of TLS that is good enough."""
    return outcome.stage in ("starttls", "tls") or outcome.enhanced == NO_TLS


def says_no(content: Content) -> bool:
    """Whether the message has the field. Reads from a file where it lies in one; raises OSError."""
    if isinstance(content, FileContent):
        start = os.pread(content.fd, min(HEAD_LIMIT, content.length), content.offset)
    else:
        start = bytes(content[:HEAD_LIMIT])
    return _SAYS_NO.search(start.partition(b"\r\n\r\n")[0]) is not None


def lenient(place: Place) -> Place | None:
    """The same hosts with what TLS they have to offer, if any, where the destination asked for more; None where it
    did not. What somebody here asks for stands."""
    if not any(target.needs.asserted for target in place.targets):
        return None
    return Place(place.site, [_lenient(target) for target in place.targets])


def _lenient(target: Target) -> Target:
    needs = target.needs
    if not needs.asserted:
        return target
    reason = f"TLS-Required: No, over {needs.reason}"
    return replace(target, needs=Protection("may", reason, needs.domain, sni=target.host.name))
