"""The frame of a crash test: load and reader at work, blows in between, and the audit at the end."""

from collections import Counter
from typing import Any

from tests.tools import arrived, audit
from tests.tools.load import Load, Mix
from tests.tools.reader import Reader
from tests.tools.site import USERS, Site
from tests.tools.waiting import until

MAILBOXES = tuple(f"{user}@example.org" for user in USERS)


class Ordeal:
    """Load and a mail reader on ``server``, until `end` says whether the promise was kept."""

    def __init__(self, server: Site, *, delete: int = 3, seed: int = 1, **mix: Any) -> None:
        self.server = server
        self.load = Load(server.address, Mix(MAILBOXES, **mix), seed=seed)
        self.reader = Reader(server.mail, delete)

    def begin(self) -> None:
        """Start the server, the reader and the load; returns once the first messages are accepted."""
        self.server.start()
        self.reader.start()
        self.load.start()
        self.progress(10)

    def progress(self, messages: int, seconds: float = 60) -> None:
        """Return when so many more messages have been accepted: the server works under load."""
        goal = len(self.load.accepted) + messages
        until(f"{messages} more are accepted", lambda: len(self.load.accepted) >= goal, seconds)

    def end(self, seconds: float = 60) -> int:
        """Stop the load, wait for peace, stop the server and look for what is wrong; returns how many
        messages had been accepted."""
        self.load.stop()
        server, reader, sent = self.server, self.reader, self.load.sent
        try:
            until("all accepted mail is seen", lambda: not audit.awaited(sent, reader.seen), seconds)
        except AssertionError:
            reader.finish()
            faults = audit.compare(sent, reader.seen)
            raise AssertionError(f"{len(faults)} faults: {faults[:10]}, {reader.faults[:10]}") from None
        until("no body file is left", lambda: not audit.body_files(server.data), 30)
        until("tmp/ is empty", lambda: not arrived.left_in_tmp(server.mail), 30)
        server.stop_in_order()
        reader.finish()
        assert reader.faults == []
        faults = audit.compare(sent, reader.seen) + self._wrong_ids(reader)
        assert faults == [], f"{len(faults)} faults"
        assert audit.left_behind(server.data, server.mail) == []
        return len(self.load.accepted)

    def _wrong_ids(self, reader: Reader) -> list[str]:
        """Messages whose Received field names another id than their 250 did."""
        said = {each.digest: each.queue_id for each in self.load.accepted}
        wrong = [mark for mark in said if reader.ids.get(mark) != said[mark]]
        return [f"{said[mark]} has id {reader.ids.get(mark)} in its Received field" for mark in wrong]

    def abandon(self) -> None:
        """Leave nothing running, whatever has happened."""
        if self.server.runs:
            self.server.kill()
        print(self.server.everything_said()[-6000:])
        self.load.faults.clear()
        self.load.stop()


def surviving(server: Site) -> Counter[tuple[str, str]]:
    """What stands in the mailboxes now, by mailbox and hash of the content."""
    return audit.standing(server.mail)
