"""The password of the database; what comes after a connection is in tests/interop."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.postgresql import PostgresqlAccounts
from fastsmtp.accounts.settings import HashSettings, PostgresqlSettings
from tests.fakes.clock import FakeClock

URL = "postgresql://mail@127.0.0.1:1/mail"


def started(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """The password that a pool of connections is made with."""
    asked: list[Any] = []

    async def no_pool() -> None:
        """Nobody connects."""

    def create_pool(url: str, **options: Any) -> Any:
        asked.append(options["password"])
        return no_pool()

    async def inside() -> None:
        loop = asyncio.get_running_loop()
        settings = PostgresqlSettings(url=URL, **options)
        accounts = PostgresqlAccounts(settings, "", HashSettings(), loop, FakeClock(), lambda text: None)
        monkeypatch.setattr(accounts, "tick", lambda: None)
        accounts.start()
        await accounts._opened

    monkeypatch.setattr(asyncpg, "create_pool", create_pool)
    asyncio.run(inside())
    return asked[0]


def test_it_comes_from_a_file_from_the_settings_or_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("geheim 1\n")
    assert started(monkeypatch, password_file=str(tmp_path / "secret")) == "geheim 1"
    assert started(monkeypatch, password="geheim 2") == "geheim 2"
    assert started(monkeypatch) is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccountsError, match=r"^accounts\.postgresql\.password_file: cannot read "):
        started(monkeypatch, password_file=str(tmp_path / "none"))


def test_one_password_is_enough() -> None:
    with pytest.raises(ValueError, match="expected either password_file or password"):
        PostgresqlSettings(url=URL, password="a", password_file="b")
