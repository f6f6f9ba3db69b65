"""The Debian package in a Debian of its own: installed, set up, serving, upgraded while it serves, purged.

The chroot is made by debootstrap from where this machine's apt has its packages; it and the processes in it have a
mount and a pid namespace, which end with the test. Needs root.
"""

import os
import re
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.system.server import free_port, wait_until
from tests.tools.root import root_only

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build/deb-test"
SETTINGS = "/etc/fastsmtp/fastsmtp.toml"
ASIDE = ("/var/lib/fastsmtp", "/var/lib/dpkg", "/var/cache", "/var/log", "/proc", "/tmp", "/run", "/root")
"""What is not compared before and after: mail, and what is not the package's."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    root_only,
]


def run(*command: str | Path, **options: str) -> str:
    """What it prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def package() -> Path:
    """Built from this tree."""
    require_program("dpkg-shlibdeps")
    (name,) = re.findall(r"^dist/\S+\.deb$", run("make", "-s", "-C", str(ROOT), "deb"), re.MULTILINE)
    return ROOT / name


def mirror() -> tuple[str, str]:
    """Where apt has the packages of this Debian from, and its code name."""
    name = re.findall(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)[0]
    wanted = ("Created-By: Packages", "Origin: Debian", "Label: Debian", f"Codename: {name}")
    return run("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()[0], name


class Machine:
    """A Debian in a directory."""

    def __init__(self) -> None:
        shutil.rmtree(WORK, ignore_errors=True)
        self.root = WORK / "root"
        debootstrap = require_program("debootstrap")
        uri, name = mirror()
        run(debootstrap, "--variant=minbase", "--include=python3,adduser", name, self.root, uri)
        shutil.rmtree(self.root / "var/cache/apt/archives")
        keeper = [
            "chroot",
            str(self.root),
            "sh",
            "-c",
            "mount -t proc proc /proc && echo up && exec sleep 1800",
        ]
        self.keeper = subprocess.Popen(
            [require_program("unshare"), "--mount", "--pid", "--fork", "--kill-child", *keeper],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.keeper.stdout is not None
        assert self.keeper.stdout.readline() == "up\n"
        children = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text()
        enter = f"--target={int(children)} --mount --pid --root --wd=/"
        self.enter = [
            require_program("nsenter"),
            *enter.split(),
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ]

    def run(self, *command: str, **options: str) -> str:
        """The same as `run`, in there."""
        return run(*self.enter, *command, **options)

    def path(self, path: str) -> Path:
        """One of its files, as we see it."""
        return self.root / path.lstrip("/")

    def install(self, package: Path) -> str:
        """By dpkg; what it says."""
        shutil.copy(package, self.root / package.name)
        try:
            return self.run("dpkg", "-i", f"/{package.name}")
        finally:
            (self.root / package.name).unlink()

    def files(self) -> set[str]:
        """All of its files but those of `ASIDE`."""
        found = set()
        for folder, folders, names in os.walk(self.root):
            here = "/" + str(Path(folder).relative_to(self.root)).removeprefix(".")
            folders[:] = [name for name in folders if not f"{here.rstrip('/')}/{name}".startswith(ASIDE)]
            found |= {f"{here.rstrip('/')}/{name}" for name in (*folders, *names)}
        return found

    def processes(self) -> list[int]:
        """Those of the server in there, by our pids."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    os.readlink(place / "root") == str(self.root)
                    and b"serve" in (place / "cmdline").read_bytes()
                ):
                    found.append(int(place.name))
            except OSError:
                pass  # it has just ended
        return found

    def end(self) -> None:
        """All of its processes end, and it is gone."""
        self.keeper.kill()
        self.keeper.wait()
        shutil.rmtree(WORK)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    made = Machine()
    try:
        yield made
    finally:
        made.end()


class Served:
    """`fastsmtp serve` in the machine, started by hand."""

    def __init__(self, machine: Machine) -> None:
        self.log = WORK / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*machine.enter, "fastsmtp", "serve", "-c", SETTINGS], stdout=log, stderr=log
            )
        self.wait_log("^ready:")

    def wait_log(self, pattern: str) -> None:
        try:
            wait_until(lambda: re.search(pattern, self.log.read_text(), re.MULTILINE), pattern, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from None


def repacked(package: Path, version: str, folder: Path) -> Path:
    """The same package, of another version."""
    run("dpkg-deb", "-R", package, folder / "tree")
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    (init,) = (folder / "tree").glob("usr/lib/fastsmtp/lib/python3.*/site-packages/fastsmtp/__init__.py")
    init.write_text(re.sub(r"(?m)^__version__ = .*$", f'__version__ = "{version}"', init.read_text()))
    made = folder / "next.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", folder / "tree", made)
    shutil.rmtree(folder / "tree")
    return made


def test_lintian_has_nothing_to_say(package: Path) -> None:
    assert run(require_program("lintian"), "--allow-root", "--fail-on", "error,warning", package) == ""


def test_its_whole_life(machine: Machine, package: Path, tmp_path: Path) -> None:
    before = machine.files()
    said = machine.install(package)
    assert "fastsmtp init DOMAIN" in said
    assert "compiled" in machine.run("fastsmtp", "version")
    assert machine.path("/etc/systemd/system/multi-user.target.wants/fastsmtp.service").is_symlink()

    ports = [free_port() for _ in range(3)]
    options = [
        "--hostname",
        "mx.example.org",
        "--account",
        "alice",
        "--password-stdin",
        "--listen",
        "127.0.0.1",
    ]
    ported = ",".join(map(str, ports))
    machine.run("fastsmtp", "init", "example.org", *options, "--ports", ported, input="corr3ct-h0rse!\n")
    machine.run("fastsmtp", "check", "-c", SETTINGS)
    server = Served(machine)
    new = machine.path("/var/lib/fastsmtp/mail/example.org/alice/new")

    def send() -> None:
        arrived = len(list(new.glob("*")))
        client.sendmail("bob@far.example", "alice@example.org", "Subject: x\r\n\r\nhello\r\n")
        wait_until(lambda: len(list(new.glob("*"))) == arrived + 1, "it is delivered", 60)

    with smtplib.SMTP("127.0.0.1", ports[0], timeout=60) as client:
        send()
        assert "empty" in machine.run("mailq")
        # What was connected before the upgrade, and who comes after it: both are served.
        machine.install(repacked(package, "99.0", tmp_path))
        send()
    with smtplib.SMTP("127.0.0.1", ports[0], timeout=60) as client:
        send()
    assert "99.0" in machine.run("fastsmtp", "status", "-c", SETTINGS)
    arrived = len(list(new.glob("*")))
    machine.run("sendmail", "-i", "alice@example.org", input="Subject: dropped\n\nhello\n")
    wait_until(lambda: len(list(new.glob("*"))) == arrived + 1, "what was dropped is delivered", 60)
    machine.run("sh", "-c", "kill $(cat /var/lib/fastsmtp/data/lock)")
    server.process.wait(60)
    wait_until(lambda: not machine.processes(), "all processes end", 60)

    rivals = tmp_path / "rival/DEBIAN"
    rivals.mkdir(parents=True)
    kinds = "Provides: mail-transport-agent\nConflicts: mail-transport-agent\n"
    text = (
        f"Package: rival\nVersion: 1\nArchitecture: all\nMaintainer: r <r@r.invalid>\n{kinds}Description: x\n"
    )
    (rivals / "control").write_text(text)
    run("dpkg-deb", "--root-owner-group", "--build", rivals.parent, tmp_path / "rival.deb")
    with pytest.raises(AssertionError, match="conflicting packages"):
        machine.install(tmp_path / "rival.deb")

    mails = sorted(new.glob("*"))
    machine.run("dpkg", "-r", "fastsmtp")
    assert machine.path(SETTINGS).exists()
    said = machine.run("dpkg", "-P", "fastsmtp")
    assert "rm -r /var/lib/fastsmtp" in said
    assert sorted(new.glob("*")) == mails
    assert machine.path("/var/lib/fastsmtp/data/spool").exists()
    assert not machine.path("/var/lib/fastsmtp/data/ledger").exists()
    left = machine.files() - before
    assert {path for path in left if not re.fullmatch(r"/etc/(passwd|group|shadow|gshadow)-", path)} == set()
    assert before - machine.files() == set()
