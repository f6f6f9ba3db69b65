"""Runs the real program for a test: starts it, waits until it serves, collects its log, stops or kills it.

    with RunningServer(tmp_path) as server:
        smtplib.SMTP(*server.address) ...

``serve`` in another interpreter, on a port the kernel chose, in a directory of its own. Nothing here sleeps
for luck: every wait polls a condition and fails with the server's log when its deadline passes.
"""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import fastsmtp

START_LIMIT = 60.0
"""Seconds a start may take on a busy machine."""


def wait_until(condition: Callable[[], object], what: str, limit: float = 40.0) -> None:
    """Poll ``condition`` until it is true; fails after ``limit`` seconds saying ``what`` was waited for."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit:g} s in vain: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago, from below those that the kernel gives to clients.

    Drawn from the system's generator: that of ``random`` is seeded alike in all processes of a test run.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def toml(value: Any) -> str:
    """``value`` as TOML: strings, numbers, booleans, lists, inline tables."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def settings_text(settings: Mapping[str, Any]) -> str:
    """A settings file: plain values first, then the tables, then the lists of tables."""
    lines = [f"{k} = {toml(v)}" for k, v in settings.items() if not _is_table(v)]
    for key, value in settings.items():
        if isinstance(value, Mapping):
            lines += [f"[{key}]", *(f"{k} = {toml(v)}" for k, v in value.items())]
        elif _is_table(value):
            for table in value:
                lines += [f"[[{key}]]", *(f"{k} = {toml(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def _environment() -> dict[str, str]:
    """Ours, such that the program is that of this checkout."""
    paths = [str(Path(fastsmtp.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], Mapping)
    )


class RunningServer:
    """One `fastsmtp serve` in its own process group.

    ``directory`` holds everything of it: ``fastsmtp.toml``, ``data/``, ``mail/{domain}/{user}``. Keyword
    arguments replace or add settings; a table is merged key by key (``limits={"connections": 5}``).
    ``text`` is a settings file to be used as it is, instead. ``program`` replaces the command line that is run with
    ``-c FILE`` at its end.
    """

    def __init__(
        self,
        directory: Path,
        *,
        workers: int = 2,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "fastsmtp", "serve"),
        **settings: Any,
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.data = directory / "data"
        self.mail = directory / "mail"
        self.environment = dict(environment or {})
        self.program = list(program)
        self.settings: dict[str, Any] = {
            "hostname": "mx.test.example",
            "data_dir": str(self.data),
            "workers": workers,
            "shutdown_grace": 5,
            "listeners": [{"address": f"127.0.0.1:{self.port}", "protocol": "smtp"}],
            "mailboxes": {
                "domains": ["test.example"],
                "path": f"{self.mail}/{{domain}}/{{user}}",
                "unknown_users": "create",
            },
            "limits": {"connections_per_ip": 0},
            # Many servers run in one test run: none sets 100 MB of disk aside.
            "spool": {"reserve": 16 << 20, "ahead": 16 << 20},
        }
        for key, value in settings.items():
            if isinstance(value, Mapping):
                self.settings[key] = {**self.settings.get(key, {}), **value}
            else:
                self.settings[key] = value
        self.file = directory / "fastsmtp.toml"
        self.text = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._output = bytearray()
        self._reader: threading.Thread | None = None

    # --- life ---------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> "RunningServer":
        """Write the settings file and start; with ``wait`` return once every worker serves."""
        self.file.write_text(self.text or settings_text(self.settings))
        self._output = bytearray()
        self.process = subprocess.Popen(
            [*self.program, "-c", str(self.file)],
            cwd=self.directory,
            env=_environment() | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._collect, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Until the start-up text is out: every worker serves then."""
        deadline = time.monotonic() + START_LIMIT
        while not re.search(r"^ready:", self.log, re.MULTILINE):
            if self.running.poll() is not None:
                self._join()
                raise AssertionError(f"ended with {self.running.returncode} at start:\n{self.log}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"not ready after {START_LIMIT:g} s:\n{self.log}")
            time.sleep(0.02)

    def stop(self, *, limit: float = 60.0) -> int:
        """SIGTERM; returns the exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.wait(limit)

    def kill(self) -> None:
        """kill -9 of the master and its workers together."""
        try:
            os.killpg(self.running.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.running.wait()
        self._join()

    def kill_master(self) -> list[int]:
        """kill -9 of the master alone; returns the workers' pids."""
        pids = self.worker_pids()
        self.running.kill()
        self.running.wait()
        return pids

    def wait(self, limit: float = 60.0) -> int:
        """Wait for the end; returns the exit code."""
        try:
            code = self.running.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {limit:g} s:\n{self.log}") from None
        self._join()
        return code

    def __enter__(self) -> "RunningServer":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is None:
            return
        self.kill()
        if kind is not None:
            print(self.log)

    # --- what a test asks ---------------------------------------------------------------------

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        """The master's process."""
        assert self.process is not None, "not started"
        return self.process

    @property
    def log(self) -> str:
        """Everything the server has printed so far."""
        return bytes(self._output).decode("utf-8", "replace")

    def worker_pids(self) -> list[int]:
        """The pids of the living workers, lowest first; zombies are not living."""
        try:
            children = Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children").read_text()
        except OSError:
            return []
        return sorted(pid for pid in map(int, children.split()) if alive(pid))

    def worker_pid(self, slot: int) -> int | None:
        """The pid of the worker in ``slot`` as last said by the log, None when that one does not live."""
        found = re.findall(rf"worker {slot} \(pid (\d+)\) ready", self.log)
        return int(found[-1]) if found and alive(int(found[-1])) else None

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """A plain TCP connection to the server."""
        return socket.create_connection(self.address, timeout)

    def wait_log(self, pattern: str, limit: float = 40.0) -> None:
        """Until the log matches the regular expression ``pattern``."""
        try:
            wait_until(lambda: re.search(pattern, self.log), f"log line {pattern!r}", limit)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def _collect(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        while piece := process.stdout.read1(65536):  # type: ignore[attr-defined]
            self._output += piece

    def _join(self) -> None:
        if self._reader is not None:
            self._reader.join(10)


def alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
