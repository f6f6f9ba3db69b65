"""``fastsmtp route explain``."""

import json
import os
from pathlib import Path

import pytest

from fastsmtp.cli.main import run
from tests.unit.test_process_routing import TEXT

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "list").write_text("dora@corp.test\n")
    (tmp_path / "password").write_text("geheim\n")
    file = tmp_path / "fastsmtp.toml"
    text = TEXT.replace("[relay]", '[relay]\nnetworks = ["192.0.2.0/24"]')
    file.write_text(text + '[aliases]\n"info@example.org" = ["alice@example.org", "x@far.test"]\n')
    return str(file)


def test_for_people(file: str, capsys: Capture) -> None:
    assert run(["route", "explain", "Info@example.org", "--from", "s@x.test", "-c", file]) == os.EX_OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == [
        "canonical  info@example.org",
        "permission mail for example.org is taken from anybody  [mailboxes.domains]",
        'alias      info@example.org stands for alice@example.org, x@far.test  [aliases."info@example.org"]',
    ]
    assert "answer     250 2.1.5 recipient OK" in lines
    assert "  alice@example.org  →  mailbox alice@example.org" in lines
    assert any(line.startswith("  x@far.test         →  MX of far.test, from <SRS0=") for line in lines)
    assert [line[:30] for line in lines if line.startswith("note")] == ["note: the codes in return addr"]


def test_refused(file: str, capsys: Capture) -> None:
    assert run(["route", "explain", "x@far.test", "--client", "198.51.100.1", "-c", file]) == os.EX_OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "answer     550 5.7.1 not our domain, and you may not relay",
        "  for those who may: x@far.test  →  MX of far.test",
    ]


def test_for_programs(file: str, capsys: Capture) -> None:
    assert (
        run(["route", "explain", "dora@corp.test", "--client", "192.0.2.1", "--json", "-c", file]) == os.EX_OK
    )
    text = capsys.readouterr().out
    found = json.loads(text)
    assert (found["accepted"], found["client"], found["answer"]) == (
        True,
        "192.0.2.1",
        "250 2.1.5 recipient OK",
    )
    assert found["steps"][-1] == {
        "step": "route",
        "text": 'dora@corp.test: match = "corp.test"',
        "place": "routes[0]",
    }
    hop = {"kind": "smtp", "host": "h.test", "port": 587, "tls": "verify", "credentials": "c"}
    assert found["recipients"] == [
        {"address": "dora@corp.test", "sender": None, "match": "corp.test", "verify": False, "hops": [hop]}
    ]
    assert "geheim" not in text
    assert run(["route", "explain", "alice@example.org", "--json", "-c", file]) == os.EX_OK
    assert json.loads(capsys.readouterr().out)["recipients"] == [
        {"address": "alice@example.org", "sender": None, "mailbox": "alice@example.org"}
    ]


@pytest.mark.parametrize(
    ("option", "value", "says"), [("--client", "x", "an IP address"), ("--from", "x y", "an address such as")]
)
def test_bad_options(file: str, capsys: Capture, option: str, value: str, says: str) -> None:
    assert run(["route", "explain", "a@b.test", option, value, "-c", file]) == os.EX_USAGE
    assert says in capsys.readouterr().err


def test_bad_settings(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(TEXT.replace('to = "h.test:587"', 'to = ["h.test:587", "h.test"]'))
    assert run(["route", "explain", "a@b.test", "-c", str(file)]) == os.EX_CONFIG
    assert "bad.toml: routes[0].to[1]: expected " in capsys.readouterr().err


def test_help(capsys: Capture) -> None:
    assert run(["route", "explain", "--help"]) == os.EX_OK
    assert "fastsmtp route explain alice@example.org" in capsys.readouterr().out


def test_a_next_hop_that_is_asked_for_recipients_is_named(file: str, capsys: Capture) -> None:
    text = Path(file).read_text()
    assert 'recipients = "list"' in text
    Path(file).write_text(text.replace('recipients = "list"', 'recipients = "verify"'))
    assert run(["route", "explain", "dora@corp.test", "-c", file]) == os.EX_OK
    said = capsys.readouterr().out.splitlines()
    assert "recipient  dora@corp.test: for strangers the next hop is asked  [relay.recipients]" in said
    assert any(line.endswith(", which is asked for the recipient") for line in said)
    assert said[-1] == "note: the answer to RCPT is that of the next hop, which is not asked here"
