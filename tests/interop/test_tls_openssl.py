"""TLS with foreign clients: openssl's s_client, and Python's ssl over a socket."""

import os
import socket
import ssl
import subprocess
import threading
from itertools import count
from pathlib import Path
from random import Random

import pytest

from fastsmtp.tls.store import CertificateStore
from tests.conftest import require_program
from tests.fakes.tls_client import client_context
from tests.fakes.tls_server import LineServer, line_server
from tests.tools.tls_pairs import pairs_for, store_for
from tests.tools.waiting import until

OLD_TOO = ("-cipher", "DEFAULT@SECLEVEL=0")
"""Lets openssl offer TLS 1.1."""


class OpenSsl:
    """A running `s_client`, which takes what is said to it as it comes: a line that begins with Q ends it."""

    def __init__(self, port: int, *options: str) -> None:
        command = [require_program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        self.text = ""

    def say(self, line: str, until_heard: str) -> None:
        """Type a line, and wait for this answer."""
        before = len(self.text)
        self._in.write(f"{line}\n".encode())
        self._in.flush()
        until(f"it hears {until_heard!r}", lambda: until_heard in self._read()[before:], 60)

    def end(self) -> str:
        """Have it end; all it has printed."""
        try:
            self._in.write(b"Q\n")
            self._in.close()
        except BrokenPipeError:  # it has ended already
            pass
        self._process.wait(20)
        return self._read()

    def _read(self) -> str:
        self.text += (self._out.read() or b"").decode()
        return self.text


def s_client(port: int, *options: str) -> str:
    """What it prints of a handshake, and of one line when that succeeds."""
    client = OpenSsl(port, *options)
    until("it is connected or has ended", lambda: "---\n" in client._read(), 60)
    if "Cipher is (NONE)" not in client.text:
        client.say("hello", "250 hello")
    return client.end()


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    """Three certificates."""
    return store_for(tmp_path, "mx.example.org", "*.example.net", "mail.example.com")


@pytest.mark.parametrize(
    ("option", "version", "cipher"),
    [
        ("-tls1_2", "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("-tls1_3", "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    ],
)
def test_versions(store: CertificateStore, option: str, version: str, cipher: str) -> None:
    """Of the ciphers that are allowed the client's order counts: openssl likes 256 bits."""
    with line_server(store) as server:
        out = s_client(server.port, option)
        (facts,) = server.met
    assert f"New, {version}, Cipher is {cipher}\n" in out
    assert (facts.version, facts.cipher) == (version, cipher)


def test_old_versions_are_refused(store: CertificateStore) -> None:
    with line_server(store) as server:
        out = s_client(server.port, "-tls1_1", *OLD_TOO)
        until("the server has refused it", lambda: server.reasons, 60)
        assert server.reasons == ["TLS handshake: the client speaks no version that is allowed"]
    assert "alert protocol version" in out


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("mail.example.com", "mail.example.com"),
        ("a.example.net", "any.example.net"),
        ("stranger.test", "mx.example.org"),
        (None, "mx.example.org"),
    ],
)
def test_sni(store: CertificateStore, name: str | None, subject: str) -> None:
    with line_server(store) as server:
        out = s_client(server.port, *(("-servername", name) if name else ("-noservername",)))
    assert f"subject=CN = {subject}\n" in out


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_a_session_goes_on_at_another_worker(store: CertificateStore, tmp_path: Path, option: str) -> None:
    """The workers are processes forked from one that has made the store; each answers on a port of its own."""
    workers = [Worker(store) for _ in range(2)]
    session = str(tmp_path / "session")
    try:
        out = s_client(workers[0].port, option, "-sess_out", session)
        assert "New, TLSv1" in out
        for worker in (workers[1], workers[0]):
            out = s_client(worker.port, option, "-sess_in", session)
            assert "Reused, TLSv1" in out
    finally:
        for worker in workers:
            worker.end()


def test_renegotiation_is_refused(store: CertificateStore) -> None:
    with line_server(store) as server:
        client = OpenSsl(server.port, "-tls1_2")
        client.say("hello", "250 hello")
        client.say("R", "RENEGOTIATING")
        out = client.end()
    assert "no renegotiation" in out
    assert len(server.met) == 1


def test_a_chain_is_verified_by_a_client(tmp_path: Path) -> None:
    store = store_for(tmp_path)
    with line_server(store) as server:
        out = s_client(
            server.port,
            *("-CAfile", str(tmp_path / "pair0.pem"), "-verify_return_error"),
            *("-verify_hostname", "mx.example.org"),
        )
    assert "Verify return code: 0 (ok)" in out


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"EHLO client.example\r\nNOOP\r\n", "TLS handshake: what came is not TLS"),
        (b"GET / HTTP/1.0\r\n\r\n", "TLS handshake: an HTTP request came"),
        (Random(1).randbytes(3000).replace(b"\x16", b"x"), "TLS handshake: "),
    ],
)
def test_garbage_is_answered_with_an_alert_or_the_end(
    store: CertificateStore, sent: bytes, reason: str
) -> None:
    with line_server(store) as server:
        with socket.create_connection(("127.0.0.1", server.port), 20) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            try:
                said = client.recv(1000)
            except ConnectionResetError:  # it did not read everything
                said = b""
        until("the server has said why", lambda: server.reasons, 60)
        assert server.reasons[0].startswith(reason)
        assert said[:1] in (b"", b"\x15")
        assert server.met == []


def test_certificates_are_replaced_under_handshakes(tmp_path: Path) -> None:
    """Clients come and go, others stay, while the certificate is replaced again and again: nobody notices."""
    pairs = pairs_for(tmp_path, ["mx.example.org"] * 4)
    with line_server(store_for(tmp_path / "first")) as server:
        held = [_connect(server) for _ in range(5)]
        faults: list[BaseException] = []
        enough = threading.Event()
        clients = [threading.Thread(target=_come_and_go, args=(server, enough, faults)) for _ in range(3)]
        for client in clients:
            client.start()
        for number in count():
            server.replace(lambda store, pair=pairs[number % 4]: store.replace(0, pair))
            if number >= 60 and len(_seen(server)) > 2:
                break
        enough.set()
        for client in clients:
            client.join(30)
        assert faults == []
        for one in held:
            _exchange(one)
            one.close()


def _seen(server: LineServer) -> set[str]:
    """The certificates that clients have met."""
    return {facts.certificate.fingerprint for facts in [*server.met] if facts.certificate}


def _connect(server: LineServer) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", server.port), 20)
    return client_context().wrap_socket(plain, server_hostname="mx.example.org")


def _exchange(client: ssl.SSLSocket) -> None:
    client.sendall(b"hello\r\n")
    assert client.recv(100) == b"250 hello\r\n"


def _come_and_go(server: LineServer, enough: threading.Event, faults: list[BaseException]) -> None:
    try:
        while not enough.is_set():
            with _connect(server) as client:
                _exchange(client)
    except BaseException as error:
        faults.append(error)


class Worker:
    """A process with a `LineServer`."""

    def __init__(self, store: CertificateStore) -> None:
        said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                with line_server(store) as server:
                    os.write(say, str(server.port).encode())
                    threading.Event().wait(60)
            finally:
                os._exit(0)
        os.close(say)
        self.port = int(os.read(said, 100))
        os.close(said)

    def end(self) -> None:
        """Kill it."""
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
