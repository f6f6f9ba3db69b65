"""The tables of all generations of a master."""

from pathlib import Path

import msgspec

from fastsmtp.clock import SystemClock
from fastsmtp.limits.rule_settings import RuleSettings
from fastsmtp.process.settings import default_settings
from fastsmtp.process.tables import SharedTables
from fastsmtp.telemetry.metrics_table import MetricTable

SETTINGS = msgspec.structs.replace(default_settings(Path("/base")), workers=2)
change = msgspec.structs.replace


def tables() -> SharedTables:
    return SharedTables(SETTINGS, SETTINGS.limits, [0, 9], SystemClock(), MetricTable(0.0))


def test_there_is_room_for_several_generations_and_their_shards() -> None:
    made = tables()
    assert made.rows.count >= 4 * (SETTINGS.workers + 1)
    assert made.most_workers >= 2 * SETTINGS.workers
    made.suspects.of(9 + made.rows.count)[:1] = b"x"
    assert bytes(made.suspects.of(9 + made.rows.count)[:1]) == b"x"


def test_other_limits_keep_what_was_counted() -> None:
    made = tables()
    limits = change(SETTINGS.limits, connections=2, loopback_exempt=True)
    before = made.guard.worker(0)
    assert before.enter("192.0.2.1") is None
    rules = made.limits
    made.adapt(change(SETTINGS, limits=limits), limits)
    after = made.guard.worker(1)
    assert after.enter("192.0.2.2") is None
    assert after.enter("192.0.2.3") is not None
    assert made.limits is rules
    assert before.enter("192.0.2.4") is None  # the old generation goes by its own


def test_other_rules_begin_anew() -> None:
    made = tables()
    before = made.limits
    rule = RuleSettings(count="messages", per="ip", rate="5/1m")
    limits = change(SETTINGS.limits, rules=(rule,))
    made.adapt(change(SETTINGS, limits=limits), limits)
    assert made.limits is not before


def test_what_a_dead_process_had_counted_is_forgotten() -> None:
    made = tables()
    made.guard.worker(3).enter("192.0.2.1")
    made.ended(3, orderly=False)
    assert not any(made.guard.total)
