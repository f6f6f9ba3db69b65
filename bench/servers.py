"""The servers that are compared: each is started in a directory of its own, and stopped again.

All of them listen on the loopback only. Nothing is deleted while a run lasts: every round delivers to a user
of its own, because ext4 slows down creating files after many were removed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fastsmtp.loadgen import processes
from fastsmtp.tls.selfsigned import CERT_FILE, KEY_FILE, self_signed

CHECKOUT = Path(__file__).resolve().parent.parent
DOMAIN = "bench.test"
RELAY_DOMAIN = "far.test"
RELAY_PORT = 2627
USERS = 2000
MESSAGE_LIMIT = 64 * 1024 * 1024
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def certificate(directory: Path) -> tuple[Path, Path]:
    """Certificate and key of all servers below ``directory``: ECDSA P-256, self-signed."""
    folder = directory / "tls"
    if not folder.exists():
        self_signed([f"mx.{DOMAIN}"], folder)
    return folder / CERT_FILE, folder / KEY_FILE


class Server(Protocol):
    """One server under test."""

    name: str
    port: int
    durability: str

    def start(self) -> None:
        """Starts it and returns when it greets. Raises ServerError, with one line, when it does not."""

    def stop(self) -> None:
        """Ends it, if it runs."""

    def inbox(self, user: str) -> Path | None:
        """The directory in which ``user``'s delivered mail appears; None when mail is thrown away."""

    def queued(self) -> bool:
        """Whether accepted mail still waits for delivery, as far as files tell."""

    def version(self) -> str:
        """For the report."""


class ServerError(Exception):
    """A server could not be started: one line."""


def program(name: str) -> str:
    """The path of a Debian program, also from the directories of the administrator."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise ServerError(f"{name} is not installed (Debian: apt-get install postfix)")
    return found


class Postfix:
    """Debian's Postfix: smtpd, queue, delivery to a Maildir by virtual(8) and smtp(8), durability as it comes.

    What differs from its defaults makes it faster or lets the test pass, never less durable: no client limits,
    more processes, no pause of the intake when delivery lags (in_flow_delay).
    """

    name = "postfix"
    durability = "Postfix's default fsyncs"

    def __init__(self, directory: Path, port: int, processes_limit: int = 300) -> None:
        self.port = port
        self._base = directory / self.name
        self._config = self._base / "etc"
        self._queue = self._base / "queue"
        self._mail = self._base / "mail"
        self._limit = processes_limit
        self._directory = directory

    def start(self) -> None:
        if os.geteuid() != 0:
            raise ServerError("Postfix runs as root only: start the comparison as root, or leave postfix out")
        free_port(self.port)
        for path in (self._config, self._queue, self._base / "data", self._mail):
            path.mkdir(parents=True, exist_ok=True)
        shutil.chown(self._base / "data", "postfix")
        shutil.chown(self._mail, "nobody")
        (self._config / "main.cf").write_text(self._main_cf())
        (self._config / "master.cf").write_text(self._master_cf())
        for name in ("postfix-files", "dynamicmaps.cf"):
            source = Path("/etc/postfix", name)
            if source.exists():
                shutil.copy(source, self._config / name)
        users = self._config / "users"
        users.write_text("".join(f"{user}@{DOMAIN} {user}/\n" for user in all_users()))
        run([program("postmap"), "-c", str(self._config), f"hash:{users}"])
        self._control("start")
        wait_for_greeting(self.name, self.port)

    def stop(self) -> None:
        if self._config.exists():
            subprocess.run([program("postfix"), "-c", self._config, "stop"], capture_output=True, check=False)

    def inbox(self, user: str) -> Path:
        return self._mail / user / "new"

    def queued(self) -> bool:
        return any(
            any(files)
            for folder in ("incoming", "active", "maildrop", "deferred")
            for _, _, files in os.walk(self._queue / folder)
        )

    def version(self) -> str:
        return "Postfix " + run([program("postconf"), "-h", "mail_version"]).strip()

    def _control(self, verb: str) -> None:
        run([program("postfix"), "-c", str(self._config), verb])

    def _main_cf(self) -> str:
        cert, key = certificate(self._directory)
        settings = {
            "compatibility_level": "3.6",
            "config_directory": self._config,
            "queue_directory": self._queue,
            "data_directory": self._base / "data",
            "maillog_file": self._base / "mail.log",
            "maillog_file_prefixes": self._base,
            "inet_interfaces": "loopback-only",
            "inet_protocols": "ipv4",
            "myhostname": "postfix.bench.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "biff": "no",
            "alias_maps": "",
            "alias_database": "",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_chain_files": f"{key}, {cert}",
            "smtp_tls_security_level": "none",
            "smtp_dns_support_level": "disabled",
            "transport_maps": f"inline:{{{{{RELAY_DOMAIN}=smtp:[127.0.0.1]:{RELAY_PORT}}}}}",
            "virtual_mailbox_domains": DOMAIN,
            "virtual_mailbox_base": self._mail,
            "virtual_mailbox_maps": f"hash:{self._config / 'users'}",
            "virtual_uid_maps": "static:65534",
            "virtual_gid_maps": "static:65534",
            "virtual_mailbox_limit": 0,
            "mailbox_size_limit": 0,
            "message_size_limit": MESSAGE_LIMIT,
            "default_process_limit": self._limit,
            "smtpd_client_connection_count_limit": 0,
            "smtpd_client_connection_rate_limit": 0,
            "smtpd_client_message_rate_limit": 0,
            "smtpd_client_recipient_rate_limit": 0,
            "smtpd_client_new_tls_session_rate_limit": 0,
            "smtpd_client_auth_rate_limit": 0,
            "in_flow_delay": "0",
            "qmgr_message_active_limit": 100_000,
            "qmgr_message_recipient_limit": 100_000,
        }
        return "".join(f"{key} = {value}\n" for key, value in settings.items())

    def _master_cf(self) -> str:
        return "\n".join(
            (
                f"127.0.0.1:{self.port} inet n - n - - smtpd",
                "cleanup   unix  n - n - 0 cleanup",
                "qmgr      unix  n - n 300 1 qmgr",
                "rewrite   unix  - - n - - trivial-rewrite",
                "bounce    unix  - - n - 0 bounce",
                "defer     unix  - - n - 0 bounce",
                "trace     unix  - - n - 0 bounce",
                "proxymap  unix  - - n - - proxymap",
                "proxywrite unix - - n - 1 proxymap",
                "tlsmgr    unix  - - n 1000? 1 tlsmgr",
                "error     unix  - - n - - error",
                "retry     unix  - - n - - error",
                "virtual   unix  - n n - - virtual",
                "smtp      unix  - - n - - smtp",
                "scache    unix  - - n - 1 scache",
                "showq     unix  n - n - - showq",
                "anvil     unix  - - n - 1 anvil",
                "postlog   unix-dgram n - n - 1 postlogd",
                "",
            )
        )


class SmtpSink:
    """Postfix's smtp-sink: answers and throws the mail away, which bounds what any server can reach."""

    name = "smtp-sink"
    durability = "none: mail is thrown away"

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        free_port(self.port)
        command = [program("smtp-sink"), "-m", "20000", f"127.0.0.1:{self.port}", "4096"]
        if os.geteuid() == 0:
            command[1:1] = ["-u", "nobody"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_greeting(self.name, self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def inbox(self, user: str) -> None:
        return None

    def queued(self) -> bool:
        return False

    def version(self) -> str:
        return "smtp-sink of Postfix " + run([program("postconf"), "-h", "mail_version"]).strip()


class FastSmtp:
    """fastsmtp from this checkout, with as many workers as cores."""

    name = "fastsmtp"

    def __init__(
        self,
        directory: Path,
        port: int,
        durability: str = "full",
        extra: str = "",
        workers: int | None = None,
        program: Sequence[str] = ("-m", "fastsmtp"),
    ) -> None:
        self.port = port
        self._program = program
        self.durability = durability
        self._directory = directory
        self.base = directory / self.name
        self._mail = self.base / "mail"
        self._extra = extra
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        free_port(self.port)
        self._mail.mkdir(parents=True, exist_ok=True)
        settings = self.base / "fastsmtp.toml"
        settings.write_text(self._settings())
        with open(self.base / "log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._program, "serve", "-c", str(settings)],
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for_greeting(self.name, self.port, self._process)
        except ServerError as error:
            last = (self.base / "log").read_text(errors="replace").strip().splitlines()[-1:]
            raise ServerError(f"{error}: {''.join(last)}") from None

    def change(self, extra: str) -> None:
        """Other settings in the place of those that were added: the server reads some of them again by itself."""
        self._extra = extra
        fresh = self.base / "fastsmtp.toml.new"
        fresh.write_text(self._settings())
        fresh.rename(self.base / "fastsmtp.toml")

    def command(self, *words: str, stdin: str = "") -> str:
        """Runs a fastsmtp command with the server's settings; its output."""
        command = [sys.executable, "-m", "fastsmtp", *words, "-c", str(self.base / "fastsmtp.toml")]
        return run(command, cwd=CHECKOUT, stdin=stdin)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def inbox(self, user: str) -> Path:
        return self._mail / DOMAIN / user / "new"

    def queued(self) -> bool:
        return False

    def version(self) -> str:
        command = [sys.executable, "-m", "fastsmtp", "version"]
        return " ".join(run(command, cwd=CHECKOUT).splitlines()[0].split())

    def _settings(self) -> str:
        workers = self._workers or len(os.sched_getaffinity(0))
        cert, key = certificate(self._directory)
        return f"""\
hostname = "fastsmtp.{DOMAIN}"
data_dir = "{self.base / "data"}"
workers = {workers}
durability = "{self.durability}"

[[listeners]]
address = "127.0.0.1:{self.port}"
protocol = "smtp"

[tls]
certificates = [{{ cert = "{cert}", key = "{key}" }}]

[mailboxes]
domains = ["{DOMAIN}"]
path = "{self._mail}/{{domain}}/{{user}}"
unknown_users = "create"
users = []
postmaster = "postmaster"

[limits]
message_size = {MESSAGE_LIMIT}
connections = 20000
connections_per_ip = 0

[[routes]]
match = "{RELAY_DOMAIN}"
to = "127.0.0.1:{RELAY_PORT}"

[relay]
networks = ["127.0.0.0/8"]
{self._extra}"""


def all_users() -> list[str]:
    """The mailboxes there are: one for each round of each scenario."""
    return [f"u{number:04}" for number in range(USERS)]


def pids(server: Server) -> set[int]:
    """The processes of a running server."""
    return processes.family(processes.listeners(server.port))


def free_port(port: int) -> None:
    """Raises ServerError when somebody already listens there, since the wrong server would be measured."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(f"port {port} of the loopback is taken: {error.strerror}") from None


def wait_for_greeting(
    name: str, port: int, process: subprocess.Popen[bytes] | None = None, patience: float = 20.0
) -> None:
    """Returns once port answers 220."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise ServerError(f"{name} ended with exit code {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as connection:
                if connection.recv(512).startswith(b"220"):
                    connection.sendall(b"QUIT\r\n")
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise ServerError(f"{name} did not greet on port {port} within {patience:g} s")


def run(command: Sequence[str], cwd: Path | None = None, stdin: str = "") -> str:
    """Its output; raises ServerError with its last line when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, input=stdin)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ServerError(f"{Path(command[0]).name} failed: {''.join(last) or done.returncode}")
    return done.stdout
