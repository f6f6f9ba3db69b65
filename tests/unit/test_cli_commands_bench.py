"""``fastsmtp bench``: options, refusals and files; the benchmark itself is replaced."""

from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from fastsmtp.cli.commands import bench
from fastsmtp.cli.main import run
from fastsmtp.loadgen.benchmark import BenchmarkError
from fastsmtp.loadgen.plan import Plan
from fastsmtp.loadgen.report import Report
from tests.unit.test_loadgen_report import sample


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, dict[str, Any]]]:
    """What the benchmark was called with."""
    made: list[tuple[Plan, dict[str, Any]]] = []

    def benchmark(plan: Plan, targets: Any, **options: Any) -> Report:
        made.append((plan, {"targets": targets, **options}))
        return sample()

    monkeypatch.setattr(bench, "benchmark", benchmark)
    return made


def test_without_options_the_default_server_gets_ten_thousand(
    calls: list[tuple[Plan, dict[str, Any]]],
) -> None:
    assert run(["bench"]) == 0
    plan, options = calls[0]
    assert (plan.target.address, plan.messages, plan.duration) == ("127.0.0.1:2525", 10_000, None)
    assert options["durability"] is None


def test_options_reach_the_plan(calls: list[tuple[Plan, dict[str, Any]]]) -> None:
    line = "bench 127.0.0.1:25 --label b=127.0.0.1:26 -s 3 --duration 5 --size 1k:2,2k --kept --pipelining --bdat"
    line += " --rcpt 2 --to u{n}{r}@x --from s{n}@x --users 7 --rate 10 --rounds 4 --processes 8 --timeout 9"
    line += " --durability full -q"
    assert run(line.split()) == 0
    plan, options = calls[0]
    assert (plan.sessions, plan.messages, plan.duration, plan.rate) == (3, None, 5.0, 10.0)
    assert (plan.kept, plan.pipelining, plan.chunking, plan.recipients, plan.users) == (
        True,
        True,
        True,
        2,
        7,
    )
    assert (plan.processes, plan.timeout, options["rounds"]) == (3, 9.0, 4)
    assert [share.size for share in plan.mix] == [1024, 2048]
    assert [target.name for target in options["targets"]] == ["127.0.0.1:25", "b"]
    assert options["durability"] == "full"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("192.0.2.1:25", "--remote"),
        ("127.0.0.1:25 127.0.0.1:25", "same name"),
        ("--rcpt 2", "needs {r}"),
        ("--label a=127.0.0.1:1 --label b=127.0.0.1:2 --target-pid 1", "one target only"),
        ("--size 4x", "not a size"),
        ("--to <a>", "not an address"),
        ("here", "HOST:PORT"),
    ],
)
def test_wrong_options_are_one_clear_complaint(
    calls: list[tuple[Plan, dict[str, Any]]], capsys: pytest.CaptureFixture[str], line: str, complaint: str
) -> None:
    assert run(["bench", *line.split()]) == 64
    assert complaint in capsys.readouterr().err
    assert calls == []


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file with one."""
    file = tmp_path / "password"
    file.write_bytes(b"secret\r\n")
    return file


def test_tls_and_a_login_reach_the_plan(calls: list[tuple[Plan, dict[str, Any]]], password: Path) -> None:
    assert run(["bench", "--tls", "--resume"]) == 0
    assert (calls[0][0].tls, calls[0][0].resume, calls[0][0].login) == ("tls", True, None)
    line = f"bench --starttls --auth me@x --password-file {password} --mechanism login"
    assert run(line.split()) == 0
    plan = calls[1][0]
    assert (plan.tls, plan.resume) == ("starttls", False)
    assert plan.login is not None
    assert plan.login.by == "LOGIN"
    mechanism = plan.login.mechanism()
    assert (mechanism.step(b"User"), mechanism.step(b"Password")) == (b"me@x", b"secret")


@pytest.mark.parametrize(
    ("line", "code", "complaint"),
    [
        ("--resume", 64, "--resume goes with --tls or --starttls"),
        ("--auth me@x --password-file {file}", 64, "not sent in clear"),
        ("--auth me@x --starttls", 64, "needs --password-file"),
        ("--starttls --password-file {file}", 64, "go with --auth"),
        ("--starttls --mechanism PLAIN", 64, "go with --auth"),
        ("--tls --auth me@x --password-file {file}.not", 66, "No such file"),
        ("--tls --auth me@x --password-file {empty}", 65, "does not hold one line"),
        ("--tls --auth me@x --password-file {lines}", 65, "does not hold one line"),
        ("--tls --auth me@x --password-file {latin}", 65, "is not UTF-8"),
    ],
)
def test_a_login_that_cannot_be_is_one_clear_complaint(
    calls: list[tuple[Plan, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    password: Path,
    line: str,
    code: int,
    complaint: str,
) -> None:
    names = {"file": password}
    for name, content in (("empty", b"\n"), ("lines", b"a\nb\n"), ("latin", b"\xe9\n")):
        names[name] = password.with_name(name)
        names[name].write_bytes(content)
    assert run(["bench", *line.format(**names).split()]) == code
    err = capsys.readouterr().err
    assert complaint in err
    assert len(err.splitlines()) == 1
    assert calls == []


def test_remote_targets_must_be_meant(calls: list[tuple[Plan, dict[str, Any]]]) -> None:
    assert run(["bench", "192.0.2.1:25", "--remote"]) == 0
    assert calls[0][0].target.host == "192.0.2.1"


def test_files_are_written(
    calls: list[tuple[Plan, dict[str, Any]]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, data = tmp_path / "r.html", tmp_path / "r.json"
    assert run(["bench", "--json", str(data), "--html", str(page)]) == 0
    assert orjson.loads(data.read_bytes())["targets"][0]["name"] == "fast"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert capsys.readouterr().out.startswith("target ")


def test_json_on_standard_output_stands_alone(
    calls: list[tuple[Plan, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "--json", "-"]) == 0
    assert orjson.loads(capsys.readouterr().out)["date"] == sample().date


def test_a_file_that_cannot_be_written_is_told(
    calls: list[tuple[Plan, dict[str, Any]]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, data = tmp_path / "none" / "r.html", tmp_path
    assert run(["bench", "--html", str(page), "--json", str(data)]) == 73
    assert capsys.readouterr().err.splitlines() == [
        f"fastsmtp: bench: cannot write {data}: Is a directory; nothing was measured",
        f"fastsmtp: bench: cannot write {page}: No such file or directory; nothing was measured",
    ]
    assert calls == [], "nothing is measured whose report cannot be kept"


def test_a_file_that_is_lost_during_the_run_does_not_cost_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, data = tmp_path / "r.html", tmp_path / "gone" / "r.json"
    data.parent.mkdir()

    def benchmark(*args: Any, **options: Any) -> Report:
        assert not page.exists(), "asking makes no file"
        data.parent.rmdir()
        return sample()

    monkeypatch.setattr(bench, "benchmark", benchmark)
    assert run(["bench", "--html", str(page), "--json", str(data)]) == 73
    assert f"cannot write {data}" in capsys.readouterr().err
    assert page.exists()


def test_an_interrupted_run_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def benchmark(*args: Any, **options: Any) -> Report:
        return msgspec.structs.replace(sample(), interrupted=True)

    monkeypatch.setattr(bench, "benchmark", benchmark)
    assert run(["bench"]) == 130
    out, err = capsys.readouterr()
    assert "rounds, INTERRUPTED: " in out
    assert err == "fastsmtp: bench: interrupted; the report counts what was sent until then\n"


@pytest.mark.parametrize(("unreachable", "code"), [(True, 69), (False, 71)])
def test_no_figures_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], unreachable: bool, code: int
) -> None:
    def benchmark(*args: Any, **options: Any) -> Report:
        raise BenchmarkError("cannot connect", unreachable=unreachable)

    monkeypatch.setattr(bench, "benchmark", benchmark)
    assert run(["bench"]) == code
    assert capsys.readouterr().err == "fastsmtp: bench: cannot connect\n"
