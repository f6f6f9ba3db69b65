"""What clients and the server have said lately: of sessions in which something was refused, and of all while somebody
watches.

A session that goes well costs one look at each reply. From the first refusal on its dialogue is kept, in a ring of
bounded size. What is kept never held a secret: of a client's octets only whole commands stand there, AUTH without
what follows, and everything else (messages, answers to challenges, what is no command) as a number of octets.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from fastsmtp.mail.result import printable

SESSIONS = 64
"""Sessions that are kept ..."""
LINES = 100
"""... with so many lines of each, the first and the latest."""
FEED = 2000
"""Lines that wait for whoever watches."""
LEASE = 5.0
"""Seconds that a watcher is thought to be there after he asked."""
LONE = 24
"""Octets of an answer that is one reply, for sure."""
_LONGEST = 200
_CHALLENGE = "334 [cut]"
_COMMAND = re.compile(
    rb"(?:EHLO|HELO|LHLO|MAIL|RCPT|RSET|NOOP|QUIT|HELP|VRFY|EXPN|ETRN|DATA|BDAT|STARTTLS|XCLIENT|AUTH)"
    rb"(?: [^\r\n]*)?\r?\n",
    re.IGNORECASE,
)
_LAST = (b"DATA", b"BDAT", b"AUTH", b"STAR")  # what follows these is no command


class Said(Struct, frozen=True, array_like=True):
    """One line: ``at`` in seconds since 1970 UTC, said by the client (``C``) or the server (``S``)."""

    at: float
    who: Literal["C", "S"]
    text: str


class Heard(Struct, frozen=True, array_like=True):
    """A line of a session for whoever watches."""

    session: str
    client: str
    said: Said


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a session: ``sender`` None where none was given; ``recipients`` those of the transaction."""

    helo: str = ""
    protocol: str = ""
    login: str = ""
    tls: str = ""
    sender: str | None = None
    recipients: int = 0


class Talk:
    """What is kept of one session."""

    __slots__ = ("began", "client", "ended", "facts", "latest", "name", "refusals", "start")

    def __init__(self, name: str, client: str, began: float, facts: Facts) -> None:
        self.name = name
        self.client = client
        self.began = began
        self.ended = 0.0
        self.facts = facts
        self.refusals = 0
        self.start: list[Said] = []
        self.latest: deque[Said] = deque(maxlen=LINES // 2)

    def lines(self) -> list[Said]:
        """What was said, as far as it is kept."""
        return [*self.start, *self.latest]


class Dialogues:
    """Of one worker, whose number is ``slot``; used on the loop's thread. ``now`` in seconds since 1970 UTC."""

    def __init__(self, slot: int, now: Callable[[], float]) -> None:
        self.watched = False
        """Whether somebody wants to hear everything."""
        self.kept: deque[Talk] = deque(maxlen=SESSIONS)
        self._slot = slot
        self._now = now
        self._number = 0
        self._feed: deque[Heard] = deque(maxlen=FEED)
        self._fed = 0
        self._until = 0.0

    def begin(self, client: str, facts: Facts) -> Talk:
        """From now on what a session says is kept. It has a name of its own."""
        self._number += 1
        return Talk(f"{self._slot}.{self._number}", client, self._now(), facts)

    def heard(self, talk: Talk, piece: bytes, out: bytes) -> None:
        """The client said ``piece``, which may be empty, and ``out`` was the answer."""
        at = self._now()
        answer = replies(out)
        secret = _may_be_secret(talk, piece, out)
        lines = [Said(at, "C", text) for text in commands(piece, secret=secret)] if piece else []
        lines += [Said(at, "S", text) for text in answer]
        if out and failed(out):
            if not talk.refusals:
                self.kept.append(talk)
            talk.refusals += sum(text[0] in "45" and text[3:4] != "-" for text in answer)
        for line in lines:
            if len(talk.start) < LINES // 2:
                talk.start.append(line)
            else:
                talk.latest.append(line)
            if self.watched:
                self._feed.append(Heard(talk.name, talk.client, line))
                self._fed += 1

    def ended(self, talk: Talk) -> None:
        """Its connection is gone."""
        talk.ended = self._now()

    def tick(self) -> None:
        """Once a second."""
        if self.watched and self._now() > self._until:
            self.watched = False
            self._feed.clear()

    def watch(self, position: int) -> tuple[int, Sequence[Heard]]:
        """What was said after ``position``, and where that ends; -1: from now on. To be asked again within
        `LEASE`."""
        self.watched = True
        self._until = self._now() + LEASE
        new = 0 if position < 0 else min(max(self._fed - position, 0), len(self._feed))
        return self._fed, list(self._feed)[len(self._feed) - new :]


def failed(out: bytes) -> bool:
    """Whether ``out``, which is not empty, refuses a command."""
    return 51 < out[0] < 54 or b"\r\n5" in out or b"\r\n4" in out


def commands(piece: bytes, *, secret: bool = False) -> list[str]:
    """What may be shown of a client's octets; ``secret``: they may be part of a login."""
    found: list[str] = []
    at = 0
    while not secret and (match := _COMMAND.match(piece, at)) is not None:
        at = match.end()
        line = match[0].rstrip(b"\r\n")
        verb = line[:4].upper()
        if verb == b"AUTH":
            line = b" ".join(line.split()[:2]) + b" [cut]" * (len(line.split()) > 2)
        found.append(printable(line.decode("utf-8", "replace"), _LONGEST))
        if verb in _LAST:
            break
    left = len(piece) - at
    return [*found, f"[{left} octets]"] if left else found


def _may_be_secret(talk: Talk, piece: bytes, out: bytes) -> bool:
    """Whether a client's octets answer a challenge, as far as can be told: even such an answer may look like a
    command."""
    said = talk.latest or talk.start
    asked = bool(said) and said[-1].text == _CHALLENGE
    return asked or (b" " not in piece and out[:3] in (b"334", b"421", b"454", b"501", b"535"))


def replies(out: bytes) -> list[str]:
    """The server's lines; a challenge is cut."""
    lines = out.decode("utf-8", "replace").split("\r\n")
    return [_CHALLENGE if line.startswith("334 ") else printable(line, _LONGEST) for line in lines if line]
