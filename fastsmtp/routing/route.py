"""What the router answers: a mailbox here, hosts elsewhere, or several recipients an alias stands for."""

from typing import Literal

from msgspec import Struct

TlsPolicy = Literal["none", "may", "encrypt", "verify", "dane"]
"""How a connection to a next hop is protected: never, when offered, always, always with a certificate that
matches, or with one that TLSA records name."""


class Hop(Struct, frozen=True, gc=False):
    """One place mail may be handed to.

    ``kind`` ``smtp`` or ``lmtp``: ``host`` is a name or an IP address without brackets; ``mx``: the hosts that
    are to be looked up for the domain ``host``. ``credentials`` names the ``[credentials.NAME]`` to log in with,
    ``tls`` is what the route asks for; None: nothing of its own.
    """

    kind: Literal["smtp", "lmtp", "mx"]
    host: str
    port: int
    credentials: str | None = None
    tls: TlsPolicy | None = None

    def __str__(self) -> str:
        if self.kind == "mx":
            return f"MX of {self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}:{host}:{self.port}"


class LocalRoute(Struct, frozen=True, gc=False):
    """Into a mailbox of this machine; ``mailbox`` is the canonical ``user@domain``, ``quota`` the octets it may hold,
    0: as many as come."""

    mailbox: str
    quota: int = 0


class RemoteRoute(Struct, frozen=True, gc=False):
    """To another host: ``hops`` in order of preference; ``name`` is the text of the rule that says so, for
    people; ``verify``: whether the next hop is to be asked for the recipient before it is accepted."""

    hops: tuple[Hop, ...]
    name: str
    verify: bool = False


class Target(Struct, frozen=True, gc=False):
    """One of the recipients an alias stands for: ``address`` as RCPT would name it, ``mailbox`` empty when it
    lives elsewhere, ``owner`` the address that owns the list it is on (its new reverse-path), if any; ``quota`` is
    the mailbox's, see `LocalRoute`."""

    address: str
    mailbox: str
    owner: str | None = None
    quota: int = 0


class Expansion(Struct, frozen=True):
    """What an alias stands for: one recipient at least, each once. ``asked``: those of them, with their routes, for
    whom the next hop is to be asked before the alias is accepted."""

    targets: tuple[Target, ...]
    asked: tuple[tuple[str, RemoteRoute], ...] = ()

    @property
    def remote(self) -> bool:
        """Whether one of them lives elsewhere."""
        return not all(target.mailbox for target in self.targets)
