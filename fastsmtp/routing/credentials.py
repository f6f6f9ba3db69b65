"""Names and passwords for next hops."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from fastsmtp.config.bind import key_text
from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.settings import CredentialSettings

_LONGEST = 4096


class Credential(Struct, frozen=True):
    """What a next hop asks for (RFC 4954); not shown when printed."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credential(user={self.user!r})"


def read_credentials(settings: Mapping[str, CredentialSettings]) -> dict[str, Credential]:
    """All of them by name. Raises `SettingsError`, which names the files that cannot be read and shows nothing of the
    others."""
    found = {}
    problems = []
    for name, one in settings.items():
        place = f"credentials.{key_text(name)}.password_file"
        password = one.password
        if one.password_file is not None:
            file = Path(one.password_file)
            try:
                with file.open("rb") as stream:
                    password = stream.read(_LONGEST).split(b"\n")[0].decode("utf-8").removesuffix("\r")
            except OSError as error:
                problems.append(f"{place}: cannot read {file}: {error.strerror}")
            except UnicodeDecodeError:
                problems.append(f"{place}: {file} is not UTF-8")
            else:
                if not password or "\0" in password:
                    problems.append(f"{place}: the first line of {file} is no password")
        found[name] = Credential(one.user, password or "")
    if problems:
        raise SettingsError(problems)
    return found
