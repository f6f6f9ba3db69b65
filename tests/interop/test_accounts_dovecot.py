"""Dovecot and this server judge alike: by Dovecot's authentication socket, and by the passwd-file that both read."""

import asyncio
import grp
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.backends import make_backend
from fastsmtp.accounts.base import Identity, Refused
from fastsmtp.accounts.hashing import make_hash
from fastsmtp.accounts.settings import AccountSettings, DovecotSettings, HashSettings
from fastsmtp.clock import SystemClock
from tests.conftest import require_program
from tests.tools.site import public_folder
from tests.tools.waiting import until

SCHEMES = ("SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "ARGON2ID", "SSHA", "SSHA512", "SCRAM-SHA-256")
PASSWORD = "pass wörd:{}"
CHEAP = HashSettings(memory=8192, passes=1)


def passwords() -> str:
    """A user for each scheme, hashed by Dovecot; one hashed by us; and one who may not log in."""
    lines = []
    for scheme in SCHEMES:
        done = subprocess.run(
            ["doveadm", "pw", "-s", scheme, "-p", PASSWORD],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        lines.append(f"{scheme.lower()}@example.org:{done.stdout.strip()}::::::")
    ours = "{ARGON2ID}" + make_hash(PASSWORD.encode(), CHEAP)
    lines += [f"ours@example.org:{ours}::::::", f"off@example.org:{ours}::::::nologin"]
    return "\n".join(lines) + "\n"


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return path.exists() and probe.connect_ex(str(path)) == 0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with the passwd-file, and a Dovecot whose socket is ``auth`` there."""
    dovecot = require_program("dovecot")
    require_program("doveadm")
    if os.geteuid() != 0:
        pytest.skip("only root can run Dovecot's master")
    with public_folder() as folder:
        file = folder / "passwd"
        file.write_text(passwords())
        file.chmod(0o644)
        settings = folder / "dovecot.conf"
        settings.write_text(f"""\
base_dir = {folder}/run
log_path = {folder}/log
ssl = no
protocols =
auth_mechanisms = plain
auth_failure_delay = 0
auth_cache_size = 0
default_login_user = nobody
default_internal_user = nobody
default_internal_group = {pwd_group()}
passdb {{
  driver = passwd-file
  args = {file}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
""")
        process = subprocess.Popen([dovecot, "-F", "-c", str(settings)], start_new_session=True)
        try:
            until("Dovecot answers", lambda: answers(folder / "auth"), 30)
            yield folder
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            print((folder / "log").read_text() if (folder / "log").exists() else "no log")


def pwd_group() -> str:
    """The name of nobody's group."""
    return grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name


def judge(settings: AccountSettings, folder: Path, *asked: tuple[str, bytes]) -> list[Any]:
    """What the backend says to each login."""

    async def run() -> list[Any]:
        loop = asyncio.get_running_loop()
        backend = make_backend(settings, folder, loop, SystemClock(), print)
        backend.start()

        async def one(login: str, password: bytes) -> Any:
            told: asyncio.Future[Any] = loop.create_future()
            verdict = backend.authenticator.verify(login, password, told.set_result)
            return await told if verdict is None else verdict

        try:
            return await asyncio.gather(*(one(*pair) for pair in asked))
        finally:
            await asyncio.to_thread(backend.stop)

    return asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("backend", ["dovecot", "passwd-file"])
def test_both_judge_alike(folder: Path, backend: str) -> None:
    settings = AccountSettings(
        backend=backend,  # type: ignore[arg-type]
        file=str(folder / "passwd"),
        dovecot=DovecotSettings(socket=str(folder / "auth")),
        login_domain="example.org",
        hash=CHEAP,
    )
    names = [*(scheme.lower() for scheme in SCHEMES), "ours"]
    right = judge(settings, folder, *((f"{name}@Example.ORG", PASSWORD.encode()) for name in names))
    assert right == [Identity(f"{name}@example.org") for name in names]
    wrong = judge(settings, folder, *((name, PASSWORD.encode() + b"x") for name in names))
    assert {type(verdict) for verdict in wrong} == {Refused}
    others = [("nobody", b"x"), ("off", PASSWORD.encode()), ("ours", b"\xff"), ("ours\t", b"x")]
    assert {type(verdict) for verdict in judge(settings, folder, *others)} == {Refused}
