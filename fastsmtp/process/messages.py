"""What the master and its processes say to each other over a socket pair.

One datagram of a sequenced-packet socket is one message: a word, and for most a number.

| message | from | meaning |
|---|---|---|
| ``ready`` | worker, helper | it accepts connections; one that was born to wait: it could |
| ``failed TEXT`` | worker, helper | it cannot start, and why |
| ``adopted K`` | worker | shard K is open here and being delivered |
| ``refused K`` | worker | shard K cannot be opened here now: another process has it |
| ``emptied K`` | worker | nothing is left in shard K, which was adopted |
| ``released K`` | worker | shard K is closed here |
| ``accept`` | master | accept from now on: for one that was born to wait |
| ``close N`` | master | listener N is no more: accept what has come and close its sockets |
| ``drain S`` | master | accept no more, and end with the last session, in S seconds at most |
| ``adopt K crash``, ``adopt K kill`` | master | open shard K; its last owner ended by a crash, or otherwise |
| ``remove K`` | master | close shard K, in which nothing is left, and remove its directory |
| ``release K`` | master | close shard K: its own worker is about to be started |
| ``watch K`` | master | accept from the sockets of the worker of index K too |
| ``unwatch K`` | master | it has a successor |
| ``certificate K`` | master | certificate K was replaced; the new one comes as an open file with the message |
| ``log`` | master | the log's file was opened anew; it comes with the message |

A process reads end of file when the master is gone. The heartbeat is not a message: it stands in shared
memory, so that a full socket cannot stop it.
"""

import os
import socket
from typing import NamedTuple

READY = "ready"
FAILED = "failed"
ADOPTED = "adopted"
REFUSED = "refused"
EMPTIED = "emptied"
RELEASED = "released"
ACCEPT = "accept"
CLOSE = "close"
DRAIN = "drain"
ADOPT = "adopt"
RELEASE = "release"
REMOVE = "remove"
WATCH = "watch"
UNWATCH = "unwatch"
CERTIFICATE = "certificate"
LOG = "log"

_WORDS = {
    READY: 0,
    ADOPTED: 1,
    REFUSED: 1,
    EMPTIED: 1,
    RELEASED: 1,
    ACCEPT: 0,
    CLOSE: 1,
    DRAIN: 1,
    ADOPT: 2,
    RELEASE: 1,
    REMOVE: 1,
    WATCH: 1,
    UNWATCH: 1,
    CERTIFICATE: 1,
    LOG: 0,
}
"""How many words follow each verb."""

MAX_SIZE = 1024
"""Bytes of the longest message."""
_LONGEST_TEXT = 300


class Message(NamedTuple):
    """One message; ``number`` is that of the shard, process, seconds or the certificate's, -1 where there is none;
    ``crashed`` matters to ``adopt`` only. ``file`` is the open file that has come with it, or -1; ``text`` is of
    ``failed``, cut to `_LONGEST_TEXT` characters."""

    verb: str
    number: int = -1
    crashed: bool = False
    file: int = -1
    text: str = ""

    def encode(self) -> bytes:
        """The wire form."""
        if self.verb == FAILED:
            return f"{FAILED} {self.text[:_LONGEST_TEXT]}".encode("utf-8", "backslashreplace")[:MAX_SIZE]
        if self.number < 0:
            return self.verb.encode("ascii")
        if self.verb == ADOPT:
            return f"{self.verb} {self.number} {'crash' if self.crashed else 'kill'}".encode("ascii")
        return f"{self.verb} {self.number}".encode("ascii")


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
    if data.startswith(b"failed "):
        return Message(FAILED, text=data.decode("utf-8", "replace").partition(" ")[2])
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
    """What a new process is told: its end of the ``channel``, the master's pid, whether the last one in its place
    ``crashed``, its ``row`` in the tables of shared memory. A worker besides: its ``slot``, which is the number of
    its spool shard and names it in the log and among the control sockets, no other process having the same; its
    ``place`` among the workers of its generation, by which it has its listening sockets; whether it ``waits``
    for the order to accept."""

    slot: int
    channel: socket.socket
    master: int
    crashed: bool = False
    row: int = 0
    place: int = 0
    waits: bool = False
