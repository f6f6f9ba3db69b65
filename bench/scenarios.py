"""The scenarios of the comparison, by name. Each yields one round of figures of one server."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from drive import Figures, burst, sustained
from servers import Server

ALL = ("fastsmtp", "postfix", "smtp-sink")
DELIVERING = ("fastsmtp", "postfix")
SMALL = 4096
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
    table["large"] = Scenario("10 MB over 4 kept connections", "megabytes_per_s", ALL, _large)
    return table


SCENARIOS = _scenarios()
