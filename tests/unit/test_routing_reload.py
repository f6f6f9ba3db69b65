"""The tables follow their files."""

import os
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.signature import Signature, signature
from fastsmtp.mail.reply import MAILBOX_UNKNOWN
from fastsmtp.pool import ThreadPool
from fastsmtp.routing.reload import Reloader
from fastsmtp.routing.route import LocalRoute
from fastsmtp.routing.router import Router
from fastsmtp.routing.srs import Srs
from fastsmtp.routing.tables import RoutingTables
from tests.fakes.accounts import FakePool
from tests.fakes.clock import FakeClock
from tests.fakes.routing import STRANGER, tables


class OneFile:
    """A source whose file holds the names of the users."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seen: dict[Path, Signature] = {}
        self.loads = 0

    def load(self) -> tuple[RoutingTables, Srs | None]:
        self.loads += 1
        self.seen = {self.file: signature(self.file)}
        try:
            users = self.file.read_text().split()
        except OSError as error:
            raise SettingsError([f"{error.strerror}"]) from None
        if "?" in users:
            raise SettingsError([f"fault {i}" for i in range(50)])
        return tables(users=users, postmaster=users[0]), None


class Case:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.said: list[str] = []
        file.write_text("alice")
        self.source = OneFile(file)
        self.router = Router(self.source.load()[0], FakeClock())
        self.pool = FakePool(1)
        self.reloader = Reloader(self.router, self.source, self.pool, self.said.append)  # type: ignore[arg-type]

    def has(self, user: str) -> bool:
        found = self.router.route(user, "example.org", STRANGER)
        assert found in (MAILBOX_UNKNOWN, LocalRoute(f"{user}@example.org"))
        return found is not MAILBOX_UNKNOWN

    def tick(self, times: int = 2) -> None:
        for _ in range(times):
            self.reloader.tick()
            self.pool.work()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "users")


def test_nothing_is_read_while_nothing_changes(case: Case) -> None:
    case.tick(10)
    assert case.source.loads == 1
    assert case.said == []


def test_a_change_counts_once_it_is_still(case: Case) -> None:
    assert not case.has("carola")
    case.file.write_text("alice carola")
    case.tick(1)
    assert case.source.loads == 1
    case.file.write_text("alice carola dave")
    case.tick(1)
    assert case.source.loads == 1
    case.tick(1)
    assert case.has("carola")
    case.tick(5)
    assert case.source.loads == 2
    assert case.said == ["routing was read again"]


def test_a_file_put_in_its_place(case: Case) -> None:
    """With the same size and time: another file all the same."""
    new = case.file.with_name("new")
    new.write_text("clara")
    status = case.file.stat()
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(case.file)
    case.tick()
    assert case.has("clara")
    assert not case.has("alice")


def test_what_cannot_be_used_is_told_once(case: Case) -> None:
    case.file.write_text("?")
    case.tick(10)
    assert case.has("alice")
    assert case.source.loads == 2
    assert case.said == [f"routing stays as it was: fault {i}" for i in range(10)]
    case.file.write_text("bob")
    case.tick()
    assert case.has("bob")
    assert case.said[10:] == ["routing was read again"]


def test_a_file_that_is_gone_for_a_while(case: Case) -> None:
    case.file.unlink()
    case.tick(5)
    assert case.has("alice")
    assert case.said == ["routing stays as it was: No such file or directory"]
    case.file.write_text("bob")
    case.tick()
    assert case.has("bob")


def test_a_change_while_it_is_read_is_read_again(case: Case) -> None:
    load = case.source.load

    def slow() -> tuple[RoutingTables, Srs | None]:
        found = load()
        case.source.load = load  # type: ignore[method-assign]
        case.file.write_text("zoe and others")
        return found

    case.source.load = slow  # type: ignore[method-assign]
    case.file.write_text("bob")
    case.tick()
    assert case.has("bob")
    case.tick()
    assert case.has("zoe")


def test_mail_goes_on_while_it_is_read(case: Case) -> None:
    """Once, however long that takes."""
    case.file.write_text("bob")
    for _ in range(5):
        case.reloader.tick()
        assert case.has("alice")
        assert not case.has("bob")
    assert case.source.loads == 1
    assert case.pool.work() == 1
    assert case.has("bob")
    case.tick(5)
    assert case.source.loads == 2


def test_a_defect_of_ours_costs_no_reload_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path / "users")
    posted: Queue[Callable[[], None]] = Queue()
    pool = ThreadPool("routing", 1, 0, posted.put)
    reloader = Reloader(case.router, case.source, pool, case.said.append)
    load = case.source.load

    def fails() -> tuple[RoutingTables, Srs | None]:
        load()
        raise KeyError("secret")

    monkeypatch.setattr(case.source, "load", fails)
    for users in ("bob", "carola"):
        case.file.write_text(users)
        reloader.tick()
        reloader.tick()
        posted.get(timeout=30)()
        monkeypatch.undo()
    reloader.stop()
    assert [line.partition(":")[0] for line in case.said] == [
        "routing stays as it was",
        "routing was read again",
    ]
    assert "secret" not in case.said[0]
    assert case.has("carola")
