"""Names and passwords for next hops."""

from collections.abc import Mapping

from msgspec import Struct

from fastsmtp.config.bind import key_text
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import read_secret
from fastsmtp.routing.settings import CredentialSettings


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
    problems: list[str] = []
    for name, one in settings.items():
        password = one.password or ""
        if one.password_file is not None:
            try:
                password = read_secret(f"credentials.{key_text(name)}.password_file", one.password_file)
            except SettingsError as error:
                problems += error.problems
        found[name] = Credential(one.user, password)
    if problems:
        raise SettingsError(problems)
    return found
