"""The start-up text."""

import socket
from typing import Any

import pytest

from fastsmtp.accounts.settings import AccountSettings
from fastsmtp.config.values import Endpoint
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.process.banner import banner
from fastsmtp.process.settings import ListenerSettings, Settings
from fastsmtp.process.sockets import Listener
from fastsmtp.web.settings import HttpSettings


def text(host: str = "127.0.0.1", family: socket.AddressFamily = socket.AF_INET, **change: Any) -> str:
    """The text for one listener on port 2525."""
    mailboxes: dict[str, Any] = {
        "domains": ("example.org",),
        "path": "/m/{domain}/{user}",
        "users": ("bob",),
        "postmaster": "bob",
    }
    mailboxes |= change.pop("mailboxes", {})
    settings = Settings(
        hostname="mx.example.org",
        listeners=(ListenerSettings(address="127.0.0.1:2525"),),
        mailboxes=MailboxSettings(**mailboxes),
        **{"workers": 2, **change},
    )
    return banner(settings, [Listener(Endpoint(family, host, 2525), "smtp", ())], "uvloop")


def test_where_it_listens_and_where_mail_goes() -> None:
    said = text()
    assert said.startswith("ready: fastsmtp ")
    assert "mx.example.org, 2 workers (uvloop, accept = reuseport)" in said
    assert "listening on 127.0.0.1:2525 (smtp)\n" in said
    assert "goes to /m/{domain}/{user}\n" in said
    assert "swaks --server 127.0.0.1:2525 --to bob@example.org\n" in said
    assert 'smtplib.SMTP("127.0.0.1", 2525)' in said


@pytest.mark.parametrize(
    ("durability", "words"),
    [
        ("full", "durability full: 250 is sent after the message is on stable storage"),
        ("relaxed", "DURABILITY RELAXED"),
        ("none", "DURABILITY NONE"),
    ],
)
def test_durability_is_spelled_out(durability: str, words: str) -> None:
    assert words in text(durability=durability)


def test_http_is_named_where_it_is_spoken() -> None:
    assert "(http" not in text()
    assert "listening on 127.0.0.1:8025 (http)\n" in text(http=HttpSettings(address="127.0.0.1:8025"))


def test_a_listener_on_all_addresses_is_tried_on_loopback() -> None:
    assert "--server 127.0.0.1:2525" in text("0.0.0.0")
    assert "--server [::1]:2525" in text("::", socket.AF_INET6)


def test_accounts_of_a_backend_are_not_counted() -> None:
    """They change while the server runs, and may be elsewhere: "0 users" looked like nobody."""
    accounts = AccountSettings(backend="embedded")
    said = text(accounts=accounts, mailboxes={"users": (), "postmaster": "bob@example.org"})
    assert "mail for example.org (accounts: embedded) goes to" in said


def test_any_user_may_be_alice() -> None:
    said = text(mailboxes={"unknown_users": "create", "users": ()})
    assert "any user of it exists" in said
    assert "--to alice@example.org" in said
    assert "1 worker (" in text(workers=1)


def test_one_is_no_plural() -> None:
    assert "(1 user) goes to" in text()
    assert "(2 users) goes to" in text(mailboxes={"users": ("bob", "eve")})
