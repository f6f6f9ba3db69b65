"""Secrets that settings name by file: a password, a key.

``credential:NAME`` is the file NAME that systemd gives to the service with ``LoadCredential=NAME:FILE``.
"""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.errors import SettingsError
from fastsmtp.config.kinds import fields_of, flagged

PREFIX = "credential:"
SERVICE_DIRECTORY = "/run/credentials/fastsmtp.service"
"""Where systemd puts them; for commands that it has not started, and so are not told."""
_LONGEST = 4096

PasswordText = Annotated[
    str,
    Meta(
        min_length=1,
        description="The password itself, for a settings file that nobody else can read.",
        extra={"secret": True},
    ),
]
"""Of a setting beside one that names a file."""


class SecretStruct(Struct, frozen=True, kw_only=True):
    """A table with values that are shown to nobody, not when it is printed either."""

    def __repr__(self) -> str:
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields_of(type(self))
            if not flagged(field.type, "secret")
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def directory() -> Path:
    """systemd's directory of credentials."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY") or SERVICE_DIRECTORY)


def file_of(base: Path, text: str) -> str:
    """The file that ``text`` in a settings file below ``base`` means."""
    if text.startswith(PREFIX):
        return str(directory() / text.removeprefix(PREFIX))
    return str(base / text)


def is_credential(file: str) -> bool:
    """Whether the file is one of systemd's."""
    return Path(file).is_relative_to(directory())


def read_secret(key: str, file: str) -> str:
    """The first line of ``file``, which the setting ``key`` names. Raises `SettingsError`, which does not show it."""
    try:
        with Path(file).open("rb") as stream:
            secret = stream.read(_LONGEST).split(b"\n")[0].decode("utf-8").removesuffix("\r")
    except OSError as error:
        mend = ""
        if is_credential(file):
            mend = f"; LoadCredential={Path(file).name}:FILE in the service's unit gives it"
        raise SettingsError([f"{key}: cannot read {file}: {error.strerror}{mend}"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{key}: {file} is not UTF-8"]) from None
    if not secret or "\0" in secret:
        raise SettingsError([f"{key}: the first line of {file} is no password"])
    return secret
