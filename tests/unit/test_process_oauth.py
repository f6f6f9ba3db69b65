"""Where a worker's verifier of tokens comes from."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.settings import AccountSettings
from fastsmtp.config.errors import SettingsError
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.oauth.base import Vouched
from fastsmtp.oauth.settings import OauthSettings
from fastsmtp.process import oauth
from fastsmtp.process.errors import StartError
from fastsmtp.process.oauth import make_tokens
from fastsmtp.process.settings import ListenerSettings, Settings, checked, load_settings
from fastsmtp.session.auth_settings import AuthSettings
from fastsmtp.transport.smtp.https import HttpsFetcher
from fastsmtp.transport.smtp.mta_sts import FetchError
from tests.fakes.clock import FakeClock
from tests.tools.jwt import AUDIENCE, ISSUER, NOW, Issuer

THEM = Issuer()
URL = "https://login.example.org/jwks.json"


def settings(keys: str | None, backend: str = "embedded") -> Settings:
    return Settings(
        hostname="mx.example.org",
        listeners=(ListenerSettings(address="127.0.0.1:0"),),
        mailboxes=MailboxSettings(domains=("example.org",), path="/nowhere/{user}"),
        accounts=AccountSettings(backend=backend),  # type: ignore[arg-type]
        auth=AuthSettings(oauth=OauthSettings(issuer=ISSUER, audience=AUDIENCE, keys=keys) if keys else None),
    )


def never(*told: Any) -> None:
    raise AssertionError(told)


def test_without_an_issuer() -> None:
    assert make_tokens(settings(None), FakeClock(), never) is None


def test_keys_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(THEM.jwks)
    tokens = make_tokens(settings(str(file)), FakeClock(wall=NOW), never)
    assert tokens is not None
    assert tokens.verifier.verify(THEM.token(), never) == Vouched("alice@example.org")
    tokens.tick()
    tokens.stop()


def test_a_file_without_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(b"{}")
    with pytest.raises(StartError, match=f"^auth.oauth.keys: {file}: it is no JWKS"):
        make_tokens(settings(str(file)), FakeClock(), never)


def test_keys_by_https(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[bytes | FetchError] = [FetchError("sts-policy-fetch-error", "no connection"), THEM.jwks]
    clock, events = FakeClock(wall=NOW), list[str]()

    async def fetch(self: HttpsFetcher, url: str) -> bytes:
        assert url == URL
        answer = answers.pop(0)
        if isinstance(answer, FetchError):
            raise answer
        return answer

    async def run() -> None:
        monkeypatch.setattr(HttpsFetcher, "fetch", fetch)
        tokens = make_tokens(settings(URL), clock, events.append)
        assert tokens is not None
        for _ in range(2):
            tokens.tick()
            await asyncio.sleep(0)
            clock.steady += 60
        assert tokens.verifier.verify(THEM.token(), never) == Vouched("alice@example.org")
        tokens.stop()

    asyncio.run(run())
    assert (answers, events) == ([], [f"auth.oauth.keys: {URL}: no connection"])


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "find_spec", lambda name: None)
    with pytest.raises(StartError, match=r"install fastsmtp-mta\[oauth\]"):
        make_tokens(settings("keys.json"), FakeClock(), never)


@pytest.mark.parametrize("backend", ["static", "dovecot"])
def test_accounts_that_cannot_be_asked_for(backend: str) -> None:
    with pytest.raises(SettingsError, match=f'auth.oauth: whose a token is cannot .* "{backend}"'):
        checked(settings("keys.json", backend))
    checked(settings(None, backend))


def test_a_file_lies_beside_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "fastsmtp.toml"
    file.write_text(
        'hostname = "mx.example.org"\n[[listeners]]\naddress = "127.0.0.1:0"\n'
        '[accounts]\nbackend = "embedded"\n[mailboxes]\ndomains = ["example.org"]\npath = "mail/{user}"\n'
        '[auth.oauth]\nissuer = "i"\naudience = "a"\nkeys = "keys.json"\n'
    )
    loaded = load_settings(file).auth.oauth
    assert loaded is not None
    assert loaded.keys == str(tmp_path / "keys.json")
