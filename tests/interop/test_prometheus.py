"""Prometheus reads what the server says, and our rules and dashboard are about what it says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from fastsmtp.telemetry.metrics import BUILD, METRICS, SITES, STARTED
from tests.conftest import require_program
from tests.system.server import RunningServer

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "conf/prometheus/alerts.yml"
DASHBOARD = ROOT / "conf/grafana/fastsmtp.json"
_NAME = re.compile(r"\bfastsmtp_[a-z0-9_]+")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def metrics(server: RunningServer, *options: str) -> str:
    command = [sys.executable, "-m", "fastsmtp", "metrics", "-c", str(server.file), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def promtool(*arguments: str, text: str = "") -> str:
    done = subprocess.run(
        [require_program("promtool"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        input=text,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_finds_nothing_to_blame_in_the_metrics(server: RunningServer) -> None:
    assert promtool("check", "metrics", text=metrics(server)) == ""


def test_the_clients_parsers_read_both_formats(server: RunningServer) -> None:
    plain = {family.name for family in read_plain(metrics(server))}
    openmetrics = {family.name for family in read_openmetrics(metrics(server, "--openmetrics"))}
    assert plain == openmetrics
    assert "fastsmtp_messages_received" in plain


def test_the_rules_for_alerts_are_sound() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(ALERTS))


def test_the_rules_say_what_they_are_meant_to(tmp_path: Path) -> None:
    tests = (ROOT / "tests/interop/prometheus_alerts.yml").read_text()
    (tmp_path / "tests.yml").write_text(tests.replace("[RULES]", json.dumps([str(ALERTS)])))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "tests.yml"))
    names = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    assert [name for name in names if f"alertname: {name}" not in tests] == []


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD], ids=lambda file: file.name)
def test_they_ask_for_metrics_that_there_are(file: Path) -> None:
    known = {one.name for one in (*SITES, BUILD, STARTED)}
    for metric in METRICS:
        ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[
            metric.kind
        ]
        known |= {metric.name + end for end in ends}
    asked = set(_NAME.findall(file.read_text()))
    assert asked
    assert asked - known == set()


def test_the_dashboard_shows_everything_that_is_counted() -> None:
    text = DASHBOARD.read_text()
    unseen = {metric.name for metric in METRICS if metric.name not in text}
    assert unseen == {"fastsmtp_worker_beat_seconds"}  # `/livez` looks at it


def test_the_expressions_of_the_dashboard_are_sound(tmp_path: Path) -> None:
    """promtool reads them as the expressions of rules."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(asked) > 30
    rules = [
        {
            "record": f"panel:{number}",
            "expr": one.replace("$__rate_interval", "5m").replace("$instance", ".*"),
        }
        for number, one in enumerate(asked)
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "rules.yml"))
