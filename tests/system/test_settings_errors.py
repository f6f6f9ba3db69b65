"""What is wrong is said in one line that tells how to mend it, with the right exit code and no traceback."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import lmdb
import pytest

from tests.conftest import require_program
from tests.system.server import settings_text
from tests.tools.site import ROOT, Site, environment, public_folder, site

NOBODY = 65534


def run(command: str, file: Path) -> "subprocess.CompletedProcess[str]":
    """``fastsmtp COMMAND -c FILE``, which must end soon by itself."""
    return _run([sys.executable, "-m", "fastsmtp", command, "-c", str(file)])


def run_as_nobody(command: str, file: Path) -> "subprocess.CompletedProcess[str]":
    """The same as an unprivileged user. Where root keeps the interpreter to itself, that user may read all
    files, but still not write them."""
    setpriv = [require_program("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    places = [Path(sys.executable).absolute(), Path(sys.executable).resolve(), ROOT / "fastsmtp"]
    if not all(place.stat().st_mode & 0o001 for each in places for place in each.parents):
        setpriv += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    return _run([*setpriv, sys.executable, "-m", "fastsmtp", command, "-c", str(file)])


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd="/",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )


def complaint(result: "subprocess.CompletedProcess[str]", codes: set[int]) -> str:
    """The one line of the error; fails when there are more, or the exit code is not one of these."""
    said = (result.stdout + result.stderr).strip()
    assert "Traceback" not in said, said
    assert result.returncode in codes, f"exit code {result.returncode}: {said}"
    lines = [line for line in said.splitlines() if not re.search("warning", line, re.IGNORECASE)]
    assert len(lines) == 1, f"not one line: {said}"
    return lines[0]


def written(server: Site) -> Path:
    """The settings file of a server that is not started."""
    server.file.write_text(settings_text(server.settings))
    return server.file


@pytest.fixture
def server(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("command", ["serve", "check"])
def test_no_such_file(tmp_path: Path, command: str) -> None:
    line = complaint(run(command, tmp_path / "nowhere.toml"), {os.EX_CONFIG, os.EX_NOINPUT})
    assert "nowhere.toml" in line


@pytest.mark.parametrize("command", ["serve", "check"])
def test_bad_toml_names_the_line(tmp_path: Path, command: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('hostname = "mx.example.org"\nworkers = = 2\n')
    line = complaint(run(command, file), {os.EX_CONFIG})
    assert "bad.toml" in line
    assert "line 2" in line or ":2:" in line


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"worker": 3}, ["worker"]),
        ({"workers": 0}, ["workers"]),
        ({"workers": "two"}, ["workers"]),
        ({"durability": "some"}, ["durability", "full", "relaxed", "none"]),
        ({"accept": "both"}, ["accept", "reuseport", "shared"]),
        ({"hostname": "not a name"}, ["hostname"]),
        ({"user": "no-such-user-here"}, ["user", "no-such-user-here"]),
        ({"limits": {"recipient": 5}}, ["limits.recipient"]),
        ({"limits": {"errors": -1}}, ["limits.errors"]),
        ({"listeners": [{"address": "127.0.0.1", "protocol": "smtp"}]}, ["listeners[0].address"]),
        ({"listeners": [{"address": "127.0.0.1:0", "protocol": "x400"}]}, ["listeners[0].protocol", "smtp"]),
        ({"mailboxes": {"line_ending": "cr"}}, ["mailboxes.line_ending", "crlf", "lf"]),
        ({"mailboxes": {"path": "/var/mail/one-for-all"}}, ["mailboxes.path"]),
        ({"mailboxes": {"postmaster": "nobody-here"}}, ["mailboxes.postmaster"]),
        ({"relay": {"networks": ["10.0.0.0/99"]}}, ["relay.networks"]),
        ({"relay": {"domains": ["far.test"], "recipients": "none"}}, ["relay.recipients", "none"]),
        (
            {"routes": [{"match": "*", "to": "mx"}, {"match": "far.test", "to": ["mx", "h"]}]},
            ["routes[1].to[1]"],
        ),
        (
            {"routes": [{"match": "*", "to": "mx"}, {"match": "*", "to": "mx"}]},
            ["routes[1].match", "routes[0]"],
        ),
        (
            {"routes": [{"match": "*", "to": "h.test:25", "credentials": "c"}]},
            ["routes[0].credentials", "[credentials.c]"],
        ),
        (
            {"aliases": {'"a@example.org"': ["nobody@example.org"]}},
            ['aliases."a@example.org"', "nobody@example.org"],
        ),
    ],
    ids=lambda each: str(each)[:50],
)
def test_bad_value_names_its_key(
    tmp_path: Path, command: str, change: dict[str, Any], named: list[str]
) -> None:
    line = complaint(run(command, written(Site(tmp_path, **change))), {os.EX_CONFIG})
    for word in ["fastsmtp.toml", *named]:
        assert word in line, f"{word!r} is not named: {line}"


def test_any_user_on_a_public_listener_is_refused(tmp_path: Path) -> None:
    listeners = [{"address": "0.0.0.0:2525", "protocol": "smtp"}]
    server = Site(tmp_path, listeners=listeners, mailboxes={"unknown_users": "create"})
    assert "mailboxes.unknown_users" in complaint(run("check", written(server)), {os.EX_CONFIG})


def test_good_settings_pass(server: Site) -> None:
    result = run("check", written(server))
    assert result.returncode == 0, result.stderr


def test_port_taken(server: Site) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server.settings["listeners"][0]["address"] = f"127.0.0.1:{port}"
        line = complaint(run("serve", written(server)), {os.EX_TEMPFAIL})
    assert str(port) in line


def test_second_instance_on_the_same_directory(tmp_path: Path) -> None:
    with site(tmp_path / "first", workers=1) as first:
        second = Site(tmp_path / "second", data_dir=str(first.data))
        line = complaint(run("serve", written(second)), {os.EX_TEMPFAIL})
        assert str(first.data) in line
        assert first.wire().usable()


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_second_instance_on_the_same_port(tmp_path: Path, accept: str) -> None:
    with site(tmp_path / "first", workers=1, accept=accept) as first:
        second = Site(tmp_path / "second", listeners=first.settings["listeners"], accept=accept)
        line = complaint(run("serve", written(second)), {os.EX_TEMPFAIL})
        assert str(first.port) in line
        assert first.wire().usable()


@pytest.mark.parametrize("which", ["data_dir", "mailboxes.path"])
def test_directory_not_writable(which: str) -> None:
    """As an unprivileged user; for root there is no directory that cannot be written."""
    with public_folder() as folder:
        server = Site(folder / "site")
        walls = folder / "walls"
        walls.mkdir(mode=0o555)
        if which == "data_dir":
            server.settings["data_dir"] = str(walls / "data")
        else:
            server.settings["mailboxes"]["path"] = str(walls) + "/{domain}/{user}"
        file = written(server)
        start = run
        if os.geteuid() == 0:
            os.chown(folder / "site", NOBODY, NOBODY)
            start = run_as_nobody
        line = complaint(start("serve", file), {os.EX_CONFIG, os.EX_CANTCREAT, os.EX_NOPERM})
    assert str(walls) in line


def test_directory_is_a_file(server: Site) -> None:
    server.data.write_text("in the way")
    line = complaint(run("serve", written(server)), {os.EX_CONFIG, os.EX_CANTCREAT, os.EX_IOERR})
    assert str(server.data) in line


def test_spool_of_another_format(tmp_path: Path) -> None:
    """A spool whose format version is not ours is left alone, and the server says so."""
    with site(tmp_path, workers=1) as server:
        pass
    (path,) = {each.parent for each in server.data.glob("spool/*/data.mdb")}
    with lmdb.open(str(path), max_dbs=16) as env:
        meta = env.open_db(b"meta", create=False)
        with env.begin(write=True, db=meta) as txn:
            ((key, value),) = [pair for pair in txn.cursor() if b"format" in bytes(pair[0])]
            txn.put(bytes(key), bytes(len(value) - 1) + b"\x7f" if value[-1:] < b"0" else b"127")
    codes = {os.EX_CONFIG, os.EX_TEMPFAIL, os.EX_DATAERR, os.EX_SOFTWARE, os.EX_IOERR}
    line = complaint(run("serve", server.file), codes)
    assert "format" in line
    assert str(path) in line
