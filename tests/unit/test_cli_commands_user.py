"""``fastsmtp user``: accounts made, shown, changed and removed; a password never shows."""

import io
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.accounts.hashing import matches
from fastsmtp.cli.main import run
from tests.tools.root import root_only
from tests.tools.site import environment, public_folder

Capture = pytest.CaptureFixture[str]

SETTINGS = """
hostname = "mx.example.org"
data_dir = "data"
[[listeners]]
address = "127.0.0.1:0"
[mailboxes]
domains = ["example.org"]
path = "mail/{domain}/{user}"
[relay]
domains = ["corp.test"]
[accounts]
backend = "embedded"
scram_iterations = 4096
[accounts.hash]
memory = 8192
passes = 1
"""

ALICE = "alice@example.org"


class Bench:
    """A settings file, and the command with it."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        self.file = tmp_path / "a.toml"
        self.file.write_text(SETTINGS)
        self.data = tmp_path / "data"
        self._patch = monkeypatch
        self._capsys = capsys

    def do(self, *words: str, given: bytes = b"") -> tuple[int, str, str]:
        """Exit code, output and complaints of ``fastsmtp WORDS``, ``given`` on its standard input."""
        stdin = io.TextIOWrapper(io.BytesIO(given))
        self._patch.setattr("sys.stdin", stdin)
        code = run([*words, "-c", str(self.file)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def add(self, login: str = ALICE, password: bytes = b"secret\n", *more: str) -> tuple[int, str, str]:
        return self.do("user", "add", login, "--password-stdin", *more, given=password)

    def user(self, login: str = ALICE) -> User | None:
        accounts = EmbeddedAccounts(self.data)
        accounts.open()
        try:
            return accounts.user(login)
        finally:
            accounts.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys)


def test_an_account_is_made(bench: Bench) -> None:
    assert bench.add("Alice@EXAMPLE.org") == (os.EX_OK, f"account {ALICE} added\n", "")
    user = bench.user()
    assert user is not None
    assert matches(user.password, b"secret")
    assert user.iterations == 4096
    assert (user.quota, user.disabled, user.senders) == (0, False, ())


def test_with_its_domain_where_that_is_new(bench: Bench) -> None:
    code, out, _ = bench.add("bob@bücher.example", b"secret", "--quota", "2GiB", "--sender", "@Far.test")
    assert (code, out.splitlines()[1:]) == (
        os.EX_OK,
        ["domain xn--bcher-kva.example added: mail for it is taken from now on"],
    )
    user = bench.user("bob@xn--bcher-kva.example")
    assert user is not None
    assert (user.quota, user.senders) == (2 << 30, ("@far.test",))
    code, out, _ = bench.add("eve@corp.test")  # a domain whose mail ends elsewhere stays one
    assert (code, out) == (os.EX_OK, "account eve@corp.test added\n")


def test_twice_is_refused_and_changes_nothing(bench: Bench) -> None:
    bench.add()
    code, out, err = bench.add(ALICE, b"other")
    assert (code, out) == (os.EX_DATAERR, "")
    assert "exists" in err
    user = bench.user()
    assert user is not None
    assert matches(user.password, b"secret")


@pytest.mark.parametrize(
    "password",
    [b"", b"\n", b"a\nsecret-2", b"secret-2\0", b"\xffsecret-2", b"secret-2" * 200, b"secret-2" * 131_072],
)
def test_what_cannot_be_a_password(bench: Bench, password: bytes) -> None:
    code, out, err = bench.add(ALICE, password)
    assert (code, out) == (os.EX_DATAERR, "")
    assert len(err.splitlines()) == 1
    assert "secret-2" not in err
    assert bench.user() is None


def test_two_of_one_name_do_not_share_a_mailbox(bench: Bench) -> None:
    bench.file.write_text(SETTINGS.replace("mail/{domain}/{user}", "mail/{user}"))
    assert bench.add()[0] == os.EX_OK
    assert bench.add("bob@shop.test")[0] == os.EX_OK
    code, _, err = bench.add("alice@shop.test")
    assert code == os.EX_DATAERR
    assert "mailboxes.path lacks {domain}" in err
    assert bench.user("alice@shop.test") is None


def test_without_a_terminal_it_must_come_from_standard_input(bench: Bench) -> None:
    code, _, err = bench.do("user", "add", ALICE, given=b"secret")
    assert code == os.EX_USAGE
    assert "--password-stdin" in err


def test_a_password_on_the_command_line_is_no_option(bench: Bench) -> None:
    for words in (("--password", "x"), ("--password=x",), ("x",)):
        assert bench.do("user", "add", ALICE, *words)[0] == os.EX_USAGE
        assert bench.do("user", "passwd", ALICE, *words)[0] == os.EX_USAGE


@pytest.mark.parametrize(
    "login",
    ["alice", "@example.org", "alice@", "a b@example.org", "a\n@example.org", "a@[127.0.0.1]", "é" * 99, ""],
)
def test_what_cannot_be_a_login(bench: Bench, login: str) -> None:
    code, out, err = bench.add(login)
    assert (code, out) == (os.EX_USAGE, "")
    assert "alice@example.org" in err


def test_another_password(bench: Bench) -> None:
    bench.add(ALICE, b"secret", "--quota", "5M")
    code, out, _ = bench.do("user", "passwd", ALICE, "--password-stdin", given=b"new")
    assert (code, out) == (os.EX_OK, f"password of {ALICE} changed\n")
    user = bench.user()
    assert user is not None
    assert matches(user.password, b"new")
    assert user.quota == 5 << 20


def test_without_scram_no_keys_are_kept(bench: Bench) -> None:
    bench.add()
    bench.file.write_text(SETTINGS.replace("scram_iterations = 4096", "scram_iterations = 0"))
    bench.do("user", "passwd", ALICE, "--password-stdin", given=b"new")
    user = bench.user()
    assert user is not None
    assert (user.iterations, user.stored_key, user.salt) == (0, b"", b"")


def test_list_and_show(bench: Bench) -> None:
    assert bench.do("user", "ls") == (os.EX_OK, "", "")
    assert json.loads(bench.do("user", "ls", "--json")[1]) == []
    bench.add("bob@example.org", b"secret", "--quota", "3G")
    bench.add()
    bench.do("user", "disable", "bob@example.org")
    bench.do("alias", "add", "info@example.org", "bob@example.org")
    _, out, _ = bench.do("user", "ls")
    assert out.splitlines() == [ALICE, "bob@example.org    disabled"]
    rows: list[dict[str, Any]] = json.loads(bench.do("user", "ls", "--json")[1])
    assert rows[1] == {
        "login": "bob@example.org",
        "disabled": True,
        "quota": 3 << 30,
        "senders": [],
        "scram": True,
    }
    assert bench.do("user", "show", "bob@example.org")[1].splitlines() == [
        "login      bob@example.org",
        "disabled   yes",
        "quota      3G",
        "senders    none",
        "scram      yes",
        "aliases    info@example.org",
    ]
    shown = json.loads(bench.do("user", "show", "bob@example.org", "--json")[1])
    assert shown == {**rows[1], "aliases": ["info@example.org"]}


def test_quota_senders_and_disabled(bench: Bench) -> None:
    bench.add()
    said = bench.do("user", "quota", ALICE, "1500")[1]
    assert said == f"quota of {ALICE}: 1500\n"
    assert bench.do("user", "senders", ALICE, "Sales@example.org", "*", "*")[0] == os.EX_OK
    bench.do("user", "disable", ALICE)
    user = bench.user()
    assert user is not None
    assert (user.quota, user.senders, user.disabled) == (1500, ("sales@example.org", "*"), True)
    bench.do("user", "quota", ALICE, "none")
    bench.do("user", "senders", ALICE)
    bench.do("user", "enable", ALICE)
    user = bench.user()
    assert user is not None
    assert (user.quota, user.senders, user.disabled) == (0, (), False)
    assert bench.do("user", "quota", ALICE, "much")[0] == os.EX_USAGE
    assert bench.do("user", "senders", ALICE, "nonsense")[0] == os.EX_USAGE


def test_removed(bench: Bench) -> None:
    bench.add()
    bench.do("alias", "add", "info@example.org", ALICE)
    code, out, err = bench.do("user", "rm", ALICE)
    assert (code, out) == (os.EX_OK, f"account {ALICE} removed\n")
    assert "info@example.org" in err
    assert bench.user() is None


@pytest.mark.parametrize(
    "words",
    [("rm",), ("show",), ("passwd", "--password-stdin"), ("disable",), ("quota",), ("senders",)],
    ids=lambda words: words[0],
)
def test_nobody_of_that_name(bench: Bench, words: tuple[str, ...]) -> None:
    more = ("5M",) if words == ("quota",) else ()
    code, out, err = bench.do("user", words[0], ALICE, *more, *words[1:], given=b"secret")
    assert (code, out) == (os.EX_NOUSER, "")
    assert err.startswith(f"fastsmtp: there is no account {ALICE}")


def test_another_backend(bench: Bench) -> None:
    bench.file.write_text(SETTINGS.replace('"embedded"', '"static"'))
    code, _, err = bench.do("user", "ls")
    assert code == os.EX_CONFIG
    assert 'accounts.backend is "static"' in err
    assert not bench.data.exists()


def test_a_data_dir_that_cannot_be_made(bench: Bench) -> None:
    bench.data.write_text("")
    code, _, err = bench.do("user", "ls")
    assert code in (os.EX_IOERR, os.EX_CANTCREAT)
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [("user",), ("domain",), ("alias",)])
def test_each_command_has_help_with_an_example(words: tuple[str, ...], bench: Bench) -> None:
    from fastsmtp.cli.commands import alias, domain, user

    groups = {"user": user.command, "domain": domain.command, "alias": alias.command}
    for name in groups[words[0]].commands:
        code, out, _ = bench.do(*words, name, "--help")
        assert code == os.EX_OK
        assert f"fastsmtp {words[0]} {name}" in out


@root_only
@pytest.mark.parametrize("named", [True, False], ids=["user-is-set", "data_dir-is-somebodys"])
def test_what_root_makes_belongs_to_the_servers_user(
    named: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    nobody = pwd.getpwnam("nobody")
    with public_folder() as folder:
        bench = Bench(folder, monkeypatch, capsys)
        made_by_root(bench, nobody, named)


def made_by_root(bench: Bench, nobody: pwd.struct_passwd, named: bool) -> None:
    if named:
        bench.file.write_text('user = "nobody"\n' + SETTINGS)
    else:
        bench.data.mkdir(mode=0o700)
        os.chown(bench.data, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", "user", "add", ALICE, "--password-stdin", "-c", str(bench.file)],
        env=environment(),
        input=b"secret",
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (os.EX_OK, b"")
    found = [bench.data, *bench.data.rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(nobody.pw_uid, nobody.pw_gid)}
    assert {path.stat().st_mode & 0o077 for path in found} == {0}
    assert len(found) > 3
