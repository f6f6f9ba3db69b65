"""What a run of the load generator is to do, as one value."""

import ipaddress
from typing import Literal

import msgspec

from fastsmtp.loadgen.schedule import ClosedLoop, OpenLoop, Schedule
from fastsmtp.loadgen.sizes import Share
from fastsmtp.sasl.client import Credentials, Mechanism, Plain, Scram
from fastsmtp.sasl.client import Login as LoginMechanism


class Target(msgspec.Struct, frozen=True):
    """A server to be visited: ``name`` for the report, ``host`` an IP address."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """``host:port``, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, by a loopback address."""
        return ipaddress.ip_address(self.host).is_loopback


Tls = Literal["tls", "starttls"]
MECHANISMS: dict[str, type[Mechanism]] = {kind.name: kind for kind in (Plain, LoginMechanism, Scram)}


class Login:
    """Who logs in, and by which of `MECHANISMS`."""

    def __init__(self, user: str, password: str, by: str = Plain.name) -> None:
        self.by = by
        self._credentials = Credentials(user, password=password)

    def mechanism(self) -> Mechanism:
        """For one exchange."""
        return MECHANISMS[self.by](self._credentials)


class Plan(msgspec.Struct, frozen=True):
    """One run against one target.

    ``messages`` and ``duration`` (seconds) end it, whichever comes first; ``rate`` (messages a second) makes it
    an open loop. ``sessions`` are split over ``processes``. ``timeout`` is how long a message may take, in
    seconds. In ``sender`` and ``recipient``, ``{n}`` is the message's number (modulo ``users`` when given) and
    ``{r}`` the recipient's. ``tls``: from the start, or after STARTTLS; with ``resume`` a process resumes the
    newest session that the server has given it. ``login`` goes with TLS.
    """

    target: Target
    sessions: int = 20
    messages: int | None = 10_000
    duration: float | None = None
    rate: float | None = None
    processes: int = 1
    mix: tuple[Share, ...] = (Share(4096, 1),)
    kept: bool = False
    pipelining: bool = False
    chunking: bool = False
    recipients: int = 1
    sender: str = "bench@localhost"
    recipient: str = "bench@localhost"
    users: int | None = None
    hello: str = "localhost"
    timeout: float = 60.0
    tls: Tls | None = None
    resume: bool = False
    login: Login | None = None

    def sessions_of(self, index: int) -> int:
        """The sessions of process ``index``."""
        return len(range(index, self.sessions, self.processes))

    def schedule_of(self, index: int) -> Schedule:
        """The messages of process ``index``."""
        if self.rate is not None:
            return OpenLoop(self.rate, index, self.processes, self.messages, self.duration)
        if self.messages is None:
            return ClosedLoop(None, self.duration)
        return ClosedLoop(len(range(index, self.messages, self.processes)), self.duration)
