"""What became of one recipient in one attempt: log, trace and bounce are made of it."""

from typing import Literal

from msgspec import Struct

TEXT_LIMIT = 500
"""Characters of a `DeliveryResult`'s text that are kept."""


class DeliveryResult(Struct, frozen=True, array_like=True, gc=False):
    """One recipient's result of one attempt.

    ``recipient`` is the number in the envelope's recipients. ``status``: ``relayed`` is a delivery to a next hop
    that does not speak DSN, so that nobody will tell of the rest of the way (RFC 3461 §5.2.2); ``deferred`` may be
    tried again; ``failed`` may not. ``code`` is the reply's, 0 when there was no reply; ``enhanced`` the status of
    RFC 3463, never empty: the reply's, else derived from the code, else ours. ``text`` is one printable line of at
    most `TEXT_LIMIT` characters: the remote's words, or our reason. ``remote`` is the host that was spoken to, as
    ``mx.far.test[192.0.2.1]:25``, empty when none was reached. ``diagnostic`` says whose words ``text`` is
    (RFC 3464 §2.3.6): the remote's SMTP reply, or ours. ``final``: it was delivered by LMTP to a server that does not
    offer DSN, so that nobody but us can tell of it (RFC 3461 §5.2.3). ``tls`` is version and cipher of the session,
    empty where it was in the clear.
    """

    recipient: int
    status: Literal["delivered", "relayed", "deferred", "failed"]
    code: int
    enhanced: str
    text: str
    remote: str
    diagnostic: Literal["smtp", "x-fastsmtp"]
    final: bool = False
    tls: str = ""


def printable(text: str, limit: int = TEXT_LIMIT) -> str:
    """``text`` as one line that may stand in a log or a report: what is not printable becomes ``?``, blanks at
    both ends go, and at most ``limit`` characters stay."""
    text = text[: 4 * limit].strip()
    if not text.isprintable():
        text = "".join([c if c.isprintable() else "?" for c in text])
    return text if len(text) <= limit else text[: limit - 1] + "…"
