"""Certificates and accounts change while clients log in and send: no session fails, and new ones see what is new."""

import smtplib
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.system.server import free_port
from tests.tools import arrived
from tests.tools.chains import Issued
from tests.tools.site import Site, environment, site
from tests.tools.tls_pairs import write_pair
from tests.tools.waiting import until

CLIENTS = 4
CHANGES = 2
PASSWORD = "secret"
MESSAGE = b"From: alice@example.org\r\nSubject: x\r\n\r\nHello.\r\n"


def do(server: Site, *words: str) -> None:
    """``fastsmtp WORDS``, which must succeed."""
    subprocess.run(
        [sys.executable, "-m", "fastsmtp", *words, "-c", str(server.file)],
        env=environment(),
        input=PASSWORD + "\n",
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
    )


class Crowd:
    """Clients that log in and send, one session after the other, and one that keeps its session. ``names`` are the
    certificates they have seen, ``sent`` how many messages were taken."""

    def __init__(self, port: int) -> None:
        self.names: set[str] = set()
        self.sent = 0
        self.kept = 0
        self.over = threading.Event()
        self._port = port
        self._lock = threading.Lock()
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    def session(self, login: str = "alice@example.org") -> smtplib.SMTP_SSL:
        """One that has logged in."""
        client = smtplib.SMTP_SSL("127.0.0.1", self._port, timeout=20, context=self._context)
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = x509.load_der_x509_certificate(client.sock.getpeercert(binary_form=True) or b"")
        (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        client.login(login, PASSWORD)
        with self._lock:
            self.names.add(str(name.value))
        return client

    def send(self, client: smtplib.SMTP_SSL) -> None:
        """One message, which must be taken."""
        client.sendmail("alice@example.org", ["bob@example.org"], MESSAGE)
        with self._lock:
            self.sent += 1

    def come_and_go(self) -> None:
        """Until it is over."""
        while not self.over.is_set():
            with self.session() as client:
                self.send(client)

    def stay(self) -> None:
        """The same in one session."""
        with self.session() as client:
            while not self.over.is_set():
                self.send(client)
                self.kept += 1


def test_nothing_fails_while_it_changes(tmp_path: Path) -> None:
    pair = write_pair(tmp_path / "tls", Issued("cert0.example.org"))
    port = free_port()
    settings: dict[str, Any] = {
        "listeners": [{"address": f"127.0.0.1:{port}", "protocol": "submissions"}],
        "tls": {"certificates": [{"cert": pair.cert, "key": pair.key}]},
        "accounts": {"backend": "embedded", "scram_iterations": 4096},
        "accounts.hash": {"memory": 8192, "passes": 1},
    }
    with site(tmp_path / "server", workers=2, **settings) as server:
        do(server, "user", "add", "alice@example.org", "--password-stdin")
        crowd = Crowd(port)
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            running = [pool.submit(crowd.come_and_go) for _ in range(CLIENTS)] + [pool.submit(crowd.stay)]
            try:
                for number in range(1, CHANGES + 1):
                    _change(server, tmp_path, number, crowd)
                    assert not any(one.done() for one in running)
            finally:
                crowd.over.set()
            for one in running:
                one.result()
        assert crowd.kept > CHANGES
        assert crowd.names == {f"cert{number}.example.org" for number in range(CHANGES + 1)}
        until("all mail", lambda: len(list(server.maildir("bob").glob("new/*"))) == crowd.sent, 60)
        assert all(b"with ESMTPSA" in mail.received for mail in arrived.messages(server.maildir("bob")))
        assert "login-failed" not in server.log


def _change(server: Site, folder: Path, number: int, crowd: Crowd) -> None:
    """A new certificate that clients see, and a new account that logs in at once."""
    name = f"cert{number}.example.org"
    write_pair(folder / "tls", Issued(name))
    login = f"user{number}@example.org"
    do(server, "user", "add", login, "--password-stdin")
    crowd.session(login).quit()
    do(server, "user", "passwd", "alice@example.org", "--password-stdin")
    if number > 1:
        do(server, "user", "rm", f"user{number - 1}@example.org")
    until(f"clients see {name}", lambda: name in crowd.names, 60)
