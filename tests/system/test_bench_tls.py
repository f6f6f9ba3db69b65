"""`fastsmtp bench` under TLS, and logging in, against the real server."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.server import RunningServer, free_port
from tests.system.test_bench_and_sink import PROGRAM, bench, measured, running_sink
from tests.tools.chains import Issued
from tests.tools.tls_pairs import write_pair

LOGIN = "alice@test.example"


class Secured(RunningServer):
    """Listens on three ports, with a certificate and an account."""

    def __init__(self, directory: Path, **more: Any) -> None:
        pair = write_pair(directory / "tls", Issued("mx.test.example"))
        super().__init__(
            directory,
            tls={"certificates": [{"cert": pair.cert, "key": pair.key}]},
            accounts={"backend": "embedded"},
            **more,
        )
        self.submission, self.submissions = free_port(), free_port()
        for port, protocol in ((self.submission, "submission"), (self.submissions, "submissions")):
            self.settings["listeners"].append({"address": f"127.0.0.1:{port}", "protocol": protocol})
        self.password = directory / "password"
        self.password.write_text("secret\n")

    def add_account(self) -> None:
        command = [*PROGRAM, "user", "add", LOGIN, "--password-stdin", "-c", str(self.file)]
        subprocess.run(command, input=b"secret\n", check=True, capture_output=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    (directory / "tls").mkdir()
    running = Secured(directory)
    with running:
        running.add_account()
        yield running


def sent(port: int, *options: str) -> dict[str, Any]:
    options = ("-m", "12", "-s", "2", "--to", "bob@test.example", *options)
    one = measured(f"127.0.0.1:{port}", *options)["rounds"][0]
    assert (one["sent"], one["failed"], one["errors"]) == (12, 0, {})
    assert isinstance(one, dict)
    return one


def kinds(one: dict[str, Any]) -> dict[str, int]:
    """Handshakes by kind."""
    return {how.rpartition(", ")[2]: number for how, number in one["tls"].items()}


@pytest.mark.parametrize(
    ("way", "handshakes"),
    [([], 12), (["--kept"], 2), (["--bdat", "--pipelining"], 12), (["--size", "2m"], 12)],
)
def test_mail_under_starttls(server: Secured, way: list[str], handshakes: int) -> None:
    assert kinds(sent(server.port, "--starttls", *way)) == {"full handshake": handshakes}


def test_sessions_are_resumed_after_the_first_of_each_process(server: Secured) -> None:
    one = sent(server.port, "--starttls", "--resume", "--processes", "2")
    assert kinds(one) == {"full handshake": 2, "resumed": 10}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize("way", ["--tls", "--starttls"])
def test_users_log_in(server: Secured, way: str, mechanism: str) -> None:
    port = server.submissions if way == "--tls" else server.submission
    login = ("--auth", LOGIN, "--password-file", str(server.password), "--mechanism", mechanism)
    one = sent(port, way, *login, "--from", LOGIN)
    assert kinds(one) == {"full handshake": 12}


def test_a_wrong_password_is_told_as_the_stage_of_login(server: Secured, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guess")
    done = bench(
        f"127.0.0.1:{server.submission}",
        "--starttls",
        f"--auth={LOGIN}",
        f"--password-file={wrong}",
        "-m1",
        code=76,
    )
    assert "1 x auth: 535 5.7.8" in done.stdout
    assert "guess" not in done.stdout + done.stderr


def test_a_server_without_tls_is_told(server: Secured) -> None:
    with running_sink() as sink:
        done = bench(sink.address, "--starttls", "-m1", code=76)
        assert "1 x starttls: 50" in done.stdout
        done = bench(sink.address, "--tls", "-m1", code=76)
        assert "1 x tls: wrong version number" in done.stdout


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Options of a sink that offers STARTTLS."""
    pair = write_pair(tmp_path_factory.mktemp("tls"), Issued("sink.test.example"))
    return f"--tls-cert={pair.cert}", f"--tls-key={pair.key}"


@pytest.mark.parametrize(
    ("rude", "way"), [([], []), ([], ["--kept", "--size", "1m"]), (["--delay=body=0.01"], ["--resume"])]
)
def test_a_sink_swallows_under_tls(pair: tuple[str, str], rude: list[str], way: list[str]) -> None:
    with running_sink(*pair, *rude) as sink:
        one = sent(int(sink.address.rpartition(":")[2]), "--starttls", *way)
    assert sum(one["tls"].values()) == one["connections"]
    assert sink.counts["messages"] == 12
    assert sink.counts["connections"] == one["connections"]


def test_a_sink_is_rude_under_tls_too(pair: tuple[str, str]) -> None:
    with running_sink(*pair, "--refuse", "rcpt=450 4.2.0 busy", "--drop", "quit") as sink:
        done = bench(sink.address, "--starttls", "-m3", "-s1", code=76)
    assert "3 x rcpt: 450 4.2.0 busy" in done.stdout
    assert sink.counts["dropped"] == {"quit": 3}


def test_who_says_something_else_than_a_handshake_is_cut_off(pair: tuple[str, str]) -> None:
    with running_sink(*pair) as sink:
        host, port = sink.address.split(":")
        with socket.create_connection((host, int(port)), 20) as client:
            assert client.recv(512).startswith(b"220 ")
            client.sendall(b"EHLO me.example\r\n")
            assert b"STARTTLS" in client.recv(512)
            client.sendall(b"STARTTLS\r\n")
            assert client.recv(512).startswith(b"220 ")
            client.sendall(b"EHLO me.example\r\n")
            client.settimeout(20)
            while client.recv(512):
                pass
