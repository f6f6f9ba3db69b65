"""The accounts for commands: nothing is made by looking, and what cannot be read is told."""

from pathlib import Path

from fastsmtp.accounts.embedded import User
from fastsmtp.process.accounts import accounts_problem, managed, names_for_asking
from fastsmtp.process.machine import machine_problems
from fastsmtp.process.routing import router_of
from fastsmtp.process.settings import Settings
from fastsmtp.routing.route import LocalRoute
from tests.unit.test_process_settings import load, small


def settings_with(tmp_path: Path, accounts: str) -> Settings:
    return load(tmp_path, small('data_dir = "data"', tables="[accounts]\n" + accounts))


def test_looking_makes_nothing(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, 'backend = "embedded"')
    assert names_for_asking(settings) == (None, "")
    assert not settings.data_dir.exists()


def test_a_router_for_those_who_ask_knows_the_accounts(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, 'backend = "embedded"')
    with managed(settings) as accounts:
        accounts.change(lambda change: change.put_domain("shop.test"))
        accounts.change(lambda change: change.put_user("dan@shop.test", User("$d$")))
    router, notes = router_of(settings)
    assert router.route("dan", "shop.test", "192.0.2.1") == LocalRoute("dan@shop.test")
    assert not any("accounts" in note for note in notes)


def test_what_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, 'backend = "embedded"')
    (settings.data_dir / "accounts").mkdir(parents=True)
    (settings.data_dir / "accounts" / "data.mdb").write_bytes(b"x" * 10_000)
    _, notes = router_of(settings)
    assert any(note.startswith("accounts are left out: ") for note in notes)


def test_files_that_are_not_there_are_told_before_the_start(tmp_path: Path) -> None:
    for accounts, key in (
        ('backend = "passwd-file"\nfile = "no"', "accounts.file"),
        ('backend = "sqlite"\nsqlite = { file = "no" }', "accounts.sqlite.file"),
    ):
        settings = settings_with(tmp_path, accounts)
        problem = f"{key}: {tmp_path}/no: No such file or directory"
        assert accounts_problem(settings) == problem
        assert problem in machine_problems(settings)
        (tmp_path / "no").touch()
        assert accounts_problem(settings) == ""
        (tmp_path / "no").unlink()


def test_a_service_that_pam_does_not_know_is_told_before_the_start(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, 'backend = "pam"\npam = { service = "fastsmtp-none" }')
    (problem,) = (one for one in machine_problems(settings) if "pam" in one)
    assert problem.startswith("accounts.pam.service: there is no /etc/pam.d/fastsmtp-none; make it")
