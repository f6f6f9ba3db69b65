"""The report: figures, medians, ratios, JSON and table."""

import orjson
import pytest

from fastsmtp.loadgen import report
from fastsmtp.loadgen.processes import Usage
from fastsmtp.loadgen.report import Report, round_of, to_json, to_text
from fastsmtp.loadgen.tally import Tally


def tally(messages: int, seconds: float) -> Tally:
    """``messages`` of 1,000 octets evenly over ``seconds``, each taking 2 ms."""
    made = Tally()
    for number in range(1, messages + 1):
        made.accepted(0.002, 1000, seconds * number / messages)
    made.connections = messages
    return made


def sample() -> Report:
    """Two targets, the second half as fast, with an error."""
    fast = [round_of(tally(n, 2.0)) for n in (200, 400, 300)]
    troubled = tally(150, 2.0)
    troubled.failed = 3
    troubled.missed = 4
    troubled.error("rcpt: 550 5.1.1 <no> & never", 3)
    troubled.tls = {"TLSv1.3, full handshake": 20, "TLSv1.3, resumed": 133}
    slow = [round_of(troubled, Usage(2, 10.0, 0, 0), Usage(2, 10.3, 50_000_000, 0))]
    return Report(
        date="2026-01-01T00:00:00+00:00",
        command="fastsmtp bench 'a&b'",
        durability="full (stated by the caller)",
        load="20 sessions",
        machine={"cpu": "<a cpu>"},
        versions={"fastsmtp": "0"},
        targets=report.results([("fast", "127.0.0.1:1", fast), ("slow", "127.0.0.1:2", slow)]),
    )


def test_figures_of_a_round() -> None:
    one = round_of(tally(200, 2.0), Usage(1, 5.0, 1, 0), Usage(1, 5.1, 30_000_000, 0))
    assert one.figures.messages_per_s == pytest.approx(100.0)
    assert one.figures.megabytes_per_s == pytest.approx(0.1)
    assert one.figures.p50_ms == pytest.approx(2.0, rel=0.02)
    assert one.figures.max_ms == pytest.approx(2.0)
    assert one.figures.cpu_ms_per_message == pytest.approx(0.5)
    assert one.figures.rss_mb == pytest.approx(30.0)
    assert sum(one.timeline) == 200


def test_medians_and_ratios() -> None:
    fast, slow = sample().targets
    assert fast.median.messages_per_s == pytest.approx(150.0)
    assert fast.ratio == 1.0
    assert slow.ratio == pytest.approx(0.5)
    assert fast.median.cpu_ms_per_message is None
    assert slow.median.cpu_ms_per_message == pytest.approx(2.0)


def test_json_holds_everything() -> None:
    read = orjson.loads(to_json(sample()))
    assert read["format"] == report.FORMAT
    assert read["durability"] == "full (stated by the caller)"
    assert read["targets"][1]["rounds"][0]["errors"] == {"rcpt: 550 5.1.1 <no> & never": 3}
    assert read["targets"][1]["rounds"][0]["tls"] == {"TLSv1.3, full handshake": 20, "TLSv1.3, resumed": 133}
    assert read["targets"][0]["median"]["messages_per_s"] == pytest.approx(150.0)


def test_table_names_targets_errors_and_facts() -> None:
    text = to_text(sample())
    lines = text.splitlines()
    assert lines[2].split()[:3] == ["fast", "150", "1.00"]
    assert lines[3].split()[:3] == ["slow", "75", "0.50"]
    assert "slow: 3 x rcpt: 550 5.1.1 <no> & never" in lines
    assert "slow: 4 x never begun" in lines
    assert lines.index("slow: 133 x TLSv1.3, resumed") < lines.index("slow: 20 x TLSv1.3, full handshake")
    assert "durability: full (stated by the caller)" in text
    assert "command:    fastsmtp bench 'a&b'" in text


def test_a_run_without_any_message_has_zeroes_and_no_ratio() -> None:
    nothing = report.results([("none", "127.0.0.1:1", [round_of(Tally())])])
    assert nothing[0].median.messages_per_s == 0.0
    assert nothing[0].ratio is None
