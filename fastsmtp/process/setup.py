"""A first set-up: the settings file, a certificate, a place for keys, and the records to publish.

Secure as it is made: nobody may relay but who has logged in, by TLS; keys are for root alone, the settings for root
and the server's group. Nothing is overwritten, and what fails leaves nothing behind.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from fastsmtp.accounts.embedded import DIRECTORY
from fastsmtp.config.bind import bind
from fastsmtp.config.docgen import written
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.load import parse_toml
from fastsmtp.maildrop.place import DEFAULT as MAILDROP
from fastsmtp.process.errors import StartError
from fastsmtp.process.maildrop import make_maildrop
from fastsmtp.process.privileges import Identity
from fastsmtp.process.settings import Settings, checked
from fastsmtp.tls.certificates import read_pair
from fastsmtp.tls.pair import CertificateError
from fastsmtp.tls.selfsigned import CERT_FILE, KEY_FILE, self_signed
from fastsmtp.tls.settings import CertificateSettings

SETTINGS_FILE = "fastsmtp.toml"
SYSTEM_DIRECTORY = Path("/etc/fastsmtp")
"""Where the settings of a whole machine's server lie; what it keeps is then below `SYSTEM_STATE`."""
SYSTEM_STATE = Path("/var/lib/fastsmtp")
PROTOCOLS = ("smtp", "submission", "submissions")
PORTS = (25, 587, 465)
"""Of `PROTOCOLS`, in this order."""

_HEAD = """\
# Settings of the mail server of {domain}. Lines that begin with "# " show the defaults of all other keys.
# `fastsmtp check -c FILE` says what is wrong with a file; docs/settings.md is the reference.

"""


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be set up. ``login`` is the first account, ``listen`` addresses, ``ports`` those of `PROTOCOLS`;
    without ``pair`` (certificate, key) a certificate is made."""

    domain: str
    hostname: str
    directory: Path
    login: str
    user: str | None = None
    listen: tuple[str, ...] = ("0.0.0.0",)  # noqa: S104 - mail comes from everywhere
    ports: tuple[int, ...] = PORTS
    pair: tuple[Path, Path] | None = None

    @property
    def file(self) -> Path:
        """The settings file."""
        return self.directory / SETTINGS_FILE

    @property
    def certificate(self) -> tuple[Path, Path]:
        """The certificate and its key."""
        return self.pair or (self.directory / "tls" / CERT_FILE, self.directory / "tls" / KEY_FILE)

    @property
    def dkim(self) -> Path:
        """Where the key for signing is to lie."""
        return self.directory / "dkim"

    @property
    def state(self) -> Path:
        """What the server keeps lies below it."""
        return SYSTEM_STATE if self.directory == SYSTEM_DIRECTORY else self.directory

    @property
    def data_dir(self) -> Path:
        """The spool and the accounts."""
        return self.state / "data"

    @property
    def maildrop(self) -> Path | None:
        """Where programs of this machine drop mail; None where it is no server of a whole machine."""
        return Path(MAILDROP) if self.directory == SYSTEM_DIRECTORY else None

    @property
    def made(self) -> list[Path]:
        """All that may be made, what is in a directory after it."""
        own = () if self.pair else (self.certificate[0].parent, *self.certificate)
        directories = [*reversed(self.directory.parents), self.directory, *reversed(self.data_dir.parents)]
        drop = () if self.maildrop is None else (self.maildrop.parent, self.maildrop)
        return [*directories, self.dkim, *own, self.file, self.data_dir, self.data_dir / DIRECTORY, *drop]


def in_the_way(plan: Plan) -> Path | None:
    """Something that is there already and would be made."""
    made = [plan.file, *(() if plan.pair else plan.certificate), plan.data_dir / DIRECTORY]
    return next((path for path in made if os.path.lexists(path)), None)


def settings_text(plan: Plan) -> str:
    """The settings file."""
    cert, key = plan.certificate
    top: dict[str, Any] = {"hostname": plan.hostname, "data_dir": plan.data_dir}
    if plan.user is not None:
        top["user"] = plan.user
    listeners = [
        {"address": f"{f'[{address}]' if ':' in address else address}:{port}", "protocol": protocol}
        for protocol, port in zip(PROTOCOLS, plan.ports, strict=True)
        for address in plan.listen
    ]
    mailboxes = {
        "domains": [plan.domain],
        "path": f"{plan.state}/mail/{{domain}}/{{user}}",
        "postmaster": plan.login,
    }
    tables: dict[str, list[dict[str, Any]]] = {
        "": [top],
        "listeners": listeners,
        "tls.certificates": [{"cert": cert, "key": key}],
        "mailboxes": [mailboxes],
        "accounts": [{"backend": "embedded"}],
    }
    if plan.maildrop is not None:
        tables["maildrop"] = [{"path": plan.maildrop}]
    return _HEAD.format(domain=plan.domain) + written(Settings, tables)


def make_files(plan: Plan, identity: Identity | None) -> None:
    """Make all files but those of accounts; the server's group may read the settings. Raises `StartError`, before
    anything is made when it is for what was asked."""
    taken = in_the_way(plan)
    if taken is not None:
        raise StartError(
            f"{taken} is there already, and nothing is overwritten; choose another --dir, or move it away",
            os.EX_CANTCREAT,
        )
    text = settings_text(plan)
    try:
        settings = checked(bind(parse_toml(text, SETTINGS_FILE), Settings))
        if plan.pair:
            read_pair(CertificateSettings(cert=str(plan.pair[0]), key=str(plan.pair[1])))
    except SettingsError as error:
        raise StartError(error.problems[0], os.EX_DATAERR) from None
    except CertificateError as error:
        raise StartError(str(error), os.EX_DATAERR) from None
    try:
        _make_directory(plan.directory)
        plan.dkim.mkdir(mode=0o700, exist_ok=True)
        if plan.pair is None:
            self_signed([plan.hostname], plan.certificate[0].parent)
        _write(plan.file, text, identity)
    except CertificateError as error:
        raise StartError(str(error), os.EX_CANTCREAT) from None
    except OSError as error:
        raise StartError(
            f"cannot make {error.filename or plan.directory}: {error.strerror}", os.EX_CANTCREAT
        ) from None
    make_maildrop(settings, identity)


@contextmanager
def taken_back(plan: Plan) -> Iterator[None]:
    """When what is done within fails, whatever of ``plan`` was not there before goes again: the next try finds
    nothing in its way."""
    missing = [path for path in dict.fromkeys(plan.made) if not os.path.lexists(path)]
    try:
        yield
    except BaseException:
        for path in reversed(missing):
            with contextlib.suppress(OSError):  # somebody may have put something into it meanwhile
                _remove(plan, path)
        raise


def _remove(plan: Plan, path: Path) -> None:
    if path == plan.data_dir / DIRECTORY:
        shutil.rmtree(path)
    elif path.is_dir():
        path.rmdir()
    else:
        path.unlink()


def _make_directory(directory: Path) -> None:
    """With its parents, where missing. Whatever the umask: the server's group has to get to the settings."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for path in missing:
        path.chmod(0o755)


def _write(path: Path, text: str, identity: Identity | None) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(text)
        if identity is not None:
            os.fchown(file, -1, identity.gid)
            os.fchmod(file, 0o640)
