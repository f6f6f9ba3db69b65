"""The scenarios of the comparison, by name. Each yields one round of figures of one server."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from drive import Figures, burst, sustained
from relay import relayed
from secured import secured
from servers import Server

ALL = ("fastsmtp", "postfix", "smtp-sink")
DELIVERING = ("fastsmtp", "postfix")
SMALL = 4096
MIDDLE = 100 * 1024
LARGE = 10 * 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """How much is sent: the figures of the README take the defaults, a first look takes less."""

    messages: int = 20_000
    seconds: float = 60.0
    large_messages: int = 40


@dataclass(frozen=True)
class Scenario:
    """One line of the table: ``figure`` is the one that is compared, ``servers`` those that can do it."""

    title: str
    figure: str
    servers: tuple[str, ...]
    run: Callable[[Server, str, Sizes], Figures]


def _burst(server: Server, user: str, sizes: Sizes, *, kept: bool, sessions: int) -> Figures:
    return burst(server, user, kept=kept, sessions=sessions, size=SMALL, count=sizes.messages)


def _sustained(server: Server, user: str, sizes: Sizes, *, kept: bool) -> Figures:
    return sustained(server, user, kept=kept, sessions=20, size=SMALL, seconds=sizes.seconds)


def _large(server: Server, user: str, sizes: Sizes) -> Figures:
    return burst(server, user, kept=True, sessions=4, size=LARGE, count=sizes.large_messages)


def _relay(server: Server, user: str, sizes: Sizes, *, kept: bool, size: int, share: int) -> Figures:
    return relayed(server, kept=kept, sessions=20, size=size, count=sizes.messages // share)


def _secured(server: Server, user: str, sizes: Sizes, *, kept: bool, resume: bool) -> Figures:
    return secured(server, user, kept=kept, resume=resume, sessions=20, size=SMALL, count=sizes.messages)


def _secured_large(server: Server, user: str, sizes: Sizes) -> Figures:
    return secured(server, user, kept=True, resume=False, sessions=4, size=LARGE, count=sizes.large_messages)


def _secured_scenarios() -> dict[str, Scenario]:
    ways = {
        "tls-connect": ("full handshake and one mail", False, False),
        "tls-resumed": ("resumed session and one mail", False, True),
        "tls-kept": ("kept connections", True, False),
    }
    table = {
        name: Scenario(
            f"TLS, 4 KB, {how}, 20 sessions",
            "messages_per_s",
            DELIVERING,
            partial(_secured, kept=kept, resume=resume),
        )
        for name, (how, kept, resume) in ways.items()
    }
    table["tls-large"] = Scenario(
        "TLS, 10 MB over 4 kept connections", "megabytes_per_s", DELIVERING, _secured_large
    )
    return table


def _scenarios() -> dict[str, Scenario]:
    table = {}
    for kept, way in ((False, "connect"), (True, "kept")):
        how = "kept connections" if kept else "one connection per message"
        for sessions, servers in ((20, ALL), (200, ALL), (1000, ("fastsmtp", "smtp-sink"))):
            table[f"burst-{way}-{sessions}"] = Scenario(
                f"burst of 4 KB, {how}, {sessions} sessions",
                "messages_per_s",
                servers,
                partial(_burst, kept=kept, sessions=sessions),
            )
        table[f"sustained-{way}"] = Scenario(
            f"sustained, accepted = delivered, 4 KB, {how}, 20 sessions",
            "messages_per_s",
            DELIVERING,
            partial(_sustained, kept=kept),
        )
        table[f"relay-{way}"] = Scenario(
            f"relayed to smtp-sink, 4 KB, {how}, 20 sessions",
            "messages_per_s",
            DELIVERING,
            partial(_relay, kept=kept, size=SMALL, share=1),
        )
    table["large"] = Scenario("10 MB over 4 kept connections", "megabytes_per_s", ALL, _large)
    table["relay-100k"] = Scenario(
        "relayed to smtp-sink, 100 KB over 20 kept connections",
        "messages_per_s",
        DELIVERING,
        partial(_relay, kept=True, size=MIDDLE, share=4),
    )
    return table | _secured_scenarios()


SCENARIOS = _scenarios()
