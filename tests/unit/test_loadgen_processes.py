"""Finding the processes of a local server and what they use."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from fastsmtp.loadgen import processes


def test_a_listener_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert os.getpid() in processes.listeners(server.getsockname()[1])


def test_nobody_listens_on_a_port_that_is_only_bound() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert processes.listeners(bound.getsockname()[1]) == set()


def test_a_family_holds_descendants_and_their_use_is_counted() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        try:
            while len(family := processes.family([child.pid])) < 2:
                assert child.poll() is None
            assert child.pid in family
            assert os.getpid() not in family
            used = processes.usage(family, shared=True)
            assert used.processes == 2
            assert used.rss > used.pss > 0
        finally:
            child.communicate(b"\n")
    assert processes.family([child.pid]) == set()
    assert processes.usage([child.pid]) == processes.Usage(0, 0.0, 0, 0)


def test_a_server_is_known_by_its_command_line(tmp_path: Path) -> None:
    program = tmp_path / "fastsmtp"
    program.write_text("print(flush=True)\ninput()")
    for word, expected in (("serve", True), ("sink", False)):
        command = [sys.executable, str(program), word]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            try:
                assert child.stdout is not None
                child.stdout.readline()  # it runs: its command line is its own
                assert processes.is_server(child.pid) is expected
            finally:
                child.communicate(b"\n")
    assert not processes.is_server(child.pid)
