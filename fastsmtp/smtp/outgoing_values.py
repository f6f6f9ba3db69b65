"""What the sending client tells its driver: events, what the server offers, and what became of each recipient."""

from enum import IntEnum
from typing import Literal, NamedTuple, Protocol

LINE_LIMIT = 4096
"""Octets of one reply line that are waited for; RFC 5321 §4.5.3.1.5 asks for 512."""

REPLY_LINES = 100
"""Lines of one reply, RFC 5321 §4.2.1 sets no bound."""

REPLY_OCTETS = 32_768
"""Octets of one whole reply."""

WINDOW = 100
"""RCPT commands that are written before their answers have come (RFC 2920 §3.1 wants a bound)."""

EARLY_CHUNK = 32_768
"""Octets up to which a body leaves in one piece with its envelope where the server takes BDAT and PIPELINING: one
round trip instead of two. What is sent in vain when the recipients are refused is bounded by it."""


class Event(IntEnum):
    """What the driver must look at after each call.

    NOTHING     write what was given, then wait for the server
    READY       the session can take `begin`, `starttls`, `auth` or `quit`
    TLS_GO      the server waits for the TLS handshake; then `tls_done`
    REFUSED     STARTTLS or AUTH was refused, as ``refusal`` tells; the session is ready all the same
    BODY        hand in the body by `body`, as long as ``open`` is true
    DONE        the transaction is over, ``outcomes`` tells how; the session is ready again
    OVER        close the connection; ``trouble`` tells why, and what was in transaction has its ``outcomes``
    WORK        have the mechanism's `Mechanism.work` done, where it holds up nobody; then `worked`
    """

    NOTHING = 0
    READY = 1
    TLS_GO = 2
    REFUSED = 3
    BODY = 4
    DONE = 5
    OVER = 6
    WORK = 7


Status = Literal["delivered", "relayed", "deferred", "failed", "again"]


class Outcome(NamedTuple):
    """What one recipient, or one command, came to.

    ``status`` goes by the reply's first digit (RFC 5321 §4.3.2). For a recipient that was taken it is "relayed" by
    a server of SMTP that does not offer DSN, else "delivered": one that offers DSN has taken over who is to be told
    (RFC 3461 §5.2.2). "again" is no result: the transaction was full, the recipient belongs into the next one
    (RFC 5321 §4.5.3.1.10, RFC 9422 §4).
    ``code`` of the reply, 0 when there is none. ``enhanced`` is always there: the reply's when it is well formed and
    of the reply's class, else derived (RFC 3463). ``text`` is one printable line of at most `TEXT_LIMIT` characters:
    what the server said behind its code, an enhanced status included, or our reason when ``ours`` is true. It may
    hold more than ASCII. ``stage`` is where it happened: "connect", "helo", "starttls", "tls", "auth", "rset",
    "mail", "rcpt", "data", "body" (the message, and the answer to its end) or "quit"; "idle" between transactions,
    "plan" when nothing was sent.
    """

    status: Status
    code: int
    enhanced: str
    text: str
    stage: str
    ours: bool


class Offer(NamedTuple):
    """What a server said to EHLO or LHLO. ``name`` its own; ``keywords`` in upper case; ``mechanisms`` those of
    AUTH; ``size`` in octets, and the limits of RFC 9422, each 0 when there is none or it is not told."""

    name: str = ""
    keywords: frozenset[str] = frozenset()
    mechanisms: frozenset[str] = frozenset()
    size: int = 0
    mailmax: int = 0
    rcptmax: int = 0
    rcptdomainmax: int = 0


NO_OFFER = Offer()


class Mechanism(Protocol):
    """The client's side of one SASL exchange; may raise ValueError when the server does not keep to it. The error's
    text must not hold a secret."""

    @property
    def name(self) -> str:
        """As in EHLO."""

    def start(self) -> bytes | None:
        """The initial response; None when the server speaks first."""

    def step(self, challenge: bytes) -> bytes | None:
        """The answer to a challenge; None when it takes long: then `work` gives it."""

    def work(self) -> bytes:
        """The answer that `step` has not given; from any thread."""

    def complete(self) -> bool:
        """Whether success may be believed: the server has proven what the mechanism makes it prove."""
