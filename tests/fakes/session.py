"""A handler that records what a session asks of it, and both implementations to drive it with."""

from collections.abc import Callable, Iterable
from typing import Any

from fastsmtp import _core
from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.handler import PENDING, Answer
from fastsmtp.smtp.rules import ServerRules
from fastsmtp.smtp.server import ServerProtocol as PlainProtocol

RULES = ServerRules(hostname="mx.test", size=10_000, recipients=5, errors=8)

IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {"py": PlainProtocol}
if _core.COMPILED:
    from fastsmtp._core.dialog import ServerProtocol as CompiledProtocol

    IMPLEMENTATIONS["c"] = CompiledProtocol

Event = tuple[Any, ...]


class RecordingHandler:
    """Keeps every event; answers by what the local part says: ``refuse…``, ``later…`` (pending)."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.messages: list[bytes] = []
        self.owed: list[Reply | None] = []
        self._body = bytearray()
        self._later = False

    def _answer(self, address: Address) -> Answer:
        if address.local.startswith("refuse"):
            return Reply(550, "1.1", "no")
        if address.local.startswith("later"):
            self.owed.append(Reply(450, "7.1", "not now") if "refused" in address.local else None)
            return PENDING
        return None

    def on_hello(self, name: str, extended: bool) -> None:
        self.events.append(("hello", name, extended))

    def on_mail(self, sender: Address, parameters: dict[str, str] | None) -> Answer:
        self.events.append(("mail", sender, parameters))
        self._later = sender.local == "laterdata"
        return None if self._later else self._answer(sender)

    def on_rcpt(self, recipient: Address, parameters: dict[str, str] | None) -> Answer:
        self.events.append(("rcpt", recipient, parameters))
        return self._answer(recipient)

    def on_data(self, chunked: bool) -> Answer:
        self.events.append(("data", chunked))
        self._body.clear()
        if self._later:
            self.owed.append(None)
            return PENDING
        return None

    def on_body(self, piece: bytes) -> None:
        assert type(piece) is bytes
        assert piece
        self._body += piece

    def on_body_end(self) -> Answer:  # type: ignore[override]
        self.messages.append(bytes(self._body))
        self.events.append(("end", bytes(self._body)))
        stored = Reply(250, "0.0", "queued as X")
        if self._later:
            self.owed.append(stored)
            return PENDING
        return stored

    def on_body_refused(self, refusal: Reply) -> None:
        self.events.append(("refused",))

    def on_reset(self) -> None:
        self.events.append(("reset",))


def converse(make: Callable[..., Any], pieces: Iterable[bytes], rules: ServerRules = RULES) -> tuple[bytes, list[Event], bool]:
    """Feed ``pieces`` to a new session, answering what is owed after each: replies, events, whether it closes."""
    handler = RecordingHandler()
    protocol = make(rules, handler)
    said = bytearray()
    for piece in pieces:
        said += protocol.receive(piece)
        while protocol.waiting:
            said += protocol.resume(handler.owed.pop(0))
    closing = protocol.closing
    protocol.end()
    return bytes(said), handler.events, closing
