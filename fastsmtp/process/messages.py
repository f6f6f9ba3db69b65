"""What master and worker say to each other over the socket pair of a slot.

One datagram of a sequenced-packet socket is one message: a word, and for most a slot number.

| message | from | meaning |
|---|---|---|
| ``ready`` | worker | it accepts connections |
| ``adopted K`` | worker | shard K is open here and being delivered |
| ``released K`` | worker | shard K is closed here |
| ``adopt K crash``, ``adopt K kill`` | master | open shard K; its last owner ended by a crash, or otherwise |
| ``release K`` | master | close shard K: its own worker is about to be started |
| ``watch K`` | master | accept from the sockets of slot K too |
| ``unwatch K`` | master | slot K has a worker again |
| ``certificate K`` | master | certificate K was replaced; the new one comes as an open file with the message |
| ``log`` | master | the log's file was opened anew; it comes with the message |

The worker reads end of file when the master is gone. The heartbeat is not a message: it stands in shared
memory, so that a full socket cannot stop it.
"""

import os
import socket
from typing import NamedTuple

READY = "ready"
ADOPTED = "adopted"
RELEASED = "released"
ADOPT = "adopt"
RELEASE = "release"
WATCH = "watch"
UNWATCH = "unwatch"
CERTIFICATE = "certificate"
LOG = "log"

_WORDS = {
    READY: 0,
    ADOPTED: 1,
    RELEASED: 1,
    ADOPT: 2,
    RELEASE: 1,
    WATCH: 1,
    UNWATCH: 1,
    CERTIFICATE: 1,
    LOG: 0,
}
"""How many words follow each verb."""

MAX_SIZE = 64
"""Bytes of the longest message, with room to spare."""


class Message(NamedTuple):
    """One message; ``slot`` is -1 for ``ready`` and ``log``, the certificate's number for ``certificate``;
    ``crashed`` matters to ``adopt`` only. ``file`` is the open file that has come with it, or -1."""

    verb: str
    slot: int = -1
    crashed: bool = False
    file: int = -1

    def encode(self) -> bytes:
        """The wire form."""
        if self.slot < 0:
            return self.verb.encode("ascii")
        if self.verb == ADOPT:
            return f"{self.verb} {self.slot} {'crash' if self.crashed else 'kill'}".encode("ascii")
        return f"{self.verb} {self.slot}".encode("ascii")


def receive(channel: socket.socket) -> Message | None:
    """The next message, or None at the end of file. Raises BlockingIOError when there is none, `ValueError` when it
    is none of ours."""
    try:
        data, files, _, _ = socket.recv_fds(channel, MAX_SIZE, 1)
    except BlockingIOError:
        raise
    except OSError:
        return None
    for file in files:
        os.set_inheritable(file, False)
    return decode(data)._replace(file=files[0] if files else -1) if data else None


def decode(data: bytes) -> Message:
    """Read one datagram; raises `ValueError` when it is none of ours."""
    verb, *rest = data.decode("ascii").split(" ")
    wrong = ValueError(f"not a control message: {data!r}")
    if _WORDS.get(verb) != len(rest):
        raise wrong
    if not rest:
        return Message(verb)
    if not rest[0].isdigit() or rest[1:] not in ([], ["crash"], ["kill"]):
        raise wrong
    return Message(verb, int(rest[0]), rest[1:] == ["crash"])


class Renewal(NamedTuple):
    """A certificate that is to be used from now on: its ``number`` in the settings, and an open ``file`` with it,
    which the receiver closes."""

    number: int
    file: int


class Birth(NamedTuple):
    """What a new worker is told: its ``slot``, its end of the ``channel``, the master's pid, and whether the
    last worker of the slot ``crashed``."""

    slot: int
    channel: socket.socket
    master: int
    crashed: bool
