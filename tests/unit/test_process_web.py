"""What the HTTP process needs before it can start, and what it tells of itself."""

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fastsmtp.control.client import ask
from fastsmtp.control.mail import LoginAnswer, LoginAsked, Submit, Submitted
from fastsmtp.control.place import socket_path
from fastsmtp.control.web import HookStatus, web_path
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.process import web
from fastsmtp.process.credentials import Credentials
from fastsmtp.process.settings import checked, load_settings
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.web.server_state import HookList
from fastsmtp.web.settings import HttpSettings, TokenSettings, WebhookSettings
from tests.fakes.web import ADMIN, serving, web_settings

SECRET = "0123456789abcdef"


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = web_settings(tmp_path)
    assert web.problems(good) == []
    monkeypatch.setattr(
        web, "find_spec", lambda name: None if name == "uvicorn" else importlib.util.find_spec(name)
    )
    assert web.problems(good) == ["http: HTTP needs uvicorn: pip install 'fastsmtp-mta[web]'"]
    assert web.problems(web_settings(tmp_path, http=HttpSettings())) == []


def test_secrets_in_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET + "\n")
    (tmp_path / "short").write_text("short\n")
    (tmp_path / "base64").write_text("whsec_?????????????\n")

    def settings(token: str, secret: str, **more: Any) -> Any:
        http = HttpSettings(
            address="127.0.0.1:0",
            tokens=(TokenSettings(name="a", token_file=str(tmp_path / token), may=("admin",)),),
        )
        hook = WebhookSettings(name="b", url="http://x.test/", secret_file=str(tmp_path / secret))
        return web_settings(tmp_path, http=http, webhooks=(hook,), **more)

    assert web.problems(settings("token", "token")) == []
    assert web.tokens(settings("token", "token"))[0].secret == SECRET
    assert web.problems(settings("short", "none")) == [
        f"http.tokens[0].token_file: the first line of {tmp_path}/short is shorter than 16 characters",
        f"webhooks[0].secret_file: cannot read {tmp_path}/none: No such file or directory",
    ]
    assert web.problems(settings("token", "base64")) == [
        "webhooks[0].secret: what is behind whsec_ is not base64"
    ]
    assert web.problems(settings("token", "token", ledger=LedgerSettings(enabled=False))) == [
        "webhooks: they read the ledger; set ledger.enabled = true"
    ]


def test_secrets_of_systemd_are_read_by_the_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/t").write_text(SECRET)
    file = tmp_path / "a.toml"
    file.write_text(
        'hostname = "mx.test"\nlisteners = [{address = "127.0.0.1:2525"}]\n'
        '[mailboxes]\npath = "/m/{domain}/{user}"\ndomains = ["test"]\n'
        '[[http.tokens]]\nname = "a"\ntoken_file = "credential:t"\nmay = ["admin"]\n'
        '[[webhooks]]\nname = "b"\nurl = "http://x.test/"\nsecret_file = "credential:t"\n'
    )
    settings = load_settings(file)
    filled = Credentials(settings).fill(settings)
    assert filled.http.tokens[0].token == filled.webhooks[0].secret == SECRET
    assert filled.http.tokens[0].token_file is filled.webhooks[0].secret_file is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"http": HttpSettings(address="127.0.0.1:2525")},
            "http.address: 127.0.0.1:2525 is that of listeners",
        ),
        ({"http": HttpSettings(tls=True)}, "http.tls: it needs a certificate"),
        (
            {"http": HttpSettings(tokens=(TokenSettings(name="a", token=SECRET, senders=("x",)),))},
            "http.tokens\\[0\\].senders: expected",
        ),
        (
            {"webhooks": (WebhookSettings(name="a", url="http://x/", secret=SECRET),) * 2},
            "webhooks\\[1\\].name",
        ),
    ],
)
def test_settings_that_contradict_each_other(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        checked(msgspec.structs.replace(web_settings(tmp_path, tls=TlsSettings()), **changes))


def test_it_tells_of_its_webhooks(tmp_path: Path) -> None:
    hook = WebhookSettings(name="shop", url="http://127.0.0.1:1/?key=1", secret=SECRET)

    async def main() -> None:
        async with serving(web_settings(tmp_path, webhooks=(hook,))) as server:
            server.web.tick()
            path = web_path(server.settings.data_dir)
            (status,) = await ask(path, "web.status", None, list[HookStatus])
            assert (status.name, status.url, status.delivered) == ("shop", "http://127.0.0.1:1/", 0)
            assert HookList(webhooks=[status]).webhooks == [status]
            (shown,) = (await server.ask("GET", "/v1/webhooks", token=ADMIN)).json["webhooks"]
            assert (shown["name"], shown["failing_since"]) == ("shop", None)
        assert not path.exists()

    asyncio.run(main())


def test_what_a_worker_takes_is_looked_at_again(tmp_path: Path) -> None:
    """Whoever speaks to its socket is trusted to have asked who the sender is, and with nothing else."""

    async def main() -> None:
        async with serving(web_settings(tmp_path)) as server:
            path = socket_path(server.settings.data_dir, 0)

            async def submit(**changes: Any) -> Submitted:
                fields: dict[str, Any] = {
                    "ip": "127.0.0.1",
                    "carrier": "HTTP",
                    "login": "shop",
                    "login_senders": (),
                    "senders": ("*",),
                    "sender": "a@shop.test",
                    "recipients": ("x@far.test",),
                    "start": b"A: b\r\n\r\n",
                    "size": 8,
                }
                answer: Submitted = await ask(path, "mail.submit", Submit(**(fields | changes)), Submitted)
                return answer

            assert (await submit()).reply.code == 250
            assert (await submit(sender="a b")).reply.code == 501
            assert (await submit(recipients=("x@far.test", "y"))).reply.code == 501
            assert (await submit(file="0" * 32, start=b"")).reply.code == 451
            for changes in (
                {"size": 9},
                {"file": "../../../../etc/passwd"},
                {"recipients": ()},
                {"start": b"x" * 40_000},
                {"record": "../x"},
            ):
                with pytest.raises(Exception, match=r"size|not a Submit"):
                    await submit(**changes)
            found = await ask(
                path, "mail.login", LoginAsked("192.0.2.1", False, "a@b.test", "x"), LoginAnswer
            )
            assert (found.login, found.reply.code) == ("", 538)  # not in clear

    asyncio.run(main())
