"""Passwords come from files, and are shown to nobody."""

from pathlib import Path

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.credentials import Credential, read_credentials
from fastsmtp.routing.settings import CredentialSettings


def test_read(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes("geheim ß\r\nnot this\n".encode())
    found = read_credentials(
        {
            "a": CredentialSettings(user="u", password_file=str(file)),
            "b": CredentialSettings(user="v", password="inline"),
        }
    )
    assert found == {"a": Credential("u", "geheim ß"), "b": Credential("v", "inline")}


def test_problems_name_the_file_and_show_nothing(tmp_path: Path) -> None:
    empty, binary, good = (tmp_path / name for name in ("empty", "binary", "good"))
    empty.write_text("\nsecond\n")
    binary.write_bytes(b"s\xffcret\n")
    good.write_text("s3cret")
    files = {"a b": tmp_path / "none", "empty": empty, "binary": binary, "good": good}
    with pytest.raises(SettingsError) as caught:
        read_credentials({n: CredentialSettings(user="u", password_file=str(f)) for n, f in files.items()})
    assert caught.value.problems == (
        f'credentials."a b".password_file: cannot read {tmp_path}/none: No such file or directory',
        f"credentials.empty.password_file: the first line of {empty} is no password",
        f"credentials.binary.password_file: {binary} is not UTF-8",
    )


def test_not_shown() -> None:
    assert "s3cret" not in repr(CredentialSettings(user="u", password="s3cret"))
    assert "s3cret" not in repr(Credential("u", "s3cret")) + str(Credential("u", "s3cret"))
