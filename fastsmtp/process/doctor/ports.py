"""Ports: whether the listeners answer, who else has one, and whether other hosts can be reached."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from fastsmtp.config.values import Endpoint
from fastsmtp.process.doctor.finding import Finding
from fastsmtp.process.settings import Settings

AREA = "ports"
_PATIENCE = 10.0
_MANAGER = "systemd"
"""Who has the ports of socket units, such as ours."""
_OURS = ("fastsmtp", "python", _MANAGER)
_UNITS = {"master": "postfix", "exim4": "exim4", "sendmail-mta": "sendmail", "smtpd": "opensmtpd"}
"""Debian's units of other servers, by what their processes are called."""
_LISTEN = "0A"


def look(settings: Settings, running: bool, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """``running``: the server of these settings runs."""
    for number, listener in enumerate(settings.listeners):
        endpoint = listener.endpoint
        if not endpoint.port:
            continue
        what = f"listeners[{number}], {endpoint}"
        owner = owner_of(endpoint.port, proc)
        look_closer = f"ss -ltnp 'sport = :{endpoint.port}'"
        unit = _UNITS.get(owner or "")
        mend = look_closer if unit is None else f"systemctl disable --now {unit}"
        if running:
            problem = greeting(_reached(endpoint), implicit_tls=listener.profile.implicit_tls)
            if problem:
                yield Finding("error", AREA, f"{what}: {problem}", look_closer)
        elif owner == _MANAGER:
            yield Finding(
                "note",
                AREA,
                f"{what}: systemd has the port, for the server if that is by fastsmtp.socket",
                "systemctl list-sockets",
            )
        elif owner is not None:
            yield Finding("error", AREA, f"{what}: {owner} has the port, so the server cannot start", mend)
        if running and owner is not None and not owner.startswith(_OURS):
            yield Finding(
                "warning", AREA, f"{what}: {owner} listens on this port too, at another address", mend
            )


def look_outside(host: str, port: int = 25) -> Iterator[Finding]:
    """Whether ``host`` greets us."""
    problem = greeting((host, port), implicit_tls=False)
    if problem:
        yield Finding(
            "error",
            AREA,
            f"{host}:{port} cannot be reached: {problem}",
            "ask whoever runs the network whether port 25 is closed; else name a smarthost in [[routes]]",
        )
    else:
        yield Finding("note", AREA, f"{host}:{port} answers")


def greeting(address: tuple[str, int], *, implicit_tls: bool) -> str:
    """Why nobody greets at ``address``; empty when somebody does, or with ``implicit_tls`` lets us in."""
    try:
        with socket.create_connection(address, _PATIENCE) as sock:
            if implicit_tls:
                return ""
            said = sock.recv(512)
    except TimeoutError:
        return f"no answer in {_PATIENCE:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    if said.startswith(b"220"):
        return ""
    first = said.decode("ascii", "replace").splitlines()[:1] or ["nothing"]
    words = "".join(c if c.isprintable() else "?" for c in first[0])[:100]
    return f"it greets with {words!r}, not 220"


def owner_of(port: int, proc: Path = Path("/proc")) -> str | None:
    """The name of a process that listens on ``port``; "another program" when it is not shown to us."""
    inodes = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{words[9]}]")
    if not inodes:
        return None
    for directory in proc.iterdir():
        if directory.name.isdigit() and _has(directory / "fd", inodes):
            try:
                return (directory / "comm").read_text().strip()
            except OSError:
                continue
    return "another program"


def _has(directory: Path, links: set[str]) -> bool:
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(directory / name) in links:
                return True
        except OSError:
            continue
    return False


def _reached(endpoint: Endpoint) -> tuple[str, int]:
    """Where a listener on all addresses is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(endpoint.host, endpoint.host)  # noqa: S104 - compared only
    return host, endpoint.port
