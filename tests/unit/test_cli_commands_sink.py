"""``fastsmtp sink``: options, refusals and the counts it shows; the sink itself is replaced."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from fastsmtp.cli.commands import sink as command
from fastsmtp.cli.main import run
from fastsmtp.loadgen import sink
from fastsmtp.loadgen.sinkplan import SinkCounts, SinkPlan
from tests.tools.chains import Issued
from tests.tools.tls_pairs import write_pair

COUNTS = SinkCounts(
    connections=3, messages=1200, recipients=1300, octets=5_000_000, refused={"rcpt": 4}, dropped={"data": 5}
)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[SinkPlan]:
    """The plans the sink was run with."""
    made: list[SinkPlan] = []

    def serve(
        plan: SinkPlan, started: Callable[[str, int], None], watch: Callable[[SinkCounts], None]
    ) -> SinkCounts:
        made.append(plan)
        started(plan.host, plan.port)
        watch(COUNTS)
        return COUNTS

    monkeypatch.setattr(command.sink, "run", serve)
    return made


def test_options_reach_the_plan(plans: list[SinkPlan], capsys: pytest.CaptureFixture[str]) -> None:
    line = ["sink", "--listen", "127.0.0.1:2600", "--processes", "3", "--refuse", "rcpt=450 4.2.0 busy"]
    line += ["--delay", "body=0.5", "--delay", "quit=1", "--drop", "data", "--size", "100"]
    assert run(line) == 0
    assert plans == [
        SinkPlan(
            port=2600,
            processes=3,
            refuse={"rcpt": (450, "4.2.0 busy")},
            delay={"body": 0.5, "quit": 1.0},
            drop=("data",),
            size=100,
        )
    ]
    assert "listening on 127.0.0.1:2600" in capsys.readouterr().err


def test_a_certificate_reaches_the_plan(plans: list[SinkPlan], tmp_path: Path) -> None:
    pair = write_pair(tmp_path, Issued("sink.example"))
    assert run(["sink", "--tls-cert", pair.cert, "--tls-key", pair.key]) == 0
    certificates = plans[0].certificates
    assert certificates is not None
    assert certificates.pairs()[0].facts.names == ("sink.example",)


@pytest.mark.parametrize(
    ("line", "code", "complaint"),
    [
        ("--tls-cert {cert}", 64, "go together"),
        ("--tls-key {key}", 64, "go together"),
        ("--tls-cert {cert}.not --tls-key {key}", 78, "No such file"),
        ("--tls-cert {cert} --tls-key {cert}", 78, "no private key"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_one_complaint(
    plans: list[SinkPlan],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    line: str,
    code: int,
    complaint: str,
) -> None:
    pair = write_pair(tmp_path, Issued("sink.example"))
    Path(pair.cert).chmod(0o600)
    assert run(["sink", *line.format(cert=pair.cert, key=pair.key).split()]) == code
    err = capsys.readouterr().err
    assert complaint in err
    assert len(err.splitlines()) == 1
    assert plans == []


def test_counts_are_shown_at_the_end(plans: list[SinkPlan], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sink", "--count"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "1,200 messages, 5,000,000 octets, 1,300 recipients, 3 connections, 0 open",
        "refused at rcpt: 4",
        "dropped at data: 5",
    ]
    assert "1,200 messages" in shown.err


def test_counts_as_json(plans: list[SinkPlan], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sink", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["refused"] == {"rcpt": 4}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--listen 192.0.2.1:25", "--remote"),
        ("--refuse rcpt", "STAGE=VALUE"),
        ("--delay tea=1", "not a stage"),
        ("--drop tea", "not a stage"),
        ("--listen 25", "HOST:PORT"),
    ],
)
def test_wrong_options_are_one_clear_complaint(
    plans: list[SinkPlan], capsys: pytest.CaptureFixture[str], line: str, complaint: str
) -> None:
    assert run(["sink", *line.split()]) == 64
    assert complaint in capsys.readouterr().err
    assert plans == []


@pytest.mark.parametrize(("taken", "code"), [(True, 75), (False, 71)])
def test_a_port_that_cannot_be_had_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], taken: bool, code: int
) -> None:
    def serve(*args: object) -> SinkCounts:
        raise sink.SinkError("cannot listen on 127.0.0.1:25: no", taken=taken)

    monkeypatch.setattr(command.sink, "run", serve)
    assert run(["sink"]) == code
    assert capsys.readouterr().err == "fastsmtp: sink: cannot listen on 127.0.0.1:25: no\n"
