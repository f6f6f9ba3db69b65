"""Takes a backup, of a server that works or of one that does not.

The spool is copied after what leads into it and before the mailboxes that it leads into: mail that is under way
meanwhile is in the backup twice rather than not at all.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from fastsmtp.accounts.base import AccountsError
from fastsmtp.accounts.embedded import DIRECTORY as ACCOUNTS
from fastsmtp.accounts.embedded import EmbeddedAccounts
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import is_credential
from fastsmtp.control.mail import INCOMING
from fastsmtp.control.place import DIRECTORY as CONTROL
from fastsmtp.ledger.format import DIRECTORY as LEDGER
from fastsmtp.ledger.format import INDEX
from fastsmtp.process.backup.archive import ArchiveWriter
from fastsmtp.process.backup.manifest import DATA, FILES, MAIL, Head, formats
from fastsmtp.process.backup.shards import copy_shards, piped
from fastsmtp.process.backup.tree import copy_file, copy_mailboxes, copy_tree, size_below, walked
from fastsmtp.process.credentials import secret_files
from fastsmtp.process.errors import StartError
from fastsmtp.process.privileges import Identity, acting_as, find_user
from fastsmtp.process.settings import Settings, mailbox_root
from fastsmtp.routing.alias_file import read_aliases

LAST = "backup.json"
"""Below data_dir: when the last backup was taken, and where it was put."""
RESTORING, REPLACED = "restore.part", "replaced-"
SPECIAL = (CONTROL, "spool", "lock", INCOMING, ACCOUNTS, LEDGER, LAST, RESTORING)
"""What of data_dir is copied in ways of its own, or not at all."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be in it besides spool, accounts and settings."""

    keys: bool = False
    ledger: bool = False
    mail: bool = False


class Last(Struct):
    """``at`` in seconds since 1970 UTC."""

    at: float
    path: str


class Taken(Struct, kw_only=True):
    """``size`` in octets."""

    path: str
    at: float
    size: int
    shards: int
    parts: list[str]


def take(
    settings: Settings,
    file: Path | None,
    path: Path,
    wanted: Wanted,
    now: float,
    seen: Callable[[int, int], object] = lambda done, total: None,
) -> Taken:
    """Make the backup ``path`` of the server with ``settings``, which came from ``file``. ``seen`` is told how many
    octets of about how many are copied. Raises `StartError`."""
    identity = find_user(settings.user)
    if path.exists():
        raise StartError(
            f"{path} is there already, and nothing is overwritten; name another", os.EX_CANTCREAT
        )
    if not settings.data_dir.is_dir():
        raise StartError(f"{settings.data_dir} is no directory; name the server's settings file with -c", 69)
    try:
        archive = ArchiveWriter(path)
    except FileExistsError as error:
        raise StartError(
            f"{error.filename} is there: another backup is being taken, or was killed; in that case remove it",
            os.EX_CANTCREAT,
        ) from None
    except OSError as error:
        raise StartError(f"cannot make {error.filename}: {error.strerror}", os.EX_CANTCREAT) from None
    try:
        taken = _filled(archive, settings, file, wanted, identity, now, seen)
        taken.path, taken.size = str(path), archive.finish()
    except OSError as error:
        archive.abandon()
        raise StartError(
            f"{error.filename or path}: {error.strerror}; nothing was kept", os.EX_IOERR
        ) from None
    except BaseException:
        archive.abandon()
        raise
    _note(settings.data_dir, identity, Last(now, str(path.absolute())))
    return taken


def last_backup(data_dir: Path) -> Last | None:
    """The last one that was taken of ``data_dir``; None when there is none. Raises OSError."""
    try:
        return msgspec.json.decode((data_dir / LAST).read_bytes(), type=Last)
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _filled(
    archive: ArchiveWriter,
    settings: Settings,
    file: Path | None,
    wanted: Wanted,
    identity: Identity | None,
    now: float,
    seen: Callable[[int, int], object],
) -> Taken:
    data_dir, root = settings.data_dir, mailbox_root(settings)
    total = size_below(data_dir, identity, () if wanted.ledger else (LEDGER,))
    if wanted.mail:
        total += size_below(root, identity)
    done = 0

    def copied(octets: int) -> None:
        nonlocal done
        done += octets
        seen(done, total)

    parts = ["spool", "accounts", "settings"]
    parts += [name for name in ("keys", "ledger", "mail") if getattr(wanted, name)]
    archive.begin(
        Head(
            at=now,
            hostname=settings.hostname,
            data_dir=str(data_dir),
            formats=formats(),
            parts=parts,
        )
    )
    for one in dict.fromkeys(_files(settings, file, wanted.keys)):
        if not copy_file(one.resolve(), f"{FILES}{one.absolute()}", None, archive, copied):
            raise StartError(f"{one}, which the settings name, is not there", os.EX_NOINPUT)
    replaced = [one.name for one in data_dir.glob(f"{REPLACED}*")]
    copy_tree(data_dir, DATA, identity, archive, copied, leave=(*SPECIAL, *replaced))
    _accounts(data_dir, identity, archive, copied)
    shards = copy_shards(settings, identity, archive, copied)
    if wanted.ledger:
        for one in walked(data_dir / LEDGER, identity):
            if one.suffix != INDEX:  # made again from what it is of
                copy_file(one, f"{DATA}/{LEDGER}/{one.name}", identity, archive, copied)
    if wanted.mail:
        copy_mailboxes(root, MAIL, identity, archive, copied)
    return Taken(path="", at=now, size=0, shards=shards, parts=parts)


def _accounts(
    data_dir: Path, identity: Identity | None, archive: ArchiveWriter, seen: Callable[[int], object]
) -> None:
    if not (data_dir / ACCOUNTS / "data.mdb").exists():
        return
    accounts = EmbeddedAccounts(data_dir)
    try:
        with acting_as(identity):
            accounts.open()
        try:
            with archive.file(f"{DATA}/{ACCOUNTS}/data.mdb") as out:
                for piece in piped(accounts.copy):
                    out.write(piece)
                    seen(len(piece))
        finally:
            accounts.close()
    except AccountsError as error:
        raise StartError(str(error), os.EX_IOERR) from None


def _files(settings: Settings, file: Path | None, keys: bool) -> Iterator[Path]:
    """What lies elsewhere: settings, and files they name; what is secret with ``keys`` only."""
    if file is not None:
        yield file
    if settings.relay.recipients is not None and settings.relay.recipients.startswith("/"):
        yield Path(settings.relay.recipients)
    if settings.accounts.file is not None:
        yield Path(settings.accounts.file)
    if settings.forwarding.aliases_file is not None:
        yield from _aliases(Path(settings.forwarding.aliases_file))
    if settings.tls.client_ca:
        yield Path(settings.tls.client_ca)
    for pair in settings.tls.certificates:
        if not is_credential(pair.cert):
            yield Path(pair.cert)
        if keys and not is_credential(pair.key):
            yield Path(pair.key)
    if keys:
        yield from (Path(secret) for _, secret in secret_files(settings) if not is_credential(secret))


def _aliases(file: Path) -> list[Path]:
    """The file of aliases, and those it includes."""
    read: list[Path] = []
    with suppress(SettingsError):  # a server goes on with such a file too, by what stood there before
        read_aliases(file, read.append)
    return read


def _note(data_dir: Path, identity: Identity | None, last: Last) -> None:
    part = data_dir / (LAST + ".new")
    try:
        with acting_as(identity):
            part.write_bytes(msgspec.json.encode(last))
            os.rename(part, data_dir / LAST)
    except OSError as error:
        raise StartError(f"the backup is whole, but {part}: {error.strerror}", os.EX_IOERR) from None
