"""What `fastsmtp user`, `domain` and `alias` change counts in every worker of a running server once the command has
ended, without a signal and in sessions that are open."""

import pwd
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.tools.root import root_only
from tests.tools.site import Site, environment, public_folder, site
from tests.tools.waiting import until
from tests.tools.wire import Wire

CHEAP: dict[str, Any] = {
    "workers": 2,
    "accounts": {"backend": "embedded", "scram_iterations": 4096},
    "accounts.hash": {"memory": 8192, "passes": 1},
}
OK, UNKNOWN, DENIED = "250 2.1.5", "550 5.1.1", "550 5.7.1"


def do(server: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """``fastsmtp WORDS`` with the server's settings; it must succeed."""
    return subprocess.run(
        [sys.executable, "-m", "fastsmtp", *words, "-c", str(server.file)],
        env=environment(),
        input="secret\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def talk(server: Site, stack: ExitStack) -> list[Wire]:
    """Sessions: so many that both workers have some."""
    wires = [stack.enter_context(server.wire()) for _ in range(8)]
    for wire in wires:
        wire.hello()
    return wires


def answers(wires: list[Wire], address: str) -> set[str]:
    """What all sessions say to a recipient."""
    found = set()
    for wire in wires:
        wire.expect("MAIL FROM:<s@x.test>", "250")
        found.add(wire.command(f"RCPT TO:<{address}>").brief)
        wire.expect("RSET", "250")
    return found


def test_changes_count_at_once_in_all_workers(tmp_path: Path) -> None:
    with site(tmp_path, **CHEAP) as server, ExitStack() as stack:
        wires = talk(server, stack)
        assert answers(wires, "zoe@example.org") == {UNKNOWN}
        assert answers(wires, "zoe@shop.test") == {DENIED}
        do(server, "user", "add", "zoe@example.org", "--password-stdin")
        assert answers(wires, "Zoe+tag@example.org") == {OK}
        do(server, "user", "add", "zoe@shop.test", "--password-stdin")
        assert answers(wires, "zoe@shop.test") == {OK}
        assert answers(wires, "postmaster@shop.test") == {OK}
        do(server, "alias", "add", "sales@shop.test", "zoe@shop.test", "alice@example.org")
        assert answers(wires, "sales@shop.test") == {OK}
        do(server, "alias", "rm", "sales@shop.test")
        assert answers(wires, "sales@shop.test") == {UNKNOWN}
        do(server, "user", "rm", "zoe@shop.test")
        assert answers(wires, "zoe@shop.test") == {UNKNOWN}
        do(server, "domain", "rm", "shop.test")
        assert answers(wires, "zoe@shop.test") == {DENIED}
        assert answers(wires, "zoe@example.org") == {OK}
        assert wires[0].message(b"Subject: x\r\n\r\n", "zoe@example.org").queue_id
        until("the mail", lambda: list((server.maildir("zoe") / "new").glob("*")), 60)


def test_accounts_outlive_a_kill(tmp_path: Path) -> None:
    with site(tmp_path, **CHEAP) as server:
        do(server, "user", "add", "zoe@example.org", "--password-stdin")
        server.kill_all()
        assert "zoe@example.org" in do(server, "user", "ls").stdout
        do(server, "user", "add", "yan@example.org", "--password-stdin")
        server.start()
        with ExitStack() as stack:
            wires = talk(server, stack)
            assert answers(wires, "zoe@example.org") == {OK}
            assert answers(wires, "yan@example.org") == {OK}


@root_only
def test_workers_that_are_somebody_else_see_what_root_changes() -> None:
    with (
        public_folder() as folder,
        site(folder, user="nobody", **CHEAP) as server,
        ExitStack() as stack,
    ):
        wires = talk(server, stack)
        do(server, "user", "add", "zoe@example.org", "--password-stdin")
        assert answers(wires, "zoe@example.org") == {OK}
        nobody = pwd.getpwnam("nobody").pw_uid
        assert {path.stat().st_uid for path in (server.data / "accounts").rglob("*")} == {nobody}


def test_many_at_once_change_accounts_while_the_server_reads(tmp_path: Path) -> None:
    names = [f"user{number}@example.org" for number in range(12)]
    with site(tmp_path, **CHEAP) as server, ExitStack() as stack:
        wires = talk(server, stack)
        with ThreadPoolExecutor(len(names)) as crowd:
            added = {
                crowd.submit(do, server, "user", "add", name, "--password-stdin"): name for name in names
            }
            for one in as_completed(added):
                one.result()
                assert answers(wires, added[one]) == {OK}
        assert do(server, "user", "ls").stdout.split() == sorted(names)


def test_a_command_that_is_killed_leaves_accounts_whole(tmp_path: Path) -> None:
    with site(tmp_path, **CHEAP) as server, ExitStack() as stack:
        wires = talk(server, stack)
        do(server, "user", "add", "zoe@example.org", "--password-stdin")
        for number in range(8):
            with subprocess.Popen(
                [sys.executable, "-c", _ENDLESS, str(server.data), str(number)],
                env=environment(),
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"begun\n"
                process.kill()
        do(server, "user", "add", "yan@example.org", "--password-stdin")
        assert answers(wires, "yan@example.org") == {OK}
        assert answers(wires, "zoe@example.org") == {OK}
        assert {"yan@example.org", "zoe@example.org"} <= set(do(server, "user", "ls").stdout.split())


_ENDLESS = """
import sys
from pathlib import Path
from fastsmtp.accounts.embedded import EmbeddedAccounts, User
accounts = EmbeddedAccounts(Path(sys.argv[1]))
accounts.open()
print("begun", flush=True)
for number in range(10**9):
    name = f"crowd{number % 100}-{sys.argv[2]}@example.org"
    accounts.change(lambda change: change.put_user(name, User("$hash$")))
"""
