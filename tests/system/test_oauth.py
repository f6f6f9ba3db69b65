"""Tokens in the running server, whose keys are fetched from the issuer by HTTPS."""

import http.server
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.dns_server import DnsServer
from tests.tools.chains import Issued
from tests.tools.jwt import AUDIENCE, ISSUER, Issuer
from tests.tools.site import Site, environment, site
from tests.tools.tls_pairs import write_pair
from tests.tools.waiting import until

ROOT = Issued("root of the test", authority=True)
HOST, LOGIN = "login.example.org", "alice@example.org"


class Web(http.server.ThreadingHTTPServer):
    """The issuer's: ``jwks`` is what it gives, or 503 when that is empty; ``asked`` counts."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        folder.mkdir()
        context = Issued(HOST, ROOT, names=(HOST,)).server_context(folder)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.jwks = b""
        self.asked = 0


class Page(http.server.BaseHTTPRequestHandler):
    """One answer."""

    server: Web

    def do_GET(self) -> None:
        """Give the keys."""
        self.server.asked += 1
        self.send_response(200 if self.server.jwks else 503)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.jwks)))
        self.end_headers()
        self.wfile.write(self.server.jwks)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    server = Web(tmp_path / "web")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def log_in(server: Site, token: str) -> int:
    """The reply to a token."""
    context = ssl.create_default_context(cadata=ROOT.pem)
    context.check_hostname = False
    with smtplib.SMTP(*server.address, timeout=30) as client:
        client.starttls(context=context)
        client.ehlo()
        code, _ = client.docmd("AUTH", f"XOAUTH2 {smtplib.encode_base64(message(token), eol='')}")
        return client.docmd("")[0] if code == 334 else code


def message(token: str) -> bytes:
    return f"user={LOGIN}\1auth=Bearer {token}\1\1".encode()


def token(issuer: Issuer) -> str:
    return issuer.token({"email": LOGIN, "exp": int(time.time()) + 600})


def test_keys_by_https(tmp_path: Path, web: Web) -> None:
    pair = write_pair(tmp_path / "tls", Issued("mx.example.org", ROOT, names=("mx.example.org",)))
    authorities = tmp_path / "ca.pem"
    authorities.write_text(ROOT.pem)
    issuer, stranger = Issuer(), Issuer()
    with DnsServer() as dns:
        dns.add(HOST, "A", "127.0.0.1")
        url = f"https://{HOST}:{web.server_port}/jwks.json"
        with site(
            tmp_path / "server",
            workers=1,
            environment={"SSL_CERT_FILE": str(authorities)},
            tls={"certificates": [{"cert": pair.cert, "key": pair.key}]},
            accounts={"backend": "embedded"},
            dns={"servers": [dns.address]},
            limits={"loopback_exempt": True},
            **{"auth.oauth": {"issuer": ISSUER, "audience": AUDIENCE, "keys": url}},
        ) as server:
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
                    str(server.file),
                ],
                env=environment(),
                input="secret\n",
                text=True,
                capture_output=True,
                timeout=60,
                check=True,
            )
            server.wait_log(r"auth\.oauth\.keys: https://.*: .*status 503")
            assert log_in(server, token(issuer)) == 454, "no keys yet, and the last fetch was a moment ago"
            assert web.asked == 1
            web.jwks = issuer.jwks
            server.stop_in_order()
            server.start()
            until("the keys are fetched", lambda: web.asked == 2, 60)
            until("a login", lambda: log_in(server, token(issuer)) == 235, 60)
            assert log_in(server, token(stranger)) == 535
            assert web.asked == 2, "a token with a known key's name but another's signature fetches nothing"
