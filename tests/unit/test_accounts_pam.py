"""What PAM says is a verdict or trouble, and one who waits for it too long is told; PAM itself is in
tests/interop/test_accounts_pam.py."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from fastsmtp.accounts import pam
from fastsmtp.accounts.base import AccountsError, Identity, Refused, Unavailable
from fastsmtp.accounts.pam import PamAccounts
from fastsmtp.accounts.settings import PamSettings
from tests.fakes.accounts import FakePool
from tests.fakes.clock import FakeClock

ALICE = Identity("alice@example.org")


class FakePam:
    """`PamAuthenticator` of python-pam: says ``code``, keeps what it is asked."""

    code = 0
    reason = "why"
    asked: list[tuple[bytes, bytes, bytes]]
    items: list[int]

    def pam_authenticate(self, handle: object, flags: int) -> int:
        """As of libpam."""
        self.flags = flags
        return self.code

    def pam_set_item(self, handle: object, item: int, value: object) -> int:
        """As of libpam."""
        self.items.append(item)
        return 0

    def authenticate(self, user: bytes, password: bytes, service: bytes, *, resetcreds: bool) -> bool:
        """Whether it is right."""
        assert not resetcreds
        self.asked.append((user, password, service))
        return self.pam_authenticate(None, 0) == 0


class Bench:
    """PAM with fakes all around."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = 0, room: int = 9) -> None:
        self.kind = type("Fake", (FakePam,), {"code": code, "asked": [], "items": []})
        monkeypatch.setitem(sys.modules, "pam", SimpleNamespace(PamAuthenticator=self.kind))
        monkeypatch.setattr(pam, "find_service", lambda name: None)
        self.clock, self.pool = FakeClock(), FakePool(room)
        self.told: list[Any] = []
        self.accounts = PamAccounts(PamSettings(), "example.org", self.pool, self.clock)  # type: ignore[arg-type]
        self.accounts.start()

    def verify(self, login: str, password: bytes = b"secret") -> Any:
        """What comes at once."""
        return self.accounts.verify(login, password, self.told.append)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0, ALICE),
        (7, Refused("PAM refuses the login")),
        (10, Refused("no such account")),
        (13, Refused("the account or its password has expired")),
        (4, Unavailable("PAM: why")),
        (9, Unavailable("PAM: why")),
        (28, Unavailable("PAM: why")),
    ],
)
def test_what_pam_says(monkeypatch: pytest.MonkeyPatch, code: int, verdict: object) -> None:
    bench = Bench(monkeypatch, code)
    assert bench.verify("Alice") is None
    assert bench.told == []
    bench.pool.work()
    assert bench.told == [verdict]
    assert bench.kind.asked == [(b"alice", b"secret", b"fastsmtp")]
    assert bench.kind.items == [10], "PAM does not hold up the thread after a failure"


def test_a_login_of_another_domain_is_no_local_user(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.verify("root@example.com")
    bench.pool.work()
    assert bench.kind.asked[0][0] == b"root@example.com"
    assert bench.told == [Identity("root@example.com")]


@pytest.mark.parametrize("password", [b"", b"a\0b", b"x" * 1025])
def test_pam_is_not_asked_for_what_cannot_be(monkeypatch: pytest.MonkeyPatch, password: bytes) -> None:
    bench = Bench(monkeypatch)
    assert isinstance(bench.verify("alice", password), Refused)
    assert isinstance(bench.verify("\0"), Refused)
    assert bench.pool.work() == 0


def test_who_waits_too_long_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.verify("alice")
    bench.clock.steady += 29
    bench.accounts.tick()
    assert bench.told == []
    bench.clock.steady += 1
    bench.accounts.tick()
    assert bench.told == [Unavailable("PAM does not answer")]
    bench.pool.work()
    bench.accounts.tick()
    assert len(bench.told) == 1


def test_no_more_wait_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, room=1)
    assert bench.verify("alice") is None
    assert isinstance(bench.verify("alice"), Unavailable)


def test_nobody_comes_by_a_token_or_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    assert isinstance(bench.accounts.vouched("alice", bench.told.append), Refused)
    assert isinstance(bench.accounts.scram("alice", bench.told.append), Unavailable)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pam", None)
    with pytest.raises(AccountsError, match=r"python-pam; install fastsmtp-mta\[pam\]"):
        pam.load()

    def without_library() -> None:
        raise AttributeError("pam_start")

    monkeypatch.setitem(sys.modules, "pam", SimpleNamespace(PamAuthenticator=without_library))
    with pytest.raises(AccountsError, match="no libpam"):
        pam.load()
    with pytest.raises(AccountsError, match=r"no /etc/pam\.d/fastsmtp-nothing"):
        pam.find_service("fastsmtp-nothing")
