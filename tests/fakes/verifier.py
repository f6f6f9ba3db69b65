"""A verifier whose answers are the test's."""

from collections.abc import Callable

from fastsmtp.mail.reply import Reply
from fastsmtp.routing.route import RemoteRoute
from fastsmtp.smtp.handler import PENDING, Answer


class FakeVerifier:
    """Knows at once what stands in ``known``, None for one who exists; who asks for others waits for `answer`."""

    def __init__(self) -> None:
        self.known: dict[str, Reply | None] = {}
        self.asked: list[str] = []
        self.waiting: list[Callable[[Reply | None], None]] = []

    def ask(self, address: str, route: RemoteRoute, told: Callable[[Reply | None], None]) -> Answer:
        """See `session.Verifier`."""
        self.asked.append(address)
        if address in self.known:
            return self.known[address]
        self.waiting.append(told)
        return PENDING

    def answer(self, reply: Reply | None = None) -> None:
        """Tell the one who has waited longest."""
        self.waiting.pop(0)(reply)
