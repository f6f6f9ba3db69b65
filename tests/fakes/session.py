"""A handler that records what a session asks of it, and both implementations to drive it with.

The handler holds the protocol to its promise while it records: events come in an order that makes sense, no
body follows a refusal, and a transaction is ended exactly once, by `on_body_end`, `on_body_refused` or
`on_reset`.
"""

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from fastsmtp import _core
from fastsmtp.mail import reply
from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.handler import PENDING, Answer, AuthAnswer, Challenge
from fastsmtp.smtp.rules import ServerRules
from fastsmtp.smtp.server import ServerProtocol as PlainProtocol

RULES = ServerRules(hostname="mx.test", size=10_000, recipients=5, errors=8)
CLEAR = ServerRules(
    hostname="mx.test",
    size=10_000,
    recipients=5,
    errors=8,
    starttls=True,
    auth_needs_tls=True,
    gate=reply.NEED_TLS,
)
"""Before TLS, where both TLS and AUTH are demanded."""
SECURED = ServerRules(
    hostname="mx.test",
    size=10_000,
    recipients=5,
    errors=8,
    secured=True,
    mechanisms=("PLAIN", "SCRAM-SHA-256"),
    gate=reply.NEED_AUTH,
)
FRONT = ServerRules(
    hostname="mx.test",
    size=10_000,
    recipients=5,
    errors=8,
    starttls=True,
    mechanisms=("PLAIN",),
    xclient=True,
)
"""Everything at once, demanding nothing."""
LMTP = ServerRules(hostname="mx.test", size=10_000, recipients=5, errors=8, lmtp=True)

IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {"py": PlainProtocol}
if _core.COMPILED:
    from fastsmtp._core.dialog import ServerProtocol as CompiledProtocol

    IMPLEMENTATIONS["c"] = CompiledProtocol

Event = tuple[Any, ...]

NO = Reply(550, "1.1", "no")
NOT_NOW = Reply(450, "7.1", "not now")
STORED = Reply(250, "0.0", "queued as X")

NONE, MAIL, RCPT, BODY = "no transaction", "a sender", "a recipient", "a body"
AUTH = "an exchange of AUTH"


class RecordingHandler:
    """Keeps every event; answers by what the local parts say: ``refuse…``, ``later…`` (pending), and for the
    sender ``laterdata``, ``refusedata`` and ``laterrefusedata`` likewise at DATA. At AUTH the client's response says
    how: ``ask``, ``later ask`` (a challenge), ``refuse``, ``later refuse``, ``later``; anything else is right."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.no_tls: Reply | None = None
        self.messages: list[bytes] = []
        self.pieces: list[bytes] = []
        self.owed: list[Reply | Challenge | None] = []
        self.stage = NONE
        self._asked = ""
        self._at_data = ""

    def _answer(self, stage: str, how: str, fallback: Reply | None = None) -> Answer:
        """``how``: a local part; what is answered now, or kept to be paid later."""
        if how.startswith("later"):
            self.owed.append(NOT_NOW if "refuse" in how else fallback)
            self._asked = stage
            return PENDING
        answer = NO if how.startswith("refuse") else fallback
        self._told(stage, answer)
        return answer

    def _told(self, stage: str, answer: Reply | None) -> None:
        if stage == BODY and answer is not None:
            return  # the protocol says on_reset next
        if answer is None or answer.positive:
            self.stage = stage

    def pay(self) -> Reply | Challenge | None:
        """The answer that is owed, to be handed to `resume`."""
        answer = self.owed.pop(0)
        if self._asked == AUTH:
            if not isinstance(answer, Challenge):
                self.stage = NONE
        elif self._asked:
            assert not isinstance(answer, Challenge)
            self._told(self._asked, answer)
        self._asked = ""
        return answer

    def on_hello(self, name: str, extended: bool) -> None:
        assert self.stage == NONE
        self.events.append(("hello", name, extended))

    def on_starttls(self) -> Reply | None:
        assert self.stage == NONE
        self.events.append(("starttls",))
        return self.no_tls

    def on_auth(self, mechanism: str, initial: bytes | None) -> AuthAnswer:
        assert self.stage == NONE
        self.events.append(("auth", mechanism, initial))
        return self._authenticate(b"ask" if initial is None else initial)

    def on_auth_data(self, response: bytes) -> AuthAnswer:
        assert self.stage == AUTH
        self.events.append(("response", response))
        return self._authenticate(response)

    def _authenticate(self, response: bytes) -> AuthAnswer:
        self.stage = AUTH
        answer: Reply | Challenge | None = None
        if response.endswith(b"ask"):
            answer = Challenge(b"go on")
        elif response.endswith(b"refuse"):
            answer = NO
        if response.startswith(b"later"):
            self.owed.append(answer)
            self._asked = AUTH
            return PENDING
        if not isinstance(answer, Challenge):
            self.stage = NONE
        return answer

    def on_auth_cancelled(self) -> None:
        assert self.stage == AUTH
        self.stage = NONE
        self._asked = ""
        self.owed.clear()
        self.events.append(("cancelled",))

    def on_xclient(self, attributes: dict[str, str]) -> Reply | None:
        assert self.stage == NONE
        self.events.append(("xclient", attributes))
        return NO if attributes.get("NAME") == "refuse" else None

    def on_mail(self, sender: Address, parameters: dict[str, str] | None) -> Answer:
        assert self.stage == NONE
        assert parameters != {}
        self.events.append(("mail", sender, parameters))
        self._at_data = sender.local.replace("data", "") if sender.local.endswith("data") else ""
        return self._answer(MAIL, "" if self._at_data else sender.local)

    def on_rcpt(self, recipient: Address, parameters: dict[str, str] | None) -> Answer:
        assert self.stage in (MAIL, RCPT)
        assert parameters != {}
        self.events.append(("rcpt", recipient, parameters))
        return self._answer(RCPT, recipient.local)

    def on_data(self, chunked: bool) -> Answer:
        assert self.stage == RCPT
        self.events.append(("data", chunked))
        self.pieces.clear()
        return self._answer(BODY, self._at_data)

    def on_body(self, piece: bytes) -> None:
        assert self.stage == BODY
        assert type(piece) is bytes
        assert piece
        self.pieces.append(piece)

    def on_body_end(self) -> Answer:
        assert self.stage == BODY
        self.stage = NONE
        body = b"".join(self.pieces)
        self.messages.append(body)
        self.events.append(("end", body))
        if self._at_data:
            self.owed.append(STORED)
            return PENDING
        return STORED

    def on_body_refused(self, refusal: Reply) -> None:
        assert self.stage == BODY
        self.stage = NONE
        self.events.append(("refused", refusal))

    def on_reset(self) -> None:
        assert self.stage != NONE or self._asked, "a transaction that is over already, or never was"
        self.stage = NONE
        self._asked = ""
        self.owed.clear()
        self.events.append(("reset",))


class Client:
    """A session driven from the client's side."""

    def __init__(self, make: Callable[..., Any], rules: ServerRules = RULES) -> None:
        self.handler = RecordingHandler()
        self.protocol = make(rules, self.handler)

    def say(self, *pieces: bytes) -> bytes:
        """Send ``pieces``, paying what is owed after each; everything said in answer."""
        said = bytearray()
        for piece in pieces:
            said += self.protocol.receive(piece)
            while self.protocol.waiting or self.protocol.full:
                said += (
                    self.protocol.resume(self.handler.pay())
                    if self.protocol.waiting
                    else self.protocol.proceed()
                )
        return bytes(said)

    def only(self, data: bytes) -> bytes:
        """Send ``data`` and pay nothing; what is said in answer at once."""
        out = self.protocol.receive(data)
        assert type(out) is bytes
        return out

    def pay(self) -> bytes:
        """Give the answer that is owed; what is said then."""
        out = self.protocol.resume(self.handler.pay())
        assert type(out) is bytes
        return out

    @property
    def names(self) -> list[str]:
        """The names of the events so far."""
        return [event[0] for event in self.handler.events]


_REPLY_LINE = re.compile(
    rb"([245])[0-9][0-9][ -]\1\.[0-9]{1,3}\.[0-9]{1,3} [ -~]+|354 [ -~]+|334 [A-Za-z0-9+/=]*"
)


def check_replies(said: bytes, rules: ServerRules) -> None:
    """Every line has the form of RFC 5321 §4.2, and but for 354 and those to a hello a status of the code's class."""
    assert said.endswith(b"\r\n") or not said
    plain = said.replace(rules.extended_hello, b"").replace(rules.hello, b"").replace(rules.greeting, b"")
    for line in plain.split(b"\r\n")[:-1]:
        assert _REPLY_LINE.fullmatch(line), line


def converse(
    make: Callable[..., Any], pieces: Iterable[bytes], rules: ServerRules = RULES
) -> tuple[bytes, list[Event], bool]:
    """Feed ``pieces`` to a new session, answering what is owed after each: replies, events, whether it closes."""
    client = Client(make, rules)
    said = client.say(*pieces)
    closing = client.protocol.closing
    check_replies(said, rules)
    client.protocol.end()
    assert client.handler.stage == NONE, "the end of the connection ends the transaction"
    return said, client.handler.events, closing


def bytewise(data: bytes) -> list[bytes]:
    """``data`` byte by byte."""
    return [data[i : i + 1] for i in range(len(data))]


def cut(whole: bytes, at: Iterable[int]) -> list[bytes]:
    """``whole`` in pieces, cut at the places of ``at`` taken modulo its length."""
    places = sorted({0, len(whole), *(place % (len(whole) + 1) for place in at)})
    return [whole[a:b] for a, b in pairwise(places)]


def feedings(whole: bytes, marks: bytes = b"\r\n.") -> list[list[bytes]]:
    """``whole`` at once, byte by byte, and in two pieces cut before and behind each octet of ``marks``."""
    places = {i + d for i, octet in enumerate(whole) if octet in marks for d in (0, 1)}
    return [[whole], bytewise(whole), *(cut(whole, [place]) for place in sorted(places))]
