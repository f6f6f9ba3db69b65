"""PAM of this machine judges by a service made for it: passwords by a program, accounts by its account phase."""

import asyncio
import base64
import os
import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.backends import make_backend
from fastsmtp.accounts.base import Identity, Refused, Unavailable, Verdict
from fastsmtp.accounts.settings import AccountSettings, HashSettings, PamSettings
from fastsmtp.clock import SystemClock
from tests.system.server import RunningServer, free_port
from tests.tools.site import public_folder

SERVICE = f"fastsmtp-test-{os.getpid()}"
PASSWORD = "pass wörd:{}"
RULES = """\
auth    [success=1 default=ignore] pam_succeed_if.so quiet user != trouble
auth    [default=die] pam_debug.so auth=authinfo_unavail
auth    [success=1 default=ignore] pam_exec.so quiet expose_authtok {program}
auth    requisite pam_deny.so
auth    required pam_permit.so
account [success=1 default=ignore] pam_succeed_if.so quiet user != old
account required pam_debug.so acct=acct_expired
account required pam_permit.so
"""
PROGRAM = """\
#!/bin/sh
word=$(tr -d '\\0')
case $PAM_USER in alice|old|bob@example.com) ;; *) exit 1 ;; esac
[ "$word" = '{password}' ]
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Path]:
    """The file of the service."""
    pytest.importorskip("pam")
    if os.geteuid() != 0:
        pytest.skip("only root can make a service of PAM")
    with public_folder() as folder:
        program = folder / "judge"
        program.write_text(PROGRAM.format(password=PASSWORD))
        program.chmod(0o755)
        file = Path("/etc/pam.d") / SERVICE
        file.write_text(RULES.format(program=program))
        try:
            yield file
        finally:
            file.unlink()


def settings(**changes: Any) -> AccountSettings:
    return AccountSettings(
        backend="pam", pam=PamSettings(service=SERVICE), login_domain="example.org", **changes
    )


def judged(folder: Path, *logins: tuple[str, str]) -> list[Verdict]:
    """What becomes of these logins, all at once."""

    async def run() -> list[Verdict]:
        loop = asyncio.get_running_loop()
        backend = make_backend(
            settings(hash=HashSettings(threads=4)), folder, loop, SystemClock(), lambda line: None
        )
        backend.start()

        def begun(login: str, password: str) -> asyncio.Future[Verdict]:
            told: asyncio.Future[Verdict] = loop.create_future()
            assert backend.authenticator.verify(login, password.encode(), told.set_result) is None
            return told

        try:
            return await asyncio.wait_for(asyncio.gather(*(begun(*one) for one in logins)), 60)
        finally:
            await asyncio.to_thread(backend.stop)

    return asyncio.run(run())


@pytest.mark.usefixtures("service")
def test_pam_judges(tmp_path: Path) -> None:
    assert judged(
        tmp_path,
        ("alice", PASSWORD),
        ("ALICE@example.org", PASSWORD),
        ("bob@example.com", PASSWORD),
        ("alice", "wrong"),
        ("nobody", PASSWORD),
        ("alice@example.com", PASSWORD),
        ("old", PASSWORD),
        ("old", "wrong"),
        ("trouble", PASSWORD),
    ) == [
        Identity("alice@example.org"),
        Identity("alice@example.org"),
        Identity("bob@example.com"),
        *[Refused("PAM refuses the login")] * 3,
        Refused("the account or its password has expired"),
        Refused("PAM refuses the login"),
        Unavailable("PAM: Authentication service cannot retrieve authentication info"),
    ]


@pytest.mark.usefixtures("service")
def test_workers_that_are_no_longer_root_ask_it() -> None:
    port = free_port()
    with (
        public_folder() as folder,
        RunningServer(
            folder / "server",
            user="nobody",
            accounts={"backend": "pam", "login_domain": "test.example"},
            auth={"clear_on_loopback": True},
            listeners=[{"address": f"127.0.0.1:{port}", "protocol": "submission"}],
            **{"accounts.pam": {"service": SERVICE}},
        ) as server,
        smtplib.SMTP("127.0.0.1", port, timeout=60) as client,
    ):
        client.ehlo()
        assert client.docmd("AUTH PLAIN", plain("alice", "wrong"))[0] == 535
        assert client.docmd("AUTH PLAIN", plain("old", PASSWORD))[0] == 535
        assert client.docmd("AUTH PLAIN", plain("trouble", PASSWORD))[0] == 454
        assert client.docmd("AUTH PLAIN", plain("alice", PASSWORD))[0] == 235
        assert client.docmd("MAIL FROM:<alice@test.example>")[0] == 250
        assert PASSWORD not in server.log


def plain(login: str, password: str) -> str:
    return base64.b64encode(f"\0{login}\0{password}".encode()).decode()
