"""Passwords from systemd's directory of credentials, which workers may not be able to read: it belongs to whoever the
service was started as. The master reads those that are named, and its workers inherit them.
"""

import os
from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from fastsmtp.config.bind import key_text
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.secrets import is_credential, read_secret
from fastsmtp.process.errors import StartError
from fastsmtp.process.settings import Settings

T = TypeVar("T", bound=Any)


class Credentials:
    """Those that ``settings`` name. Raises `StartError` when one cannot be read."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._secrets = {
                file: read_secret(key, file) for key, file in secret_files(settings) if is_credential(file)
            }
        except SettingsError as error:
            raise StartError(error.problems[0], os.EX_CONFIG) from None

    def __repr__(self) -> str:
        return f"Credentials({list(self._secrets)})"

    def fill(self, settings: Settings) -> Settings:
        """``settings`` with these passwords in place of the files that hold them."""
        accounts = replace(
            settings.accounts,
            ldap=self._filled(settings.accounts.ldap),
            postgresql=self._filled(settings.accounts.postgresql),
        )
        tokens = tuple(self._filled(one, "token") for one in settings.http.tokens)
        return replace(
            settings,
            accounts=accounts,
            credentials={name: self._filled(one) for name, one in settings.credentials.items()},
            http=replace(settings.http, tokens=tokens),
            webhooks=tuple(self._filled(one, "secret") for one in settings.webhooks),
        )

    def _filled(self, table: T, key: str = "password") -> T:
        """``table`` with its ``key`` in place of the file that holds it."""
        file = f"{key}_file"
        secret = self._secrets.get(getattr(table, file, None) or "")
        return table if secret is None else replace(table, **{key: secret, file: None})


def secret_files(settings: Settings) -> Iterator[tuple[str, str]]:
    """The files of passwords, by their keys."""
    accounts = settings.accounts
    for name, one in (("ldap", accounts.ldap), ("postgresql", accounts.postgresql)):
        if one is not None and one.password_file is not None:
            yield f"accounts.{name}.password_file", one.password_file
    for name, credential in settings.credentials.items():
        if credential.password_file is not None:
            yield f"credentials.{key_text(name)}.password_file", credential.password_file
    for i, token in enumerate(settings.http.tokens):
        if token.token_file is not None:
            yield f"http.tokens[{i}].token_file", token.token_file
    for i, webhook in enumerate(settings.webhooks):
        if webhook.secret_file is not None:
            yield f"webhooks[{i}].secret_file", webhook.secret_file
