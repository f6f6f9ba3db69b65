"""A sending client driven through a session whose every word stands in the test."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fastsmtp import _core
from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp.outgoing_values import Event, Outcome

IMPLEMENTATIONS = ["py", *(["c"] if _core.COMPILED else [])]

Make = Callable[..., Any]
Act = Callable[[Any], bytes]
Cut = Callable[[bytes], Iterable[bytes]]

GREETING = b"220 mx.test ESMTP\r\n"
EHLO = b"EHLO me.test\r\n"
PLAIN = b"250-mx.test hello\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n"
PIPELINED = b"250-mx.test hello\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n"
CHUNKED = b"250-mx.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 8BITMIME\r\n"
SLOW_CHUNKS = b"250-mx.test\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 8BITMIME\r\n"
OK = b"250 2.0.0 ok\r\n"
GO_ON = b"354 go on\r\n"
NO = b"550 5.1.1 unknown\r\n"
LATER = b"451 4.3.0 later\r\n"
BYE = b"221 2.0.0 bye\r\n"

CONTENT = b"Subject: x\r\n\r\nhello\r\n"
MAIL = b"MAIL FROM:<a@here.test>"
RCPT = b"RCPT TO:<b%d@there.test>\r\n"


def module(which: str, compiled: str, plain: str) -> Any:
    """The compiled module or the plain one."""
    return importlib.import_module(f"fastsmtp._core.{compiled}" if which == "c" else f"fastsmtp.smtp.{plain}")


def protocol(which: str) -> Make:
    """The class of the client: "c" or "py"."""
    return module(which, "outgoing", "outgoing").OutgoingProtocol  # type: ignore[no-any-return]


def rcpts(count: int) -> list[Recipient]:
    """Recipients b1, b2, …"""
    return [Recipient(f"b{number}@there.test", "") for number in range(1, count + 1)]


def send(
    count: int = 1,
    body: bytes | None = CONTENT,
    params: dict[str, str] | None = None,
    sender: str = "a@here.test",
    to: Sequence[Recipient] | None = None,
    size: int | None = None,
) -> Act:
    """An act: begin a transaction."""
    octets = size if size is not None else len(body or CONTENT)
    return lambda client: client.begin(sender, to or rcpts(count), params, octets, body)


def leave(client: Any) -> bytes:
    """An act: say goodbye."""
    return bytes(client.quit())


class Seen(NamedTuple):
    """What a session came to: everything written, the events, the outcomes of each transaction, why it ended."""

    written: bytes
    events: list[Event]
    outcomes: list[list[Outcome]]
    trouble: Outcome | None
    refusal: Outcome | None

    @property
    def statuses(self) -> list[list[str]]:
        """The status of each recipient of each transaction."""
        return [[outcome.status for outcome in outcomes] for outcomes in self.outcomes]


def whole(data: bytes) -> list[bytes]:
    """No cut."""
    return [data]


def converse(
    make: Make,
    says: Sequence[bytes],
    acts: Sequence[Act],
    *,
    pieces: Sequence[bytes] = (CONTENT,),
    cut: Cut = whole,
    ends: bool = False,
    **options: Any,
) -> Seen:
    """Let the server say ``says`` in turn, each cut by ``cut``; do one of ``acts`` whenever the client is ready, and
    hand in ``pieces`` when it wants the body. ``ends``: then the connection is closed."""
    client = make(b"me.test", **options)
    written = bytearray()
    events: list[Event] = []
    outcomes: list[list[Outcome]] = []
    waiting = list(acts)
    body: list[bytes] = []

    def follow() -> None:
        while client.event:
            event = Event(client.event)
            events.append(event)
            if event in (Event.DONE, Event.OVER) and client.outcomes:
                outcomes.append([*client.outcomes])
                client.outcomes.clear()
            if event is Event.OVER:
                return
            if event is Event.BODY:
                body[:] = body or list(pieces)
                while client.open:
                    for part in client.body(body[0], len(body) == 1):
                        written.extend(part)
                    body.pop(0)
                if client.event == Event.BODY:
                    continue
            elif event is Event.TLS_GO:
                written.extend(b"<tls>" + client.tls_done())
            elif waiting:
                written.extend(waiting.pop(0)(client))
            else:
                return

    for said in says:
        for piece in cut(said):
            if client.event == Event.OVER:
                break
            written.extend(client.receive(piece))
            follow()
    if ends:
        over = client.event == Event.OVER
        client.end()
        if not over:
            follow()
    return Seen(bytes(written), events, outcomes, client.trouble, client.refusal)
