"""Recipients find their mailbox or their refusal."""

import pytest

from fastsmtp.accounts.base import Account
from fastsmtp.mail.reply import MAILBOX_UNKNOWN, RELAY_DENIED, RELAY_NOT_YET
from fastsmtp.routing.router import LocalRoute, Router
from fastsmtp.routing.settings import RelaySettings


class CountingDirectory:
    """alice of example.org, and everybody whose name begins with u."""

    def __init__(self) -> None:
        self.asked = 0

    def local_domain(self, domain: str) -> bool:
        return domain == "example.org"

    def lookup(self, local: str, domain: str) -> Account | None:
        self.asked += 1
        if domain == "example.org" and (local == "alice" or local.startswith("u")):
            return Account(f"{local}@example.org")
        return Account("alice@example.org") if (local, domain) == ("postmaster", "") else None


@pytest.fixture
def directory() -> CountingDirectory:
    return CountingDirectory()


@pytest.fixture
def router(directory: CountingDirectory) -> Router:
    return Router(directory, RelaySettings(networks=("127.0.0.0/8", "2001:db8::/32")))


def test_into_a_mailbox(router: Router) -> None:
    assert router.route("alice", "example.org", "203.0.113.5") == LocalRoute("alice@example.org")
    assert router.route("postmaster", "", "203.0.113.5") == LocalRoute("alice@example.org")


def test_nobody_of_ours(router: Router) -> None:
    for client in ("203.0.113.5", "127.0.0.1"):
        assert router.route("bob", "example.org", client) is MAILBOX_UNKNOWN
        assert router.route("bob", "", client) is MAILBOX_UNKNOWN


@pytest.mark.parametrize(
    ("client", "reply"),
    [
        ("203.0.113.5", RELAY_DENIED),
        ("2001:db9::1", RELAY_DENIED),
        ("no address", RELAY_DENIED),
        ("127.0.0.1", RELAY_NOT_YET),
        ("2001:db8::7", RELAY_NOT_YET),
        ("::ffff:127.0.0.9", RELAY_NOT_YET),
    ],
)
def test_other_domains(router: Router, client: str, reply: object) -> None:
    assert router.route("alice", "example.com", client) is reply
    assert router.route("alice", "[192.0.2.1]", client) is reply


def test_a_known_recipient_is_not_looked_up_again(router: Router, directory: CountingDirectory) -> None:
    first = router.route("alice", "example.org", "203.0.113.5")
    assert router.route("alice", "example.org", "127.0.0.1") is first
    assert directory.asked == 1


def test_memory_of_recipients_is_bounded(router: Router, directory: CountingDirectory) -> None:
    for i in range(10_001):
        router.route(f"u{i}", "example.org", "127.0.0.1")
    router.route("u10000", "example.org", "127.0.0.1")
    assert directory.asked == 10_001
    router.route("u0", "example.org", "127.0.0.1")
    assert directory.asked == 10_002
