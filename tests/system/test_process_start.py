"""Starting and stopping: what is printed, who is refused, which signals do what."""

import os
import pwd
import signal
import smtplib
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.system.server import RunningServer, alive, wait_until
from tests.tools.root import root_only


def greeting(server: RunningServer) -> bytes:
    """The first line a new connection gets."""
    with server.connect() as client, client.makefile("rb") as lines:
        return lines.readline()


def refusal(server: RunningServer) -> tuple[int, str]:
    """Exit code and output of a start that must fail."""
    server.start(wait=False)
    return server.wait(), server.log


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_it_says_where_it_listens_and_ends_with_0(tmp_path: Path, accept: str) -> None:
    with RunningServer(tmp_path, accept=accept) as server:
        assert f"listening on 127.0.0.1:{server.port} (smtp)" in server.log
        assert f"goes to {server.mail}/{{domain}}/{{user}}" in server.log
        assert "durability full: 250 is sent after the message is on stable storage" in server.log
        assert f"accept = {accept}" in server.log
        assert "swaks --server" in server.log
        workers = server.worker_pids()
        assert len(workers) == 2
        assert greeting(server).startswith(b"220 ")
        assert server.stop() == 0
        assert not any(map(alive, workers))
        assert server.log.endswith("/master] event stopped: exit code 0\n")


def test_weak_durability_is_loud(tmp_path: Path) -> None:
    with RunningServer(tmp_path, durability="none", workers=1) as server:
        assert "DURABILITY NONE" in server.log


def test_a_second_server_on_the_same_directory_is_refused_by_name(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "one") as server:
        second = RunningServer(tmp_path / "two", data_dir=str(server.data))
        code, said = refusal(second)
        assert code == os.EX_TEMPFAIL
        assert f"another fastsmtp (pid {server.running.pid}) runs on {server.data}" in said
        assert len(said.splitlines()) == 1
        assert greeting(server).startswith(b"220 ")


def test_a_second_server_on_the_same_port_is_refused_by_address(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "one") as server:
        second = RunningServer(tmp_path / "two", listeners=[{"address": f"127.0.0.1:{server.port}"}])
        code, said = refusal(second)
        assert code == os.EX_TEMPFAIL
        assert f"cannot listen on 127.0.0.1:{server.port}" in said
        assert len(said.splitlines()) == 1


def test_a_port_that_another_program_has(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = "{}:{}".format(*other.getsockname())
        code, said = refusal(RunningServer(tmp_path, listeners=[{"address": address}]))
    assert code == os.EX_TEMPFAIL
    assert f"cannot listen on {address}: another program does" in said
    assert not (tmp_path / "mail").exists()


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = refusal(RunningServer(tmp_path, data_dir=str(tmp_path / "file" / "data")))
    assert code in (os.EX_CONFIG, os.EX_CANTCREAT)
    assert "data_dir: " in said
    assert len(said.splitlines()) == 1


def test_signals_that_ask_for_nothing_do_no_harm(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        workers = server.worker_pids()
        server.running.send_signal(signal.SIGUSR1)
        for pid in workers:
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
                os.kill(pid, number)
        assert greeting(server).startswith(b"220 ")
        assert server.worker_pids() == workers
        server.running.send_signal(signal.SIGINT)
        assert server.wait() == 0


def test_a_stop_from_the_terminal_reaches_the_workers_too(tmp_path: Path) -> None:
    """Ctrl-C goes to the whole process group; the workers leave it to the master."""
    with RunningServer(tmp_path) as server:
        os.killpg(server.running.pid, signal.SIGINT)
        assert server.wait() == 0


def test_a_second_request_to_stop_does_not_wait(tmp_path: Path) -> None:
    with RunningServer(tmp_path, shutdown_grace=600) as server:
        workers = server.worker_pids()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        server.running.send_signal(signal.SIGTERM)
        server.wait_log("SIGTERM: stopping")
        server.running.send_signal(signal.SIGTERM)
        assert server.wait() == os.EX_SOFTWARE
        assert "stopped: exit code 70, 2 workers had to be killed" in server.log
        assert not any(map(alive, workers))


def test_a_stop_ends_although_a_worker_hangs(tmp_path: Path) -> None:
    with RunningServer(tmp_path, shutdown_grace=0.5) as server:
        os.kill(server.worker_pids()[0], signal.SIGSTOP)
        assert server.stop() == os.EX_SOFTWARE


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_during_a_stop_new_clients_are_refused_and_old_ones_may_finish(tmp_path: Path, accept: str) -> None:
    with RunningServer(tmp_path, shutdown_grace=30, accept=accept) as server:
        client = smtplib.SMTP(*server.address, timeout=20)
        client.ehlo("client.example")
        client.mail("me@client.example")
        client.rcpt("alice@test.example")
        server.running.send_signal(signal.SIGTERM)
        wait_until(lambda: not _accepts(server), "new connections are refused")
        assert client.data(b"Subject: late\r\n\r\nbut not too late\r\n")[0] == 250
        assert server.wait() == 0
        assert len(list((server.mail / "test.example" / "alice").glob("new/*"))) == 1


@root_only
def test_workers_become_the_user_and_own_what_they_need() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        directory.chmod(0o755)
        with RunningServer(directory, user="nobody") as server:
            assert os.stat(f"/proc/{server.running.pid}").st_uid == 0
            for pid in server.worker_pids():
                status = Path(f"/proc/{pid}/status").read_text()
                assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
                assert f"Gid:\t{nobody.pw_gid}\t{nobody.pw_gid}\t{nobody.pw_gid}" in status
            assert server.data.stat().st_uid == nobody.pw_uid
            assert server.mail.stat().st_uid == nobody.pw_uid
            assert "runs as root" not in server.log
            pids = server.kill_master()
            wait_until(lambda: not any(map(alive, pids)), "workers that changed user end with their master")


@root_only
def test_root_without_a_user_is_warned(tmp_path: Path) -> None:
    with RunningServer(tmp_path, workers=1) as server:
        assert "WARNING" in server.log
        assert "runs as root" in server.log
        assert "start it as an ordinary user, or set `user` in a settings file" in server.log


def test_what_holds_mail_is_for_the_server_alone(tmp_path: Path) -> None:
    with RunningServer(tmp_path, workers=1) as server:
        for path in (server.data, server.data / "spool", server.data / "spool" / "0", server.mail):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


def test_an_unknown_user_is_refused(tmp_path: Path) -> None:
    code, said = refusal(RunningServer(tmp_path, user="nobody-of-this-name"))
    assert code in (os.EX_NOUSER, os.EX_CONFIG)
    assert "nobody-of-this-name" in said


def test_a_file_limit_is_raised_and_connections_fit_below_it(tmp_path: Path) -> None:
    """With few files allowed the connection limit goes down with them, and 421 is said instead of a spin."""
    program = ("sh", "-c", f'ulimit -n 300 && exec {sys.executable} -m fastsmtp serve "$@"', "sh")
    with RunningServer(tmp_path, workers=1, program=program) as server:
        assert "limits.connections" in server.log
        held = [server.connect() for _ in range(280)]
        try:
            last = [client.recv(4) for client in held[-5:]]
            assert set(last) == {b"421 "}
        finally:
            for client in held:
                client.close()
        wait_until(lambda: greeting(server).startswith(b"220 "), "room again")


def test_it_serves_although_its_output_is_closed(tmp_path: Path) -> None:
    """A start whose output nobody reads serves all the same."""
    server = RunningServer(tmp_path)
    server.program = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *server.program]
    try:
        server.start(wait=False)
        wait_until(lambda: _accepts(server), "it accepts connections")
        assert server.stop() == 0
    finally:
        server.kill()


def _accepts(server: RunningServer) -> bool:
    try:
        with server.connect() as client:
            return client.recv(3) == b"220"
    except OSError:
        return False


def test_importing_the_program_starts_nothing() -> None:
    subprocess.run([sys.executable, "-c", "import fastsmtp.process.app"], check=True, timeout=30)
