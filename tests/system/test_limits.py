"""Rules hold over all workers of the real program, which says who came up against them and lets him begin anew."""

import base64
import contextlib
import json
import subprocess
import sys
from pathlib import Path

from tests.tools.site import Site, environment, site

RULES = [
    {"count": "messages", "per": "ip", "rate": "6/1d"},
    {"count": "unknown_recipients", "per": "ip", "rate": "4/1d"},
]


def limits(server: Site, *arguments: str) -> list[dict[str, object]]:
    """What ``fastsmtp limits`` prints with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "fastsmtp", "limits", *arguments, "--json", "-c", str(server.file)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_two_workers_share_what_they_count(tmp_path: Path) -> None:
    with (
        site(
            tmp_path, workers=2, accept="shared", limits={"rules": RULES, "connections_per_ip": 0}
        ) as server,
        contextlib.ExitStack() as held,
    ):
        # The kernel spreads them over both workers.
        wires = [held.enter_context(server.wire(source="127.0.0.2")) for _ in range(16)]
        codes = []
        for wire in wires:
            wire.hello()
            codes.append(wire.command("MAIL FROM:<a@client.example>").code)
        assert codes == 6 * [250] + 10 * [450]
        with server.wire(source="127.0.0.3") as other:
            other.hello()
            other.expect("MAIL FROM:<a@client.example>", "250")
            for _ in range(4):
                other.expect("RCPT TO:<nobody@example.org>", "550 5.1.1")
            answer = other.command("RCPT TO:<nobody@example.org>")
            assert answer.brief == "421 4.7.0"
            assert other.at_end()
        rows = limits(server, "ls")
        assert [(row["key"], row["count"], row["refused"], row["left"]) for row in rows] == [
            ("127.0.0.3", "unknown_recipients", 1, 0),
            ("127.0.0.2", "messages", 10, 0),
        ]
        assert len(limits(server, "explain", "127.0.0.2")) == 3
        (stood,) = limits(server, "reset", "127.0.0.2")
        assert (stood["key"], stood["count"]) == ("127.0.0.2", "messages")
        wires[-1].expect("MAIL FROM:<a@client.example>", "250")
        server.stop_in_order()


def test_guessing_passwords_ends_for_an_address_and_mail_still_comes_in(tmp_path: Path) -> None:
    rules = [{"count": "auth_failures", "per": "ip", "rate": "2/1d"}]
    guess = b"AUTH PLAIN " + base64.b64encode(b"\0alice@example.org\0guess")
    with site(
        tmp_path,
        workers=2,
        accounts={"backend": "embedded"},
        limits={"rules": rules, "connections_per_ip": 0},
        **{"accounts.hash": {"memory": 8192, "passes": 1}, "auth": {"clear_on_loopback": True}},
    ) as server:
        with server.wire(source="127.0.0.2") as wire:
            wire.hello()
            for _ in range(2):
                wire.expect(guess, "535 5.7.8")
            answer = wire.command(guess)
            assert answer.brief == "421 4.7.0"
            assert answer.lines[0].startswith("4.7.0 too many failed logins from your address, come back in ")
            assert wire.at_end()
        for _ in range(12):
            with server.wire(source="127.0.0.2") as wire:
                wire.hello()
                wire.expect("MAIL FROM:<a@client.example>", "250")
                wire.expect("RCPT TO:<alice@example.org>", "250")
                wire.expect("RSET", "250")
                wire.expect(guess, "421 4.7.0")
        with server.wire(source="127.0.0.3") as other:
            other.hello()
            other.expect(guess, "535 5.7.8")
        assert len(limits(server, "reset", "127.0.0.2")) == 1
        with server.wire(source="127.0.0.2") as wire:
            wire.hello()
            wire.expect(guess, "535 5.7.8")
        assert "rejected stage=AUTH client=127.0.0.2 " in server.log
        server.stop_in_order()
