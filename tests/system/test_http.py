"""HTTP and webhooks of the real program: a process beside the workers, that dies and reloads without harm to mail."""

import http.client
import http.server
import json
import os
import re
import signal
import smtplib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.system.server import RunningServer, free_port, wait_until

ADMIN, SHOP, SECRET = "admin-token-0123456789", "shop-token-0123456789", "hook-secret-0123456789"


def settings(port: int, **more: Any) -> dict[str, Any]:
    """Of a server that speaks HTTP at ``port``."""
    tokens = [
        {"name": "ops", "token": ADMIN, "may": ["admin"]},
        {"name": "shop", "token": SHOP, "senders": ["@shop.test"]},
    ]
    return {"http": {"address": f"127.0.0.1:{port}", "tokens": tokens}, **more}


def ask(port: int, method: str, path: str, body: Any = None, token: str = ADMIN) -> tuple[int, Any]:
    """One request: its status, and the JSON or text of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        data = None if body is None else json.dumps(body)
        fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, data, fields)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in answer.getheader("Content-Type", "") else text
    finally:
        connection.close()


def served(port: int) -> bool:
    """Whether mail would be taken."""
    try:
        return ask(port, "GET", "/readyz")[0] == 200
    except OSError:
        return False


def web_pid(server: RunningServer) -> int:
    """The process that listens for HTTP."""
    wait_until(lambda: (server.data / "control/web").exists(), "the HTTP process's control socket")
    children = Path(f"/proc/{server.running.pid}/task/{server.running.pid}/children").read_text().split()
    for pid in map(int, children):
        links = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                links.append(os.readlink(link))
        if not any("/spool/" in link for link in links):
            return pid
    raise AssertionError("no HTTP process")


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what is posted; refuses while ``refusing``."""

    events: list[dict[str, Any]]
    refusing = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not type(self).refusing:
            type(self).events += json.loads(body)["events"]
        self.send_response(503 if type(self).refusing else 204)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Nothing is said of requests."""


@contextmanager
def hooked() -> Iterator[tuple[str, type[Hook]]]:
    """A URL, and what came there."""
    kind = type("Kind", (Hook,), {"events": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", kind
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def status_of(server: RunningServer) -> str:
    """What `fastsmtp status` prints."""
    command = [sys.executable, "-m", "fastsmtp", "status", "-c", str(server.directory / "fastsmtp.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def mail(number: int) -> dict[str, Any]:
    return {"from": "a@shop.test", "to": ["bob@test.example"], "subject": f"number {number}", "text": "hello"}


def test_mail_by_http_is_delivered_and_told(tmp_path: Path) -> None:
    port = free_port()
    with hooked() as (url, hook):
        hooks = [{"name": "shop", "url": url, "secret": SECRET, "events": ["received", "delivered"]}]
        with RunningServer(tmp_path, **settings(port, webhooks=hooks)) as server:
            wait_until(lambda: served(port), "HTTP")
            status, answer = ask(port, "POST", "/v1/messages", mail(1), SHOP)
            assert (status, answer["recipients"][0]["accepted"]) == (202, True)
            new = server.mail / "test.example/bob/new"
            wait_until(lambda: new.exists() and list(new.iterdir()), "the mail")
            (file,) = new.iterdir()
            assert b"Subject: number 1\r\n" in file.read_bytes()
            wait_until(lambda: len(hook.events) == 2, "the events")
            assert [(one["kind"], one["id"]) for one in hook.events] == [
                ("received", answer["id"]),
                ("delivered", answer["id"]),
            ]
            story = ask(port, "GET", f"/v1/trace?id={answer['id']}")[1]["messages"][0]
            assert [one["kind"] for one in story["events"]][:1] == ["received"]
            counted = 'fastsmtp_webhook_deliveries_total{result="delivered"} 2'
            wait_until(lambda: counted in ask(port, "GET", "/metrics")[1], "its answer is counted")
            assert "Traceback" not in server.log


def test_the_http_process_may_die(tmp_path: Path) -> None:
    port = free_port()
    with hooked() as (url, hook):
        hook.refusing = True
        hooks = [{"name": "shop", "url": url, "secret": SECRET, "events": ["delivered"]}]
        with RunningServer(tmp_path, **settings(port, webhooks=hooks)) as server:
            wait_until(lambda: served(port), "HTTP")
            wait_until(lambda: (server.data / "web/webhooks/shop").exists(), "the webhook")
            pid = web_pid(server)
            os.kill(pid, signal.SIGKILL)
            with smtplib.SMTP(*server.address) as client:
                client.sendmail("a@client.example", ["bob@test.example"], "Subject: x\n\nx\n")
            wait_until(lambda: served(port), "HTTP again")
            assert web_pid(server) != pid
            wait_until(
                lambda: ask(port, "GET", "/v1/webhooks")[1]["webhooks"][0]["failing_since"],
                "a failing webhook",
            )
            said = status_of(server)
            assert re.search(
                r"webhook shop: FAILING for \d+s, 1 events wait: it answered with status 503\n", said
            )
            hook.refusing = False
            wait_until(lambda: len(hook.events) == 1, "the event")


def test_requests_during_reloads(tmp_path: Path) -> None:
    port = free_port()
    with RunningServer(tmp_path, **settings(port)) as server:
        wait_until(lambda: served(port), "HTTP")
        stop, answers = threading.Event(), []

        def send() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                answers.append(ask(port, "POST", "/v1/messages", mail(number), SHOP))

        thread = threading.Thread(target=send)
        thread.start()
        try:
            for generation in (2, 3):
                before = len(answers)
                server.running.send_signal(signal.SIGHUP)
                server.wait_log(rf"generation {generation}")
                wait_until(lambda before=before: len(answers) > before + 20, "more answers")
        finally:
            stop.set()
            thread.join()
        assert {status for status, _ in answers} == {202}
        new = server.mail / "test.example/bob/new"
        wait_until(lambda: len(list(new.iterdir())) == len(answers), "all mail", 60)


def test_what_was_said_in_sessions(tmp_path: Path) -> None:
    port = free_port()
    with RunningServer(tmp_path, **settings(port)) as server:
        wait_until(lambda: served(port), "HTTP")
        with smtplib.SMTP(*server.address) as client:
            client.docmd("VRFY-nobody")
            client.ehlo("client.example")
            client.docmd("MAIL", "FROM:<a b>")

            def kept() -> list[dict[str, Any]]:
                rows = ask(port, "GET", "/v1/sessions")[1]["sessions"]
                return [row for row in rows if row["name"]]

            wait_until(kept, "the session")
        (row,) = kept()
        told = ask(port, "GET", f"/v1/sessions/{row['name']}")[1]
        assert any("a b" in line["text"] for line in told["lines"] if line["who"] == "C")
        assert ask(port, "GET", "/v1/sessions/nobody")[0] == 404


def test_reload_and_status_by_http(tmp_path: Path) -> None:
    port = free_port()
    with RunningServer(tmp_path, **settings(port)) as server:
        wait_until(lambda: served(port), "HTTP")
        status, found = ask(port, "GET", "/v1/status")
        assert (status, found["state"], found["generation"]) == (200, "serving", 1)
        file = tmp_path / "fastsmtp.toml"
        text = file.read_text()
        file.write_text(text.replace('hostname = "mx.test.example"', 'hostname = "mx2.test.example"'))
        status, outcome = ask(port, "POST", "/v1/reload")
        assert (status, outcome["generation"]) == (200, 2)
        assert any("mx2.test.example" in line for line in outcome["lines"])
        file.write_text(text + "bad = 1\n")
        status, refused = ask(port, "POST", "/v1/reload")
        assert (status, "bad" in refused["detail"]) == (409, True)
        assert ask(port, "GET", "/v1/status")[1]["generation"] == 2
        assert ask(port, "POST", "/v1/reload", token=SHOP)[0] == 403
        with smtplib.SMTP(*server.address) as client:
            assert b"mx2.test.example" in client.ehlo()[1]


def test_what_is_missing_is_said_at_the_start(tmp_path: Path) -> None:
    token = tmp_path / "none"
    tokens = [{"name": "a", "token_file": str(token), "may": ["admin"]}]
    server = RunningServer(tmp_path, http={"address": f"127.0.0.1:{free_port()}", "tokens": tokens})
    with pytest.raises(AssertionError, match="token_file: cannot read"):
        server.start()
