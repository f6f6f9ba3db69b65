"""``fastsmtp session``: who talks to the real server, and what was said."""

import base64
import json
import subprocess
import sys
import threading
from pathlib import Path

from tests.tools.site import environment, site

COMMAND = [sys.executable, "-m", "fastsmtp", "session"]
SECRET = base64.b64encode(b"\0alice@example.org\0not-her-password")


def session(file: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments, "-c", str(file)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_sessions_are_listed_shown_and_watched(tmp_path: Path) -> None:
    with (
        site(
            tmp_path,
            workers=1,
            accounts={"backend": "embedded"},
            auth={"clear_on_loopback": True},
            limits={"connections_per_ip": 0, "loopback_exempt": True},
        ) as server,
        server.wire() as good,
    ):
        good.hello()
        with server.wire(source="127.0.0.2") as bad:
            bad.hello()
            for _ in range(2):
                bad.expect(b"AUTH PLAIN " + SECRET, "535 5.7.8")
            bad.expect("MAIL FROM:<a@client.example>", "250")
            bad.expect("RCPT TO:<nobody@example.org>", "550 5.1.1")
            rows = [json.loads(line) for line in session(server.file, "ls", "--json").stdout.splitlines()]
            assert sorted((row["client"], row["state"], row["refusals"]) for row in rows) == [
                ("127.0.0.1", "open", 0),
                ("127.0.0.2", "open", 3),
            ]
            name = next(row["name"] for row in rows if row["client"] == "127.0.0.2")
        shown = session(server.file, "show", name)
        assert shown.returncode == 0
        for words in (
            "C: AUTH PLAIN [cut]",
            "S: 535 5.7.8",
            "C: RCPT TO:<nobody@example.org>",
            "S: 550 5.1.1",
        ):
            assert words in shown.stdout
        assert SECRET.decode() not in shown.stdout + session(server.file, "show", name, "--json").stdout
        assert session(server.file, "show", "0.999").returncode == 66
        with subprocess.Popen(
            [*COMMAND, "watch", "--client", "127.0.0.1", "--seconds", "60", "-c", str(server.file)],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as watching:
            assert watching.stdout is not None
            try:
                # It is heard as soon as the watcher has asked once.
                over = threading.Event()

                def talk() -> None:
                    while not over.wait(0.1):
                        good.expect("NOOP", "250")

                talking = threading.Thread(target=talk)
                talking.start()
                heard = [watching.stdout.readline(), watching.stdout.readline()]
                over.set()
                talking.join()
            finally:
                watching.kill()
        assert [line.split(" ", 3)[3] for line in heard] == ["C: NOOP\n", "S: 250 2.0.0 OK\n"]
    assert session(server.file, "ls").returncode == 69
