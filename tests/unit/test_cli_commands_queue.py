"""``fastsmtp queue``: lists, counts, questions, changes, and what goes wrong in one line."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fastsmtp.cli import queue_change, queue_run
from fastsmtp.cli.commands import queue as module
from fastsmtp.cli.main import run
from fastsmtp.control.client import ControlError, NotAllowed
from fastsmtp.control.office import NoQueue, Office
from fastsmtp.control.queue import RecipientRow, SiteRow, TlsFailure, TlsRow
from tests.fakes.queue_desk import NOW, FakeDesk, row

Capture = pytest.CaptureFixture[str]
ROWS = [row(i, shard=i % 2, address=f"u{i}@{'far' if i % 2 else 'near'}.test") for i in range(20)]


class Queue:
    """Two shards; ``offline`` and ``missing`` as in `Office`; ``error`` is raised instead."""

    def __init__(self) -> None:
        sites = [
            SiteRow(
                name="mx.far.test",
                health="failing",
                window=1,
                in_flight=0,
                waiting=12,
                next_at=NOW + 90,
                reason="unreachable: connection refused",
                since=NOW - 60,
                attempts=3,
            )
        ]
        failure = TlsFailure(result="certificate-expired", host="mx.far.test", sessions=2)
        tls = [
            TlsRow(domain="far.test", policy="sts", successes=1234, failures=[failure]),
            TlsRow(domain="near.test", policy="no-policy-found", successes=1, failures=[]),
        ]
        self.desks = {
            shard: FakeDesk(
                [one for one in ROWS if one.id.endswith(str(shard))],
                sites=sites if shard else [],
                tls=tls if shard else [],
                piece=4,
            )
            for shard in range(2)
        }
        self.offline = False
        self.missing: list[int] = []
        self.error: Exception | None = None

    def states(self) -> dict[str, str]:
        return {one.id: one.state for desk in self.desks.values() for one in desk.rows.values()}


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    """What the commands find."""
    made = Queue()

    @asynccontextmanager
    async def office(data_dir: Path, offline: object) -> AsyncIterator[Office]:
        if made.error is not None:
            raise made.error
        yield Office(made.desks, made.offline, made.missing)

    monkeypatch.setattr(queue_run, "office", office)
    monkeypatch.setattr("time.time", lambda: NOW)
    return made


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)


def lines(capsys: Capture) -> tuple[list[str], list[str]]:
    """Standard output and error."""
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_ls(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "ls", "--to-domain", "FAR.test", "--limit", "3"]) == os.EX_OK
    out, err = lines(capsys)
    assert [line.split()[0] for line in out] == ["ID", ROWS[1].id, ROWS[3].id, ROWS[5].id]
    assert out[1].split() == [
        ROWS[1].id, "1m", "4.0K", "deferred", "alice@example.org", "u1@far.test", "450", "4.2.0", "mailbox", "busy",
    ]  # fmt: skip
    assert err == ["note: there are more; --limit shows more than 3, --all all of them"]


def test_ls_json_is_one_object_a_line(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "ls", "--all", "--json"]) == os.EX_OK
    out, err = lines(capsys)
    assert [json.loads(line)["id"] for line in out] == [one.id for one in ROWS]
    assert json.loads(out[0])["recipients"][0]["reply"] == "mailbox busy"
    assert err == []


def test_ls_says_when_nothing_is_there(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "ls", "--from", "<>"]) == os.EX_OK
    assert lines(capsys) == ([], ["no message matches"])
    queue.desks = {}
    assert run(["queue", "ls"]) == os.EX_OK
    assert lines(capsys) == ([], ["the queue is empty"])


def test_ls_counts_and_tells_of_a_scan(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "ls", "--count", "--text", "BUSY"]) == os.EX_OK
    assert lines(capsys) == (["20"], ["note: no index answers this; 20 messages were looked at"])
    assert run(["queue", "ls", "--count", "--to", "u1*", "--json"]) == os.EX_OK
    out, err = lines(capsys)
    assert json.loads("".join(out)) == {"messages": 11}
    assert err == []


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (["--to", "*@near.test"], 10),
        (["--to-domain", "*.test"], 20),
        (["--from", "alice@*"], 20),
        (["--older", "10m"], 9),
        (["--younger", "10m"], 10),
        (["--older", "5m", "--younger", "10m"], 4),
        (["--state", "held"], 0),
        (["--code", "45"], 20),
        (["--code", "5"], 0),
        (["--remote", "*192.0.2.1*"], 20),
        (["--route", "far.test"], 10),
        (["--rcpt", "*@near.test"], 10),
    ],
)
def test_filters(queue: Queue, capsys: Capture, options: list[str], number: int) -> None:
    assert run(["queue", "ls", "--count", *options]) == os.EX_OK
    assert lines(capsys)[0] == [str(number)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ls", "--older", "soon"], 'expected a duration such as "90s"'),
        (["ls", "--to-domain", "bob@far.test"], "expected a domain"),
        (["ls", "--code", "4xx"], "expected a code"),
        (["ls", "--to", ""], "expected 1 to 1000 characters"),
        (["ls", "--from", "x" * 1001], "expected up to 1000 characters"),
        (["ls", "--state", "lost"], "'lost' is not one of"),
        (["show", "../../etc"], "is no queue id"),
        (["hold"], "say which messages: queue ids, filters, or --everything"),
        (["rm", "--everything", "--to", "a@b"], "say which messages"),
        (["rm", ROWS[0].id, "--to", "a@b"], "do not go together"),
        (["rm", "x\x1b[2J"], "is no queue id"),
        (["rm", *[f"A{i:012d}" for i in range(1001)]], "1001 ids are more than 1000"),
        (["reroute", "--everything"], "say where to"),
        (["reroute", "--everything", "--clear", "--to", "a.test:25"], "say where to"),
        (["reroute", "--to", "a.test:25"], "say which messages"),
        (["reroute", "--everything", "--to", "a.test"], '--to: expected "host:port"'),
        (["reroute", "--everything", "--to", "local"], '--to: "local" is no other host'),
        (["reroute", "--everything", "--to", "*@a.test"], "recipients are named by --rcpt"),
        (["reroute", "--everything", "--to", "a.test:1", "--to", "b.test:0"], "--to[1]: expected a port"),
        (["reroute", "--everything", *["--to", "mx"] * 21], "21 hops are more than 20"),
    ],
)
def test_wrong_usage(queue: Queue, capsys: Capture, arguments: list[str], words: str) -> None:
    assert run(["queue", *arguments]) == os.EX_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "Traceback" not in err
    assert all(not desk.changes for desk in queue.desks.values())


def test_show(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "show", ROWS[1].id]) == os.EX_OK
    assert lines(capsys)[0] == [
        f"{ROWS[1].id}  deferred, 1m old, 4,096 octets, shard 1",
        "  from      alice@example.org",
        "  received  2023-11-14 22:12:20 UTC from client.test [192.0.2.7] by ESMTP",
        "  wishes    RET=HDRS",
        "to u1@far.test: deferred, 2 attempts",
        "  tried     2023-11-14 22:11:50 UTC, 2m ago",
        "            no host was reached: 4.4.1 connect to mx.far.test: refused",
        "  tried     2023-11-14 22:12:50 UTC, 30s ago",
        "            mx.far.test[192.0.2.1]:25: 450 4.2.0 mailbox busy",
        "  next      2023-11-14 22:14:50 UTC, in 2m",
        "  route     far.test:25",
        "header:",
        "  Subject: hé",
        "    folded",
        "  X-Bad: ?[2J",
    ]
    assert run(["queue", "show", "--json", ROWS[0].id]) == os.EX_OK
    facts = json.loads(capsys.readouterr().out)
    assert (facts["id"], facts["shard"]) == (ROWS[0].id, 0)
    assert facts["head"].startswith("Subject: hé\r\n")


def test_show_of_nobody(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "show", "0" * 13]) == os.EX_NOINPUT
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    assert err[0].startswith("fastsmtp: 0000000000000: no message of this id waits")


def test_sites(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "sites"]) == os.EX_OK
    out, _ = lines(capsys)
    assert out[1].split() == [
        "failing",
        "12",
        "0",
        "2m",
        "mx.far.test:",
        "unreachable:",
        "connection",
        "refused",
    ]
    assert run(["queue", "sites", "--failing", "--json"]) == os.EX_OK
    facts = json.loads(capsys.readouterr().out)
    assert (facts["name"], facts["shard"], facts["attempts"]) == ("mx.far.test", 1, 3)
    queue.desks = {}
    assert run(["queue", "sites"]) == os.EX_OK
    assert lines(capsys) == ([], ["no site is known"])


def test_tls(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "tls"]) == os.EX_OK
    out, _ = lines(capsys)
    assert [line.split() for line in out[1:]] == [
        ["1,234", "2", "sts", "far.test"],
        ["2", "certificate-expired", "at", "mx.far.test"],
        ["1", "0", "no-policy-found", "near.test"],
    ]
    assert run(["queue", "tls", "--failing", "--json"]) == os.EX_OK
    assert json.loads(capsys.readouterr().out) == {
        "domain": "far.test",
        "policy": "sts",
        "successes": 1234,
        "failures": [{"result": "certificate-expired", "host": "mx.far.test", "sessions": 2}],
    }
    queue.desks = {}
    assert run(["queue", "tls"]) == os.EX_OK
    assert lines(capsys) == ([], ["no session was counted yet"])


def test_a_dry_run_changes_nothing(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "hold", "--to-domain", "far.test", "--dry-run"]) == os.EX_OK
    assert lines(capsys) == (["would hold 10 messages"], [])
    assert set(queue.states().values()) == {"deferred"}


@pytest.mark.usefixtures("no_terminal")
def test_nobody_to_ask_means_no(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "rm", "--everything"]) == os.EX_USAGE
    assert lines(capsys) == (
        [],
        ["fastsmtp: remove 20 messages: nobody can be asked here; say --yes, or --dry-run"],
    )
    assert len(queue.states()) == 20


@pytest.mark.parametrize(("answer", "left"), [("y\n", 10), ("n\n", 20), ("", 20)])
def test_the_question(queue: Queue, monkeypatch: pytest.MonkeyPatch, answer: str, left: int) -> None:
    monkeypatch.setattr(queue_change, "asked", lambda: True)
    done = CliRunner().invoke(module.command, ["rm", "--to-domain", "far.test"], input=answer)
    assert "remove 10 messages? [y/N]" in done.output
    assert len(queue.states()) == left


def test_hold_and_release(queue: Queue, capsys: Capture) -> None:
    assert run(["queue", "hold", "--to-domain", "far.test", "--yes"]) == os.EX_OK
    assert lines(capsys) == (["10 messages held"], [])
    assert sorted(queue.states().values()) == ["deferred"] * 10 + ["held"] * 10
    assert run(["queue", "hold", "--everything", "--yes"]) == os.EX_OK
    assert lines(capsys) == (["10 messages held, 10 left as they are"], [])
    assert run(["queue", "release", "--state", "held", "--yes", "--json"]) == os.EX_OK
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"action": "release", "dry_run": False, "matched": 20, "changed": 20, "skipped": 0}
    assert set(queue.states().values()) == {"deferred"}


def test_ids_and_those_that_are_not_here(queue: Queue, capsys: Capture) -> None:
    nobody = [f"N{i:012d}" for i in range(7)]
    assert run(["queue", "rm", "--yes", ROWS[0].id, ROWS[1].id, *nobody, ROWS[0].id]) == os.EX_NOINPUT
    out, err = lines(capsys)
    assert out == ["2 messages removed"]
    assert [line.split()[1] for line in err[:5]] == [f"{one}:" for one in nobody[:5]]
    assert err[5:] == ["fastsmtp: nor are 2 others"]
    assert len(queue.states()) == 18
    assert run(["queue", "rm", "--yes", ROWS[2].id]) == os.EX_OK
    assert lines(capsys)[0] == ["1 message removed"]


def test_what_a_desk_cannot_do(queue: Queue, capsys: Capture) -> None:
    queue.offline = True
    for desk in queue.desks.values():
        desk.impossible = "bounce: no server runs to send the notifications"
    assert run(["queue", "bounce", "--everything", "--yes"]) == os.EX_UNAVAILABLE
    out, err = lines(capsys)
    assert out == []
    assert err[0].startswith("note: no server runs on ")
    assert err[1:] == [
        "stopped: 0 of 20 are returned to their senders",
        "fastsmtp: bounce: no server runs to send the notifications",
    ]


def test_reroute_and_back(queue: Queue, capsys: Capture) -> None:
    other = ["reroute", "--to-domain", "far.test", "--to", "b.test:25", "--to", "mx"]
    assert run(["queue", *other, "--dry-run"]) == os.EX_OK
    assert lines(capsys) == (["would reroute 10 messages to b.test:25, then mx"], [])
    assert run(["queue", *other, "--yes"]) == os.EX_OK
    assert lines(capsys) == (["10 messages rerouted"], [])
    assert run(["queue", "show", ROWS[1].id]) == os.EX_OK
    assert "  rerouted  to b.test:25, then mx" in lines(capsys)[0]
    assert run(["queue", "ls", "--to", "u1@*", "--json"]) == os.EX_OK
    assert json.loads(capsys.readouterr().out)["hops"] == ["b.test:25", "mx"]
    assert run(["queue", "reroute", "--rcpt", "u1@far.test", "--clear", "--dry-run"]) == os.EX_OK
    assert lines(capsys) == (["would reroute 1 message by the routes again"], [])
    assert run(["queue", "reroute", "--everything", "--clear", "--yes"]) == os.EX_OK
    assert lines(capsys) == (["10 messages rerouted, 10 left as they are"], [])


def test_a_change_that_is_cut_off_says_how_far_it_came(
    queue: Queue, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = FakeDesk.change
    calls = []

    async def cut(self: FakeDesk, wanted: Any, position: bytes) -> Any:
        calls.append(position)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)  # what is under way ends all the same
        return await change(self, wanted, position)

    monkeypatch.setattr(FakeDesk, "change", cut)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # who runs the tests may have it ignored
    try:
        assert run(["queue", "hold", "--everything", "--yes"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    out, err = lines(capsys)
    held = list(queue.states().values()).count("held")
    assert 8 < held < 20
    assert (out, err[0]) == ([], f"stopped: {held} of 20 are held")


def test_a_missing_shard_is_told_by_the_exit_code_too(queue: Queue, capsys: Capture) -> None:
    queue.missing = [3, 7]
    assert run(["queue", "ls", "--count"]) == os.EX_TEMPFAIL
    assert lines(capsys) == (["20"], ["note: no worker answers for shard 3, 7; its mail is left out"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoQueue("no server runs"), os.EX_UNAVAILABLE),
        (NotAllowed("ask as root"), os.EX_NOPERM),
        (ControlError("it took too long"), os.EX_TEMPFAIL),
    ],
)
def test_errors_are_one_line(queue: Queue, capsys: Capture, error: Exception, code: int) -> None:
    queue.error = error
    assert run(["queue", "ls"]) == code
    assert lines(capsys) == ([], [f"fastsmtp: {error}"])


def test_no_server_and_no_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["queue", "ls"]) == os.EX_UNAVAILABLE
    out, err = lines(capsys)
    assert out == []
    assert err == [
        f"fastsmtp: no server runs on {tmp_path}/var/data and there is no spool; "
        "name the server's settings file with -c"
    ]
    assert list(tmp_path.iterdir()) == [], "asking makes nothing"


def test_wrong_settings(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.toml"
    file.write_text("x = 1\n")
    assert run(["queue", "ls", "-c", str(file)]) == os.EX_CONFIG
    assert lines(capsys)[1][0].startswith(f"fastsmtp: {file}: ")


def test_every_command_has_help_with_examples(capsys: Capture) -> None:
    assert isinstance(module.command, click.Group)
    assert sorted(module.command.commands) == sorted(
        ["ls", "show", "sites", "tls", "retry", "hold", "release", "reroute", "rm", "bounce"]
    )
    for name in module.command.commands:
        assert run(["queue", name, "--help"]) == os.EX_OK
        text = capsys.readouterr().out
        assert "Example" in text
        assert f"fastsmtp queue {name}" in text


def test_what_strangers_said_cannot_leave_its_line(queue: Queue, capsys: Capture) -> None:
    evil = "\x1b[31m\r\nFORGED\u202e\x9b2J\x7f\U000e0001"
    one = row(
        1,
        sender=evil,
        recipients=[
            RecipientRow(
                address=evil, original=evil, reply=evil, remote=evil, code=450, last_at=NOW, why=evil
            )
        ],
    )
    queue.desks = {0: FakeDesk([one])}
    commands = ["ls"], ["show", one.id], ["ls", "--json"], ["show", "--json", one.id]
    for command in commands:
        assert run(["queue", *command]) == os.EX_OK
        out = capsys.readouterr().out
        assert not any(line.startswith("FORGED") for line in out.splitlines())
        assert out.replace("\n", "").isprintable()
        if "--json" in command:
            assert json.loads(out)["sender"] == evil
