"""The queue of a server that does not run, by the commands themselves."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from fastsmtp.cli.main import run
from fastsmtp.process.lock import take_lock
from tests.unit.test_control_desk import Defer, Desk, Waiting, far, waits

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A server's settings; its two shards hold three messages."""

    async def main() -> None:
        for shard in range(2):
            desk = Desk(tmp_path / "data/spool" / str(shard))
            desk.spool.start()
            ids = [await desk.submit(far(number)) for number in range(1 + shard)]
            await desk.settle(Defer(ids[0], Waiting(1.0, False, False, [waits()])))
            desk.spool.stop()

    asyncio.run(main())
    file = tmp_path / "a.toml"
    file.write_text(
        'hostname = "mx.example.org"\ndata_dir = "data"\nlisteners = [{ address = "127.0.0.1:0" }]\n'
        'mailboxes = { domains = ["example.org"], users = ["alice"], path = "mail/{user}" }\n'
        "spool = { map_size = 67108864, reserve = 1048576, ahead = 1048576 }\n"
    )
    return str(file)


def test_ls_hold_and_rm(file: str, tmp_path: Path, capsys: Capture) -> None:
    assert run(["queue", "ls", "--json", "-c", file]) == os.EX_OK
    out, err = capsys.readouterr()
    assert err == f"note: no server runs on {tmp_path}/data; its spool is read directly\n"
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["state"] for row in rows] == ["deferred", "deferred", "fresh"]
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert run(["queue", "hold", "--to-domain", "far.test", "--yes", "-c", file]) == os.EX_OK
    assert capsys.readouterr().out == "3 messages held\n"
    assert run(["queue", "ls", "--count", "--state", "held", "-c", file]) == os.EX_OK
    assert capsys.readouterr().out == "3\n"
    assert run(["queue", "rm", "--yes", rows[2]["id"], "-c", file]) == os.EX_OK
    assert run(["queue", "show", rows[2]["id"], "-c", file]) == os.EX_NOINPUT
    assert run(["queue", "show", rows[0]["id"], "-c", file]) == os.EX_OK
    assert "held, until it is released" in capsys.readouterr().out


def test_what_takes_a_server_is_refused(file: str, capsys: Capture) -> None:
    assert run(["queue", "sites", "-c", file]) == os.EX_UNAVAILABLE
    assert capsys.readouterr().err.splitlines()[1] == "fastsmtp: sites are known to a running server only"


def test_a_server_that_does_not_answer(file: str, tmp_path: Path, capsys: Capture) -> None:
    held = take_lock(tmp_path / "data")
    try:
        assert run(["queue", "ls", "-c", file]) == os.EX_UNAVAILABLE
    finally:
        os.close(held)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"fastsmtp: a server runs on {tmp_path}/data, but no worker answers; try again in a moment\n"
    )


def test_a_shard_that_cannot_be_opened(file: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "data/spool/1/data.mdb").write_bytes(b"rubbish" * 10_000)
    assert run(["queue", "ls", "-c", file]) == os.EX_UNAVAILABLE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"fastsmtp: {tmp_path}/data/spool/1: ")
    assert err.count("\n") == 1
    os.close(take_lock(tmp_path / "data"))  # it was given back


def test_a_user_we_may_not_become(file: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    Path(file).write_text('user = "root"\n' + Path(file).read_text())
    assert run(["queue", "ls", "-c", file]) == os.EX_NOPERM
    assert "only root can become" in capsys.readouterr().err
