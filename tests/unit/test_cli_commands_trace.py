"""``fastsmtp trace`` on ledgers without a server."""

import json
import os
import shutil
from pathlib import Path

import pytest

from fastsmtp.cli.commands import trace
from fastsmtp.cli.main import run
from fastsmtp.cli.trace_queue import ask_queue
from tests.system.server import settings_text
from tests.tools.ledger import Book, event

Capture = pytest.CaptureFixture[str]


class Trace:
    def __init__(self, folder: Path, capsys: Capture) -> None:
        self.capsys = capsys
        self.file = folder / "f.toml"
        self.file.write_text(settings_text({
            "hostname": "mx.test.example", "data_dir": str(folder / "data"),
            "listeners": [{"address": "127.0.0.1:2525"}],
            "mailboxes": {"domains": ["y.test"], "path": str(folder / "mail/{user}"), "users": ["b"]},
        }))  # fmt: skip
        self.book = Book(folder / "data/ledger")
        self.err = ""

    def __call__(self, *arguments: str, code: int = os.EX_OK) -> str:
        got = run(["trace", *arguments, "-c", str(self.file)])
        out, self.err = self.capsys.readouterr()
        assert got == code, f"{got}: {out}{self.err}"
        return out


@pytest.fixture
def traced(tmp_path: Path, capsys: Capture) -> Trace:
    traced = Trace(tmp_path, capsys)
    for i in range(3):
        traced.book.put(
            event(
                "received", 10.0 * i, id=f"m{i}", sender=f"s{i}@x.test", to=["b@y.test"], message_id=f"{i}@x"
            ),
            event(
                "deferred", 10.0 * i + 1, id=f"m{i}", to="b@y.test", relay="", reply="refused", next_at=99.0
            ),
        )
    traced.book.put(event("bounced", 30.0, id="m2", to="b@y.test", relay="mx", code=550, reply="no"))
    traced.book.put(
        event("notified", 31.0, id="n2", about="m2", to="s2@x.test", notice="failed", recipients=1)
    )
    return traced


def test_a_story_and_what_comes_next(traced: Trace) -> None:
    out = traced("m1")
    assert out.startswith("m1  deferred\n")
    assert "\nnext\n  b@y.test: tried again at 1970-01-01 00:01:39 UTC, due now (no server runs)\n" in out


def test_a_notification_is_told_with_what_it_is_about(traced: Trace) -> None:
    for queue_id in ("m2", "n2"):
        out = traced(queue_id)
        assert "told s2@x.test (failed, 1 recipients) by message n2" in out
        assert "made: a notification (failed) to s2@x.test about message m2" in out
        assert out.startswith(queue_id)


def test_a_queue_that_cannot_be_asked_is_said(tmp_path: Path) -> None:
    assert ask_queue(tmp_path, "m1") == (None, "no server runs")
    (tmp_path / "control").write_text("in the way")
    shown, why_not = ask_queue(tmp_path, "m1")
    assert shown is None
    assert why_not.endswith("Not a directory")


def test_one_message_found_is_told_whole(traced: Trace) -> None:
    assert traced("--message-id", "<1@x>") == traced("m1") == traced("--from", "S1@x.test")


def test_several_are_listed_newest_first(traced: Trace) -> None:
    assert [line.split()[2] for line in traced("--to", "b@y.test").splitlines()[1:]] == ["m2", "m1", "m0"]
    assert len(traced("--to", "b@y.test", "--limit", "2").splitlines()) == 3
    assert "--limit shows more than 2" in traced.err


def test_json(traced: Trace) -> None:
    rows = [json.loads(line) for line in traced("--to", "b@y.test", "--json").splitlines()]
    assert [(row["id"], row["done"], len(row["events"])) for row in rows] == [
        ("m2", True, 4), ("m1", False, 2), ("m0", False, 2)
    ]  # fmt: skip
    story = json.loads(traced("m2", "--json"))
    assert (story["id"], story["notices"], story["waiting"]) == ("m2", ["n2"], [])


def test_a_pattern_is_looked_for_in_everything_which_is_said(traced: Trace) -> None:
    assert [line.split()[2] for line in traced("--from", "s[12]@*").splitlines()[1:]] == ["m2", "m1"]
    assert "no index answers a pattern" in traced.err


def test_what_is_not_known(traced: Trace) -> None:
    traced("none", code=os.EX_NOINPUT)
    assert "none: no event of this id; the ledger begins at 1970-01-01 00:00:00 UTC" in traced.err
    traced("--to", "none@y.test", code=os.EX_NOINPUT)
    assert "no message matches" in traced.err


def test_what_is_missing_is_said_beside_what_there_is(traced: Trace) -> None:
    traced.book.put(b"garbage\n", b'{"id":"m1"}\n')
    assert traced("m1").startswith("m1  deferred")
    assert traced.err.startswith("note: ")
    assert "has lines that are no events" in traced.err


def test_wrong_usage(traced: Trace) -> None:
    for arguments in ((), ("m1", "--to", "b@y.test"), ("m1", "--since", "1h"), ("--since", "soon")):
        traced(*arguments, code=os.EX_USAGE)


def test_no_ledger(traced: Trace) -> None:
    shutil.rmtree(traced.book.directory)
    traced("m1", code=os.EX_UNAVAILABLE)
    assert "there is no ledger in " in traced.err
    assert "name the server's settings file with -c" in traced.err


def test_following_prints_what_comes_and_all_of_its_message(
    traced: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = iter([
        [event("received", 50.0, id="m5", sender="s@x.test", to=["b@y.test"]),
         event("received", 50.0, id="m6", to=["o@y"])],
        [event("sent", 51.0, id="m6", to="o@y"), event("sent", 52.0, id="m5", to="b@y.test", relay="mx", reply="ok")],
        [event("notified", 53.0, id="n5", about="m5", to="s@x.test", notice="delivered", recipients=1)],
        [event("delivered", 54.0, id="n5", to="s@x.test", mailbox="s@x.test")],
    ])  # fmt: skip

    def pause(seconds: float) -> None:
        batch = next(batches, None)
        if batch is None:
            raise KeyboardInterrupt
        traced.book.put(*batch)

    monkeypatch.setattr(trace.time, "sleep", pause)
    out = traced("--follow", "--from", "s@x.test", "--json", code=130)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["kind"], row["id"]) for row in rows] == [
        ("received", "m5"), ("sent", "m5"), ("notified", "n5"), ("delivered", "n5")
    ]  # fmt: skip
