"""What a next hop did wrong is read by a person: in ``queue show`` for a message, in ``queue sites`` for its site."""

import json
import os
import smtplib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastsmtp.cli.main import run
from tests.fakes.scripted_peer import Act, Bytewise, Script, ScriptedPeer
from tests.system.server import RunningServer, wait_until
from tests.tools.certificates import Authority


class Case(NamedTuple):
    """What the host of a domain does; what is read of it."""

    script: Script
    reason: str
    site: bool = True  # it came before MAIL: the site is at fault
    extensions: tuple[str, ...] = ("PIPELINING",)
    more: dict[str, Any] = {}


LOGIN = ("AUTH SCRAM-SHA-256",)
CASES = {
    "silent": Case({"greeting": Act.HANG}, "the server said nothing for 5 s while waiting for the greeting"),
    "closing": Case(
        {"ehlo": Act.CLOSE}, "the server closed the connection while waiting for the answer to EHLO"
    ),
    "babbling": Case(
        {"greeting": b"\x16\x03\x01\r\n"}, "what is not an SMTP reply came instead of the greeting"
    ),
    "endless": Case(
        {"mail": Act.FLOOD}, "a reply without end came instead of the answer to MAIL", site=False
    ),
    "mute": Case(
        {"data": Act.HANG}, "the server said nothing for 5 s while waiting for the answer to DATA", site=False
    ),
    "unlisted": Case({"rcpt": "477 5.9.9 who knows"}, "5.9.9 who knows", site=False),
    "bytewise": Case({"mail": Bytewise(b"451-4.3.0 a\r\n451 4.3.0 later\r\n")}, "4.3.0 a later", site=False),
    "leaving": Case({"rcpt": "421 4.3.2 going down"}, "4.3.2 going down", site=False),
    "wrongkey": Case({"auth": "535 5.7.8 wrong password"}, "5.7.8 wrong password", extensions=LOGIN),
    "stranger": Case({}, "TLS failed: certificate: ", more={"tls": "verify"}),
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_reasons(tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    def queue(*arguments: str) -> str:
        assert run(["queue", *arguments, "-c", str(server.file)]) == os.EX_OK
        return capsys.readouterr().out

    def waiting() -> dict[str, dict[str, Any]]:
        rows = map(json.loads, queue("ls", "--all", "--json").splitlines())
        found = {row["recipients"][0]["address"]: row for row in rows}
        return {address.partition("@")[2].removesuffix(".test"): row for address, row in found.items()}

    with ExitStack() as stack:
        routes = []
        ports = {}
        for name, case in CASES.items():
            tls = authority.server("other.test") if "tls" in case.more else None
            peer = stack.enter_context(ScriptedPeer(case.script, extensions=case.extensions, tls=tls))
            ports[name] = peer.port
            login = {"credentials": "host", "tls": "none"} if case.extensions == LOGIN else {}
            routes.append({"match": f"{name}.test", "to": f"127.0.0.1:{peer.port}", **login, **case.more})
        server = stack.enter_context(
            RunningServer(
                tmp_path / "server",
                workers=1,
                relay={"networks": ["127.0.0.0/8"]},
                routes=routes,
                queue={"retry": ["1h"]},
                outbound={"greeting_timeout": "5s", "data_timeout": "5s"},
                **{"credentials.host": {"user": "me", "password": "not this"}},
            )
        )
        with smtplib.SMTP(*server.address, timeout=20) as client:
            for name in CASES:
                client.sendmail("alice@test.example", [f"b@{name}.test"], "Subject: x\r\n\r\nx\r\n")
        for name, case in CASES.items():
            found: dict[str, Any] = {}

            def tried(name: str = name, found: dict[str, Any] = found) -> bool:
                found |= waiting().get(name, {})  # one on its way into the index may be missing for a moment
                return bool(found and found["recipients"][0]["reply"])

            wait_until(tried, name)
            shown = queue("show", found["id"])
            assert case.reason in " ".join(shown.split()), (name, shown)
        sites = {site["name"]: site for site in map(json.loads, queue("sites", "--json").splitlines())}
        assert not [line for line in server.log.splitlines() if " bounced " in line], "all of it waits"
    for name, case in CASES.items():
        if case.site:
            assert case.reason in sites[f"[127.0.0.1]:{ports[name]}"]["reason"], name
