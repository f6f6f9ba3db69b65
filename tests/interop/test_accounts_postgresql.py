"""Accounts in a real PostgreSQL: a cluster of its own, asked, changed, stopped and started again."""

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.backends import make_backend
from fastsmtp.accounts.base import AccountsError, Identity, Refused, Unavailable
from fastsmtp.accounts.hashing import make_hash
from fastsmtp.accounts.postgresql import PostgresqlAccounts
from fastsmtp.accounts.settings import AccountSettings, HashSettings, PostgresqlSettings
from tests.conftest import require_program
from tests.fakes.clock import FakeClock
from tests.system.server import free_port
from tests.tools.site import public_folder

CHEAP = HashSettings(memory=8192, passes=1)
LOGIN = "SELECT password, disabled, senders FROM users WHERE login = $1"


class Cluster:
    """PostgreSQL on a loopback port, run by an unprivileged user."""

    def __init__(self, folder: Path) -> None:
        require_program("psql")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not found:
            require_program("postgres")
        binaries = found[-1]
        self.port = free_port()
        self._folder = folder
        self._control = binaries / "pg_ctl"
        self._drop: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            self._drop = [require_program("setpriv"), *ids]
        self._run(binaries / "initdb", "-D", folder / "data", "-U", "mail", "-A", "trust", "-N")
        self.start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://mail@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self._folder} -c fsync=off"
        places = ("-D", self._folder / "data", "-l", self._folder / "log")
        self._run(self._control, *places, "-o", options, "-w", "start")

    def stop(self) -> None:
        self._run(self._control, "-D", self._folder / "data", "-m", "immediate", "-w", "stop")

    def _run(self, *command: object) -> None:
        done = subprocess.run(
            [*self._drop, *map(str, command)],
            cwd=self._folder,
            env={"LANG": "C", "PATH": os.environ["PATH"], "HOME": str(self._folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("asyncpg")
    with public_folder() as folder:
        cluster = Cluster(folder)
        try:
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder / "data", ignore_errors=True)


async def fill(cluster: Cluster) -> None:
    import asyncpg

    connection = await asyncpg.connect(cluster.url())
    await connection.execute(
        "DROP TABLE IF EXISTS users;"
        "CREATE TABLE users (login TEXT PRIMARY KEY, password TEXT, disabled BOOL DEFAULT false, senders TEXT)"
    )
    hashed = make_hash(b"secret", CHEAP)
    rows = [("alice@example.org", hashed, False, "@far.test"), ("bob@example.org", hashed, True, None)]
    await connection.executemany("INSERT INTO users VALUES ($1, $2, $3, $4)", rows)
    await connection.close()


def run(work: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(work(), 90))


def test_logging_in(cluster: Cluster) -> None:
    said: list[str] = []

    async def work() -> None:
        await fill(cluster)
        loop, clock = asyncio.get_running_loop(), FakeClock()
        sql = PostgresqlSettings(url=cluster.url(), login=LOGIN)
        settings = AccountSettings(backend="postgresql", postgresql=sql, hash=CHEAP)
        backend = make_backend(settings, Path("/"), loop, clock, said.append)

        async def verify(login: str, password: bytes) -> Any:
            told: asyncio.Future[Any] = loop.create_future()
            verdict = backend.authenticator.verify(login, password, told.set_result)
            return await told if verdict is None else verdict

        async def known(login: str) -> None:
            while True:
                try:
                    if backend.names.has_user(*login.split("@")):
                        return
                except AccountsError:
                    pass
                await asyncio.sleep(0.01)

        backend.start()
        try:
            alice = Identity("alice@example.org", ("@far.test",))
            assert await verify("Alice@Example.org", b"secret") == alice
            for login, password in (
                ("alice@example.org", b"wrong"),
                ("bob@example.org", b"secret"),
                ("nobody@example.org", b"secret"),
                ("' OR '1'='1@example.org", b"secret"),
            ):
                assert isinstance(await verify(login, password), Refused)
            many = await asyncio.gather(*(verify("alice@example.org", b"secret") for _ in range(40)))
            assert set(many) == {alice}
            await known("alice@example.org")
            cluster.stop()
            assert isinstance(await verify("alice@example.org", b"secret"), Unavailable)
            cluster.start()
            assert await verify("alice@example.org", b"secret") == alice
            import asyncpg

            connection = await asyncpg.connect(cluster.url())
            await connection.execute("INSERT INTO users VALUES ('zoe@example.org', 'x')")
            await connection.close()
            clock.pass_by(31)
            backend.tick()
            await known("zoe@example.org")
        finally:
            await asyncio.to_thread(backend.stop)

    run(work)
    assert said == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda url: url.replace("/postgres", "/nothing"), "does not exist"),
        (lambda url: "nonsense:secret", "url is no address"),
        (lambda url: url.replace("127.0.0.1", "127.0.0.2").replace("mail@", "mail:secret@"), "PostgreSQL: "),
    ],
    ids=["database", "nonsense", "nobody there"],
)
def test_trouble_is_told_once_and_without_a_password(
    cluster: Cluster, change: Callable[[str], str], complaint: str
) -> None:
    said: list[str] = []

    async def work() -> None:
        loop, clock = asyncio.get_running_loop(), FakeClock()
        settings = PostgresqlSettings(url=change(cluster.url()), login=LOGIN)
        accounts = PostgresqlAccounts(settings, "", CHEAP, loop, clock, said.append)
        accounts.start()
        try:
            while not said:
                await asyncio.sleep(0.01)
            clock.pass_by(31)
            accounts.tick()
            with pytest.raises(AccountsError, match=complaint) as caught:
                await asyncio.to_thread(accounts.find, "alice@example.org")
            assert "secret" not in str(caught.value)
        finally:
            await asyncio.to_thread(accounts.stop)

    run(work)
    [line] = said
    assert complaint in line
    assert "secret" not in line
