"""What the supervisor asks the master to do. Processes are named by their ``place`` in their generation: the workers
first, the helpers behind them."""

import signal
from typing import NamedTuple

from fastsmtp.process.messages import Message


class Fork(NamedTuple):
    """Start the process of ``place``; ``crashed``: its last one ended by a crash; ``waits``: it is to get ready, and
    to accept nothing until it is told."""

    place: int
    crashed: bool
    waits: bool = False


class Send(NamedTuple):
    """Send ``message`` to the process of ``place``."""

    place: int
    message: Message


class Kill(NamedTuple):
    """Send signal ``number`` to the process of ``place``."""

    place: int
    number: signal.Signals


class Say(NamedTuple):
    """One line for the log."""

    text: str


class Announce(NamedTuple):
    """All workers serve for the first time."""


class Prepared(NamedTuple):
    """All processes of a generation that waits could serve: `Supervisor.open` lets them."""


class Failed(NamedTuple):
    """A generation that waits cannot serve; ``text`` says why, ``code`` is the exit code of the process that could
    not start."""

    text: str
    code: int


class Orphan(NamedTuple):
    """Nobody of this generation has ``shard`` open any more; ``crashed``: its last owner ended by a crash."""

    shard: int
    crashed: bool


class Finish(NamedTuple):
    """All processes have ended; ``code`` is the exit code that tells how, ``killed`` how many had to be."""

    code: int
    killed: int = 0


Action = Fork | Send | Kill | Say | Announce | Prepared | Failed | Orphan | Finish
