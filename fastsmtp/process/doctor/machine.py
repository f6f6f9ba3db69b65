"""The machine: its clock, its limits, what its disks have left, and what the settings say of it."""

import ctypes
import resource
import shlex
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from fastsmtp.control.place import shards
from fastsmtp.ledger.format import DIRECTORY as LEDGER
from fastsmtp.process.doctor.finding import Finding
from fastsmtp.process.machine import machine_problems, pressure_notes, tls_notes
from fastsmtp.process.settings import Settings
from fastsmtp.process.sockets import kernel_backlog
from fastsmtp.store import StorageError, fill
from fastsmtp.tls.certificates import read_facts
from fastsmtp.tls.pair import CertificateError

DAY = 86_400.0
OLDEST = 1_767_225_600.0
"""2026-01-01 UTC: no clock of a machine that runs this program is before it."""
_STATUS_AT = 40  # of struct timex, adjtimex(2), where long has 64 bits
_UNSYNC = 0x40
_FULL = 0.8
_BACKLOG, _FILES = 1024, 4096


def look_at_clock(
    settings: Settings, now: float, synchronised: Callable[[], bool | None]
) -> Iterator[Finding]:
    """``now`` in seconds since 1970 UTC."""
    if now < OLDEST:
        yield Finding("error", "clock", "the clock is years behind", "timedatectl set-ntp true")
    newest = max((one.stat().st_mtime for one in _files(settings.data_dir)), default=0.0)
    if newest > now + 300:
        yield Finding(
            "error",
            "clock",
            f"files of the server are {(newest - now) / 3600:.1f} h younger than now: the clock was set back",
            "timedatectl set-ntp true",
        )
    state = synchronised()
    if state is False:
        yield Finding(
            "warning",
            "clock",
            "nothing keeps the clock right (NTP): dates of mail, certificates and pauses go wrong with it",
            "apt-get install chrony",
        )
    elif state is None:
        yield Finding("note", "clock", "the kernel does not tell whether the clock is kept right")


def clock_is_synchronised() -> bool | None:
    """What the kernel says (adjtimex(2)); None when it does not."""
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).adjtimex(buffer) < 0:
        return None
    (status,) = struct.unpack_from("i", buffer, _STATUS_AT)
    return not status & _UNSYNC


def look_at_limits(settings: Settings) -> Iterator[Finding]:
    """What the kernel allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        yield Finding(
            "warning",
            "limits",
            f"a process may have {hard} files open, and each connection takes one or two",
            "LimitNOFILE=65536 in the unit, or `ulimit -Hn 65536` before the start",
        )
    backlog = kernel_backlog()
    if backlog < _BACKLOG:
        yield Finding(
            "warning",
            "limits",
            f"the kernel lets {backlog} connections wait for a listener; a burst is refused beyond",
            "sysctl -w net.core.somaxconn=4096",
        )


def look_at_disk(settings: Settings) -> Iterator[Finding]:
    """Disks, inodes, and how full databases are."""
    for note in pressure_notes(settings):
        yield Finding("error", "disk", note, "df -h; df -i")
    for number in shards(settings.data_dir):
        place = settings.data_dir / "spool" / str(number)
        try:
            used = fill(place)
        except StorageError:
            continue
        most = settings.spool.map_size
        if used > _FULL * most:
            yield Finding(
                "warning",
                "disk",
                f"{place} has used {used / most:.0%} of spool.map_size",
                f"spool.map_size = {2 * settings.spool.map_size:_} in the settings, then restart",
            )
    ledger = settings.data_dir / LEDGER
    if settings.ledger.enabled and ledger.is_dir():
        size = sum(one.stat().st_size for one in _files(ledger))
        if size > 1.2 * settings.ledger.max_size:
            yield Finding(
                "warning",
                "disk",
                f"{ledger} has {size:,} octets, ledger.max_size is {settings.ledger.max_size:,}",
                "the log says why its oldest files stay",
            )


def look_at_settings(settings: Settings) -> Iterator[Finding]:
    """What `fastsmtp check` says."""
    for problem in machine_problems(settings):
        yield Finding("error", "settings", problem, "fastsmtp check -c FILE")


def look_at_certificates(settings: Settings, now: float) -> Iterator[Finding]:
    """Dates, and whether the server's name is among theirs."""
    if not settings.tls.certificates:
        yield Finding(
            "warning", "certificates", "tls.certificates is empty: mail comes in without TLS", "docs/tls.md"
        )
        return
    for note in tls_notes(settings.tls, now):
        gone = "expires on" not in note
        yield Finding(
            "error" if gone else "warning",
            "certificates",
            note,
            "renew it (certbot renew); it is taken by itself",
        )
    names: set[str] = set()
    for one in settings.tls.certificates:
        try:
            facts = read_facts(Path(one.cert))
        except CertificateError as error:
            yield Finding("error", "certificates", str(error), f"ls -l {shlex.quote(one.cert)}")
            continue
        names.update(facts.names)
        if facts.issuer == facts.subject:
            yield Finding(
                "warning",
                "certificates",
                f"{one.cert} is self-signed: mail programs do not trust it",
                f"certbot certonly --standalone -d {settings.hostname}",
            )
    if names and not any(_covers(name, settings.hostname) for name in names):
        yield Finding(
            "error",
            "certificates",
            f"no certificate is for {settings.hostname}, the server's own name",
            f"certbot certonly --standalone -d {settings.hostname}",
        )


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's ``name`` is ``host``, or stands for it."""
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def _files(place: Path) -> list[Path]:
    try:
        return [one for one in place.iterdir() if one.is_file()]
    except OSError:
        return []
