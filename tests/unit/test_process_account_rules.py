"""What the settings say of a change of the embedded accounts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsmtp.accounts.embedded import EmbeddedAccounts, User
from fastsmtp.accounts.manage import ManageError
from fastsmtp.process.account_rules import (
    add_account,
    add_domain,
    add_to_alias,
    check_new_account,
    domains,
    remove_domain,
)
from fastsmtp.process.accounts import managed
from fastsmtp.process.settings import Settings
from tests.unit.test_process_settings import load, small

TABLES = """
[accounts]
backend = "embedded"
scram_iterations = 0
[accounts.hash]
memory = 8192
passes = 1
[relay]
domains = ["corp.test"]
recipients = "any"
"""


@contextmanager
def accounts_of(tmp_path: Path, path: str = "{domain}/{user}") -> Iterator[tuple[Settings, EmbeddedAccounts]]:
    text = small('data_dir = "data"', f'path = "mail/{path}"', TABLES)
    settings = load(tmp_path, text)
    with managed(settings) as accounts:
        yield settings, accounts


def test_an_account_brings_its_domain_unless_the_settings_have_it(tmp_path: Path) -> None:
    with accounts_of(tmp_path) as (settings, accounts):
        assert not add_account(settings, accounts, "alice@example.org", b"secret")
        assert not add_account(settings, accounts, "alice@corp.test", b"secret")
        assert add_account(settings, accounts, "alice@shop.test", b"secret", quota=5, senders=("*",))
        user = accounts.user("alice@shop.test")
        assert user is not None
        assert (user.quota, user.senders) == (5, ("*",))
        assert domains(settings, accounts) == {"example.org": "settings", "shop.test": "accounts"}
        with pytest.raises(ManageError, match=r"alice@shop\.test exists"):
            add_account(settings, accounts, "alice@shop.test", b"other")


def test_no_two_share_a_mailbox(tmp_path: Path) -> None:
    with accounts_of(tmp_path, "{user}") as (settings, accounts):
        accounts.change(lambda change: change.put_user("alice@example.org", User("$")))
        check_new_account(settings, accounts, "bob@shop.test")
        with pytest.raises(ManageError, match="would share one mailbox"):
            check_new_account(settings, accounts, "alice@shop.test")


def test_domains_of_the_settings_are_changed_there(tmp_path: Path) -> None:
    with accounts_of(tmp_path) as (settings, accounts):
        add_domain(settings, accounts, "shop.test")
        for domain, why in (
            ("shop.test", "there already"),
            ("example.org", "stands in mailboxes.domains"),
            ("corp.test", "among relay.domains"),
        ):
            with pytest.raises(ManageError, match=why):
                add_domain(settings, accounts, domain)
        with pytest.raises(ManageError, match="remove it there"):
            remove_domain(settings, accounts, "example.org")
        remove_domain(settings, accounts, "shop.test")
        assert domains(settings, accounts) == {"example.org": "settings"}


def test_an_alias_leads_to_a_mailbox(tmp_path: Path) -> None:
    with accounts_of(tmp_path) as (settings, accounts):
        for name in ("alice", "bob"):
            accounts.change(lambda change, name=name: change.put_user(f"{name}@example.org", User("$")))
        info = "info@example.org"
        assert add_to_alias(settings, accounts, info, ["alice@example.org"]) == ("alice@example.org",)
        both = ("alice@example.org", "bob@example.org")
        assert add_to_alias(settings, accounts, info, ["bob@example.org"]) == both
        for alias, member, why in (
            (info, "nobody@example.org", "nobody@example.org: "),
            ("info@other.test", "alice@example.org", "none of our domains"),
            (info, "@far.test", "only an alias @domain"),
        ):
            with pytest.raises(ManageError, match=why):
                add_to_alias(settings, accounts, alias, [member])
        assert accounts.aliases() == {info: both}
