"""Accounts in OpenLDAP's server: searched for, bound as, by STARTTLS and without, and with the server gone."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.backends import Backend, make_backend
from fastsmtp.accounts.base import AccountsError, Identity, Refused, Unavailable
from fastsmtp.accounts.settings import AccountSettings, LdapSettings
from fastsmtp.clock import SystemClock
from tests.conftest import require_program
from tests.system.server import free_port
from tests.tools.certificates import Authority
from tests.tools.site import public_folder
from tests.tools.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore:ssl.match_hostname")  # ldap3 has its own where there is none

BASE = "dc=example,dc=org"
ADMIN = f"cn=admin,{BASE}"
ALICE = Identity("alice@example.org", ("sales@example.org", "@far.test"))


class Directory:
    """slapd on a loopback port, with alice, carol, and two who share an address."""

    def __init__(self, folder: Path) -> None:
        program = require_program("slapd")
        pytest.importorskip("ldap3")
        prefix = Path(os.path.realpath(program)).parents[2]
        self.port = free_port()
        self.url = f"ldap://localhost:{self.port}"
        authority = Authority(folder)
        cert, key = authority.issue("localhost")
        self.ca = authority.file
        (folder / "db").mkdir()
        settings = folder / "slapd.conf"
        schemas = [prefix / f"etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "inetorgperson")]
        includes = "\n".join(f"include {schema}" for schema in schemas)
        settings.write_text(f"""\
{includes}
modulepath {prefix / "usr/lib/ldap"}
moduleload back_mdb
pidfile {folder}/pid
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
disallow bind_anon
database mdb
suffix "{BASE}"
rootdn "{ADMIN}"
rootpw adminsecret
directory {folder}/db
""")
        self._command = [program, "-f", str(settings), "-h", f"ldap://127.0.0.1:{self.port}/", "-d", "0"]
        self.start()
        self._fill()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, start_new_session=True)

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until("slapd answers", answers, 30)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _fill(self) -> None:
        import ldap3

        server = ldap3.Server(self.url, get_info=ldap3.NONE)
        with ldap3.Connection(server, ADMIN, "adminsecret", auto_bind=True) as one:
            one.add(BASE, ["dcObject", "organization"], {"o": "Example"})
            for name, mails, password in (
                ("alice", ["alice@example.org"], "sécret"),
                ("carol", ["carol@example.org"], "x*)("),
                ("twin1", ["twin@example.org"], "secret"),
                ("twin2", ["twin@example.org"], "secret"),
            ):
                values = {"sn": name, "mail": mails, "userPassword": password}
                if name == "alice":
                    values["description"] = ["Sales@example.org", "@far.test"]
                assert one.add(f"cn={name},{BASE}", "inetOrgPerson", values), one.result


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    with public_folder() as folder:
        directory = Directory(folder)
        try:
            yield directory
        finally:
            directory.stop()


def settings_for(directory: Directory, folder: Path, **more: Any) -> AccountSettings:
    secret = folder / "secret"
    secret.write_text("adminsecret\n")
    values = {
        "url": directory.url,
        "base": BASE,
        "bind": ADMIN,
        "password_file": str(secret),
        "senders": "description",
        **more,
    }
    return AccountSettings(backend="ldap", ldap=LdapSettings(**values), login_domain="example.org")


def use(settings: AccountSettings, work: Callable[[Backend, Any], Any]) -> list[str]:
    """``work`` with a started backend; what it had to say."""
    said: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        backend = make_backend(settings, Path("/"), loop, SystemClock(), said.append)
        backend.start()

        async def verify(login: str, password: str | bytes) -> Any:
            told: asyncio.Future[Any] = loop.create_future()
            octets = password.encode() if isinstance(password, str) else password
            verdict = backend.authenticator.verify(login, octets, told.set_result)
            return await told if verdict is None else verdict

        try:
            await work(backend, verify)
        finally:
            await asyncio.to_thread(backend.stop)

    asyncio.run(asyncio.wait_for(run(), 90))
    return said


@pytest.mark.parametrize("starttls", [False, True])
def test_logging_in(directory: Directory, tmp_path: Path, starttls: bool) -> None:
    async def work(backend: Backend, verify: Any) -> None:
        assert await verify("Alice@Example.org", "sécret") == ALICE
        assert await verify("carol", "x*)(") == Identity("carol@example.org")
        for login, password in (
            ("alice", "secret"),
            ("alice", b"\xff"),
            ("alice", ""),
            ("nobody", "secret"),
            ("*", "sécret"),
            ("alice@example.org)(cn=*", "sécret"),
            ("\0", "sécret"),
        ):
            assert isinstance(await verify(login, password), Refused), login
        assert isinstance(await verify("twin", "secret"), Unavailable)
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        assert backend.authenticator.vouched("alice", told.set_result) is None
        assert await told == ALICE
        while True:
            try:
                assert backend.names.has_user("carol", "example.org")
                break
            except AccountsError:
                await asyncio.sleep(0.01)
        assert not backend.names.has_user("nobody", "example.org")

    more = {"starttls": True, "ca_file": str(directory.ca)} if starttls else {}
    settings = settings_for(directory, tmp_path, **more)
    assert use(settings, work) == []


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (lambda _: {"bind": f"cn=alice,{BASE}"}, "our own bind ends with result 49"),
        (lambda _: {"starttls": True}, "LDAPStartTLSError"),
        (
            lambda one: {"starttls": True, "ca_file": str(one.ca), "url": f"ldap://127.0.0.1:{one.port}"},
            "LDAPStartTLSError",
        ),
        (lambda _: {"url": "ldap://127.0.0.1:1"}, "LDAPSocketOpenError"),
        (lambda _: {"filter": "(nonsense"}, "LDAPInvalidFilterError"),
    ],
    ids=["our password", "unknown certificate", "another's certificate", "nobody there", "filter"],
)
def test_trouble_is_temporary_and_shows_no_password(
    directory: Directory, tmp_path: Path, more: Callable[[Directory], dict[str, Any]], complaint: str
) -> None:
    async def work(backend: Backend, verify: Any) -> None:
        verdict = await verify("alice", "sécret")
        assert isinstance(verdict, Unavailable)
        assert complaint in verdict.reason
        assert "cret" not in verdict.reason

    said = use(settings_for(directory, tmp_path, **more(directory)), work)
    assert not any("cret" in line for line in said)


def test_a_server_that_goes_and_comes_back(directory: Directory, tmp_path: Path) -> None:
    async def work(backend: Backend, verify: Any) -> None:
        assert await verify("alice", "sécret") == ALICE
        directory.stop()
        assert isinstance(await verify("alice", "sécret"), Unavailable)
        directory.start()
        assert await verify("alice", "sécret") == ALICE

    use(settings_for(directory, tmp_path), work)
