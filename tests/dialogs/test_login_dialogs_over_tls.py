"""Runs the dialogues of logins/ against the running server, under TLS, but for those of SCRAM, whose salt and nonce
no file can know: there tests/interop/test_auth_clients.py has a client that is not ours."""

import base64
import binascii
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dialogs.test_dialogs import HOSTNAME, LIMITS, USERS, Step, TcpLine, arrived, play
from tests.dialogs.test_login_dialogs import DIALOGUES
from tests.fakes.tls_client import client_context
from tests.system.server import RunningServer
from tests.tools.chains import Issued
from tests.tools.jwt import AUDIENCE, ISSUER, Issuer
from tests.tools.site import environment
from tests.tools.tls_pairs import write_pair
from tests.tools.waiting import until
from tests.tools.wire import Wire

THEM = Issuer()
LOGIN = "alice@local.test"
NAMES = [name for name in DIALOGUES if not name.startswith("scram")]


class TlsLine(TcpLine):
    """A connection that has begun TLS by STARTTLS; the greeting is heard after that."""

    def __init__(self, address: tuple[str, int]) -> None:
        wire = Wire(address)
        wire.hello()
        wire.expect("STARTTLS", "220")
        assert wire.banner is not None
        self._greeting = f"220 {wire.banner.text}\r\n".encode()
        self.socket = client_context().wrap_socket(wire.socket)

    def receive(self) -> bytes:
        greeting, self._greeting = self._greeting, b""
        return greeting or super().receive()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("logins")
    pair = write_pair(folder / "tls", Issued(HOSTNAME))
    keys = folder / "keys.json"
    keys.write_bytes(THEM.jwks)
    settings: dict[str, Any] = {
        "mailboxes": {
            "domains": ["local.test"],
            "unknown_users": "reject",
            "users": list(USERS),
            "postmaster": "alice",
        },
        "limits": {**LIMITS, "loopback_exempt": True},
        "tls": {"certificates": [{"cert": pair.cert, "key": pair.key}]},
        "accounts": {"backend": "embedded", "login_domain": "local.test"},
        "auth.oauth": {"issuer": ISSUER, "audience": AUDIENCE, "keys": str(keys)},
    }
    with RunningServer(folder / "server", workers=1, hostname=HOSTNAME, **settings) as running:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "fastsmtp",
                "user",
                "add",
                LOGIN,
                "--password-stdin",
                "-c",
                str(running.file),
            ],
            env=environment(),
            input="secret\n",
            text=True,
            capture_output=True,
            timeout=60,
            check=True,
        )
        yield running
        assert "Traceback" not in running.log
        assert "internal error" not in running.log


def with_token(step: Step, token: str) -> Step:
    """The step with a token that the server takes, where the file has ``good``."""
    if step.kind != "send":
        return step
    words = step.data.removesuffix(b"\r\n").split(b" ")
    try:
        said = base64.b64decode(words[-1], validate=True)
    except binascii.Error:
        return step
    if b"Bearer good" not in said:
        return step
    words[-1] = base64.b64encode(said.replace(b"Bearer good", f"Bearer {token}".encode()))
    return step._replace(data=b" ".join(words) + b"\r\n")


@pytest.mark.parametrize("name", NAMES)
def test_over_tls(server: RunningServer, name: str) -> None:
    token = THEM.token({"email": LOGIN, "exp": int(time.time()) + 3600})
    steps, mail = DIALOGUES[name]
    before = arrived(server)
    line = TlsLine(server.address)
    with line.socket:
        play([with_token(step, token) for step in steps], line)
    until("the mail arrives", lambda: len(arrived(server)) >= len(before) + len(mail), 60)
    assert sorted(found for path, found in arrived(server).items() if path not in before) == sorted(mail)
