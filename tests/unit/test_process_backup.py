"""A backup without a server: what is in it, what it refuses, and what comes back."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.cli.commands import backup as backup_command
from fastsmtp.cli.commands import restore as restore_command
from fastsmtp.cli.options import Stop
from fastsmtp.process.backup.archive import ArchiveWriter, members
from fastsmtp.process.backup.manifest import Head, read_head, read_manifest
from fastsmtp.process.backup.put_back import Restored, restore
from fastsmtp.process.backup.shards import piped
from fastsmtp.process.backup.take import Taken, Wanted, last_backup, take
from fastsmtp.process.backup.tree import copy_mailboxes, copy_tree
from fastsmtp.process.errors import StartError
from fastsmtp.process.lock import take_lock
from fastsmtp.process.settings import Settings, default_settings
from fastsmtp.routing.settings import ForwardingSettings
from tests.fakes.post_office import PostOffice

ALL = Wanted(keys=True, ledger=True, mail=True)


def site(base: Path) -> Settings:
    """A server that was stopped, with mail in its spool and all the rest."""
    settings = default_settings(base)
    data = settings.data_dir
    (data / "spool").mkdir(parents=True, mode=0o700)
    (base / "one").mkdir()
    office = PostOffice(base / "one").open()
    office.accepted(
        office.submit(b"x", "a@b.example"), office.submit(b"z" * 90_000, "a@b.example", large=True)
    )
    office.close()
    shutil.move(base / "one/spool", data / "spool/0")
    accounts = EmbeddedAccounts(data)
    accounts.open()
    accounts.change(lambda change: change.put_user("a@b.example", User("hash")))
    accounts.close()
    (data / "srs.secret").write_bytes(b"0" * 64 + b"\n")
    (data / "control").mkdir()
    (data / "control/0").write_text("a socket")
    (data / "ledger").mkdir()
    (data / "ledger/x.jsonl").write_bytes(b'{"kind":"segment","format":1,"at":1.0,"pid":1}\n')
    box = base / "var/mail/localhost/alice"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    (box / "new/1.a").write_bytes(b"mail")
    (box / "tmp/2.a").write_bytes(b"half")
    os.utime(box / "new/1.a", (1_700_000_000, 1_700_000_000))
    return settings


def taken(settings: Settings, path: Path, wanted: Wanted = ALL) -> Taken:
    return take(settings, None, path, wanted, 1000.0)


def back(path: Path, settings: Settings | None, files_to: Path | None = None, **options: bool) -> Restored:
    return restore(path, settings, files_to=files_to, **({"mail": True, "replace": False} | options))


@pytest.mark.parametrize("name", ["b", "b.tar"])
def test_all_of_it_comes_back(tmp_path: Path, name: str) -> None:
    (tmp_path / "old").mkdir()
    done = taken(site(tmp_path / "old"), tmp_path / name)
    assert done.shards == 1
    settings = default_settings(tmp_path / "new")
    steps: list[tuple[int, int]] = []
    assert restore(
        tmp_path / name,
        settings,
        files_to=None,
        mail=True,
        replace=False,
        seen=lambda *step: steps.append(step),
    ).files
    assert steps[-1][0] <= steps[-1][1] + 4096
    data = settings.data_dir
    names = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    body = next(iter((data / "spool/0/body").iterdir())).name
    assert names == {
        "lock",
        "srs.secret",
        "accounts/data.mdb",
        "ledger/x.jsonl",
        "ledger/x.idx",
        "spool/0/journal",
        "spool/0/data.mdb",
        f"spool/0/body/{body}",
    }
    accounts = EmbeddedAccounts(data)
    accounts.open()
    assert accounts.user("a@b.example") == User("hash")
    accounts.close()
    box = tmp_path / "new/var/mail/localhost/alice"
    assert [path.name for path in box.rglob("*") if path.is_file()] == ["1.a"]
    assert (box / "new/1.a").stat().st_mtime == 1_700_000_000
    assert (data / "srs.secret").stat().st_mode == (tmp_path / "old/var/data/srs.secret").stat().st_mode
    shutil.move(data / "spool/0", tmp_path / "spool")
    office = PostOffice(tmp_path).open()
    assert office.left() == {"pack": 2, "body": 1, "files": 1} or office.left()["files"] == 1
    office.close()


def test_the_last_backup_is_noted(tmp_path: Path) -> None:
    settings = site(tmp_path)
    assert last_backup(settings.data_dir) is None
    taken(settings, tmp_path / "b")
    last = last_backup(settings.data_dir)
    assert last is not None
    assert (last.at, last.path) == (1000.0, str(tmp_path / "b"))


@pytest.mark.parametrize("name", ["b", "b.tar"])
def test_what_a_killed_backup_left_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.part").mkdir()
    with pytest.raises(StartError, match=rf"{name}\.part is there: .* was killed; in that case remove it"):
        taken(site(tmp_path), tmp_path / name)


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = site(tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(StartError, match="is there already"):
        taken(settings, tmp_path / "b")
    lock = take_lock(settings.data_dir)
    for name in ("c", "c.tar"):
        with pytest.raises(StartError, match="another fastsmtp"):
            taken(settings, tmp_path / name)
        assert not list(tmp_path.glob("c*"))
    os.close(lock)
    with pytest.raises(StartError, match="No such file"):
        taken(settings, tmp_path / "nowhere/d")


def test_parts_that_are_not_wanted(tmp_path: Path) -> None:
    taken(site(tmp_path), tmp_path / "b", Wanted())
    assert not (tmp_path / "b/mail").exists()
    assert not (tmp_path / "b/data/ledger").exists()
    assert not (tmp_path / "b/data/control").exists()
    head = read_head((tmp_path / "b/backup.json").read_bytes())
    assert head.parts == ["spool", "accounts", "settings"]


def test_settings_and_keys(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    settings = site(tmp_path / "old")
    file = tmp_path / "fastsmtp.toml"
    file.write_text("hostname = 'x'")
    file.chmod(0o640)
    take(settings, file, tmp_path / "b.tar", Wanted(), 1000.0)
    back(tmp_path / "b.tar", None, tmp_path / "root")
    put = tmp_path / "root" / str(file).lstrip("/")
    assert put.read_text() == "hostname = 'x'"
    assert put.stat().st_mode & 0o777 == 0o640
    with pytest.raises(StartError, match="nothing is overwritten"):
        back(tmp_path / "b.tar", None, tmp_path / "root")
    empty = default_settings(tmp_path / "new")
    with pytest.raises(StartError, match="nothing is overwritten"):
        back(tmp_path / "b.tar", empty, tmp_path / "root")
    assert [path.name for path in empty.data_dir.iterdir()] == ["lock"], "data is not put back either"


def test_aliases_and_the_lists_they_include(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name, text in (("aliases", f"team: :include:{tmp_path}/team\nx: |run\n"), ("team", "alice\n")):
        (tmp_path / name).write_text(text)
    settings = msgspec.structs.replace(
        site(tmp_path / "old"), forwarding=ForwardingSettings(aliases_file=str(tmp_path / "aliases"))
    )
    taken(settings, tmp_path / "b", Wanted())
    kept = tmp_path / "b/files" / str(tmp_path).lstrip("/")
    assert sorted(path.name for path in kept.iterdir()) == ["aliases", "team"]


def test_a_directory_in_use_is_refused_unless_told(tmp_path: Path) -> None:
    settings = site(tmp_path)
    taken(settings, tmp_path / "b")
    with pytest.raises(StartError, match=r"is not empty \(accounts, ledger, spool, srs.secret\)"):
        back(tmp_path / "b", settings, mail=False)
    done = back(tmp_path / "b", settings, mail=False, replace=True)
    assert done.replaced is not None
    assert (Path(done.replaced) / "spool/0/journal").exists()
    assert (settings.data_dir / "spool/0/journal").exists()
    assert done.left_out == 1, "the mail that was not asked for"
    with pytest.raises(StartError, match="mailboxes are not mixed"):
        back(tmp_path / "b", settings, replace=True)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda b: flip(b / "data/accounts/data.mdb"), "accounts/data.mdb is damaged"),
        (lambda b: (b / "data/srs.secret").unlink(), "srs.secret is missing"),
        (lambda b: (b / "data/extra").write_text(""), "data/extra does not belong to it"),
        (lambda b: (b / "extra").write_text(""), "a file is called 'extra'"),
        (lambda b: (b / "manifest.json").unlink(), "it has no end"),
        (lambda b: (b / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda b: (b / "backup.json").unlink(), "does not begin as a backup"),
        (lambda b: (b / "backup.json").write_text("{"), "backup.json is damaged"),
        (lambda b: (b / "backup.json").write_bytes(b'{"x":"\xff"}'), "backup.json is damaged"),
        (lambda b: (b / "backup.json").write_bytes(b'{"x":' + b"[" * 5000), "backup.json is damaged"),
        (lambda b: (b / "manifest.json").write_bytes(b'{"files":{"\xff":1}}'), "manifest.json is damaged"),
    ],
)
def test_what_is_damaged_is_refused_and_leaves_nothing(
    tmp_path: Path, harm: Callable[[Path], object], words: str
) -> None:
    (tmp_path / "old").mkdir()
    taken(site(tmp_path / "old"), tmp_path / "b")
    harm(tmp_path / "b")
    settings = default_settings(tmp_path / "new")
    with pytest.raises(StartError, match=words):
        back(tmp_path / "b", settings)
    assert [path.name for path in settings.data_dir.iterdir()] == ["lock"]


@pytest.mark.parametrize("length", [0, 100, 5000, -1024])
def test_a_tar_file_that_was_cut(tmp_path: Path, length: int) -> None:
    (tmp_path / "old").mkdir()
    taken(site(tmp_path / "old"), tmp_path / "b.tar", Wanted())
    data = (tmp_path / "b.tar").read_bytes()[:length]
    (tmp_path / "c.tar").write_bytes(data[: -1024 if length < 0 else None])
    settings = default_settings(tmp_path / "new")
    with pytest.raises(StartError):
        back(tmp_path / "c.tar", settings)
    assert [path.name for path in settings.data_dir.iterdir()] == ["lock"]


def test_names_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    settings = site(tmp_path / "old")
    taken(settings, tmp_path / "b.tar", Wanted())
    with tarfile.open(tmp_path / "b.tar") as tar:
        head = tar.extractfile("backup.json")
        assert head is not None
        text = head.read()
    for name in ("data/../../evil", "/data/evil", "else/evil"):
        archive = ArchiveWriter(tmp_path / "evil.tar")
        archive.begin(msgspec.json.decode(text, type=Head))
        with archive.file(name) as out:
            out.write(b"x")
        archive.finish()
        with pytest.raises(StartError, match="a file is called"):
            back(tmp_path / "evil.tar", default_settings(tmp_path / "new"))
        (tmp_path / "evil.tar").unlink()


@pytest.mark.parametrize("name", ["b", "b.tar"])
def test_an_archive_gives_what_it_was_given(tmp_path: Path, name: str) -> None:
    archive = ArchiveWriter(tmp_path / name)
    archive.begin(Head(at=1.0, hostname="h", data_dir="/d", formats={}, parts=[]))
    long = "data/" + "x" * 120 + "/" + "y" * 120
    with archive.file(long, 0o640, 5.0) as out:
        out.write(b"a" * 600)
        out.write(b"b")
    assert archive.has(long)
    assert archive.finish() == 601
    found = [(one.name, one.size, one.mode, b"".join(one.pieces())) for one in members(tmp_path / name)]
    assert [one[0] for one in found] == ["backup.json", long, "manifest.json"]
    assert found[1][1:] == (601, 0o640, b"a" * 600 + b"b")
    assert read_manifest(found[2][3]).files[long].size == 601
    assert json.loads(found[0][3])["at"] == 1.0


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", tmp_path / "in/link")
    os.mkfifo(tmp_path / "in/pipe")
    (tmp_path / "in/file").write_text("x")
    archive = ArchiveWriter(tmp_path / "b")
    with pytest.raises(OSError, match="symbolic links"):
        copy_tree(tmp_path / "in", "data", None, archive, lambda octets: None)
    os.unlink(tmp_path / "in/link")
    assert copy_tree(tmp_path / "in", "more", None, archive, lambda octets: None) == 1
    archive.abandon()
    assert not list(tmp_path.glob("b*"))


def test_a_message_that_is_read_meanwhile_is_found(tmp_path: Path) -> None:
    box = tmp_path / "mail/a"
    for name in ("new", "cur", "tmp"):
        (box / name).mkdir(parents=True)
    for n in range(3):
        (box / f"new/{n}.x").write_bytes(b"12345")
    (box / "cur/9.x:2,").write_bytes(b"12345")
    archive = ArchiveWriter(tmp_path / "b")

    def read_next(octets: int) -> None:
        """A reader is at work."""
        if (box / "new/2.x").exists():
            (box / "new/2.x").rename(box / "cur/2.x:2,S")
            (box / "cur/9.x:2,").rename(box / "cur/9.x:2,F")

    copy_mailboxes(tmp_path / "mail", "mail", None, archive, read_next)
    names = sorted(name for name in archive._files)
    assert [name.rpartition("/")[2].partition(":")[0] for name in names] == ["2.x", "9.x", "0.x", "1.x"]
    archive.abandon()


def test_trouble_of_whoever_writes_into_a_pipe_is_told() -> None:
    assert b"".join(piped(lambda fd: os.write(fd, b"abc"))) == b"abc"

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(StartError, match="cannot be copied"):
        list(piped(fails))


def test_the_commands_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="with -c, or a directory with --files"):
        restore_command.command.main([str(tmp_path)], standalone_mode=False)
    with pytest.raises(Stop, match="No such file"):
        backup_command.command.main(
            [str(tmp_path / "b"), "-c", str(tmp_path / "none")], standalone_mode=False
        )
