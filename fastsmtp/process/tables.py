"""The tables that all processes of a master share, made before the first fork and kept over reloads: what is counted
stays counted. An upgrade begins with new ones."""

from collections.abc import Iterable

from fastsmtp.clock import Clock
from fastsmtp.limits.counter import LimitTable
from fastsmtp.limits.guard import ConnectionGuard
from fastsmtp.limits.pressure import PressureBoard
from fastsmtp.limits.rule_settings import rules_in_force
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.limits.sites import SiteTable
from fastsmtp.process.settings import Settings
from fastsmtp.process.shared import Heartbeats, Regions, Rows
from fastsmtp.queue.suspects import Suspects
from fastsmtp.spool.suspects import SuspectBoard
from fastsmtp.telemetry.metrics_table import MetricTable

_GENERATIONS = 4
"""As many may have all their workers at once."""
_LEAST_ROWS = 16
_HELPERS = 1
"""Roles there may be beside the workers."""


class SharedTables:
    """For the server with ``settings``, of which ``limits`` are in force; ``shards`` are those that exist."""

    def __init__(
        self,
        settings: Settings,
        limits: LimitSettings,
        shards: Iterable[int],
        clock: Clock,
        metrics: MetricTable,
    ) -> None:
        rows = max(_LEAST_ROWS, _GENERATIONS * (settings.workers + _HELPERS))
        known = max(shards, default=-1) + 1 + 2 * rows
        self.rows = Rows(rows)
        self.most_workers = rows // 2 - _HELPERS
        """A generation with more could not follow another."""
        self.beats = Heartbeats(rows)
        self.metrics = metrics
        self.guard = ConnectionGuard(rows, limits)
        self.limits = self._limits(limits, clock)
        self.sites = SiteTable(rows, *_of_sites(settings), clock)
        self.pressure = PressureBoard(known)
        self.suspects = Regions(known, SuspectBoard.BYTES)
        self.remote_suspects = Regions(known, Suspects.BYTES)
        self._clock = clock
        self._rules = rules_in_force(limits.rules)

    def adapt(self, settings: Settings, limits: LimitSettings) -> None:
        """For the next generation, which has these. Rules that have changed begin anew."""
        self.guard = self.guard.renewed(limits)
        self.sites = self.sites.renewed(*_of_sites(settings))
        rules = rules_in_force(limits.rules)
        if rules != self._rules or limits.loopback_exempt != self.limits.loopback_exempt:
            self.limits, self._rules = self._limits(limits, self._clock), rules

    def ended(self, row: int, orderly: bool) -> None:
        """The process of ``row`` has ended; one that did so by itself has closed what it had."""
        if not orderly or self.guard.total[row]:
            self.guard.clear(row)
            self.sites.clear(row)

    @staticmethod
    def _limits(limits: LimitSettings, clock: Clock) -> LimitTable:
        return LimitTable(rules_in_force(limits.rules), clock, loopback_exempt=limits.loopback_exempt)


def _of_sites(settings: Settings) -> tuple[int, int]:
    return settings.queue.connections_per_site, settings.queue.messages_per_site_per_minute
