"""Whatever a client sends costs one hash at most, and what it hears does not tell who exists."""

from collections.abc import Callable
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.accounts import passwords
from fastsmtp.accounts.base import PASSWORD, SCRAM, AccountsError, Identity, Refused, ScramKeys, Unavailable
from fastsmtp.accounts.hashing import make_hash
from fastsmtp.accounts.passwords import DISABLED, UNKNOWN, WRONG, Passwords, Record, prepared
from fastsmtp.accounts.proofs import Proofs
from fastsmtp.accounts.scram_keys import derive
from fastsmtp.pool import ThreadPool
from tests.fakes.clock import FakeClock

HASH = make_hash(b"secret", SimpleNamespace(memory=64, passes=1))
ALICE, BOB = "alice@example.org", "bob@example.org"


class MemoryRecords:
    """alice, bob who is disabled, and carol whose hash is of no known scheme; all with the password ``secret``."""

    def __init__(self, *, immediate: bool = True, prepared: bool = True) -> None:
        self.immediate = immediate
        self.prepared = prepared
        self.failing = ""
        keys = derive(b"secret", 4096, Identity(ALICE))
        self.records = {
            ALICE: Record(ALICE, HASH, senders=("@far.test",), scram=keys),
            BOB: Record(BOB, HASH, disabled=True, scram=keys),
            "carol@example.org": Record("carol@example.org", "{ODD}secret"),
        }

    def find(self, login: str) -> Record | None:
        if self.failing:
            raise AccountsError(self.failing)
        return self.records.get(login)

    def decoy(self, login: str) -> Record:
        return self.records[ALICE]


class Bench:
    """Passwords with a pool that works on the spot, or, not ``at_once``, when `work` is called."""

    def __init__(self, records: MemoryRecords, *, at_once: bool = True, waiting: int = 2) -> None:
        self.records = records
        self.clock = FakeClock()
        self.hashed = 0
        self.waiting: list[Callable[[], None]] = []
        self.told: list[Any] = []
        self._at_once = at_once
        self._room = waiting
        self.passwords = Passwords(
            records,
            self,  # type: ignore[arg-type]
            Proofs(300, self.clock),
            home="example.org",
            secret=b"made up of this" if records.immediate else b"",
        )

    def submit(
        self, work: Callable[[], Any], told: Callable[[Any], None], failed: Callable[[str], Any]
    ) -> bool:
        if len(self.waiting) >= self._room:
            return False
        self.hashed += 1
        self.waiting.append(lambda: told(work()))
        return True

    def verify(self, login: str, password: bytes) -> Any:
        before = len(self.told)
        verdict = self.passwords.verify(login, password, self.told.append)
        if verdict is None and self._at_once:
            self.work()
            assert len(self.told) == before + 1
            return self.told[-1]
        return verdict

    def work(self) -> None:
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one()


@pytest.fixture(params=[True, False], ids=["immediate", "asked"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(MemoryRecords(immediate=request.param))


def test_the_right_password(bench: Bench) -> None:
    alice = Identity(ALICE, ("@far.test",))
    assert bench.verify("alice@example.org", b"secret") == alice
    assert bench.verify("ALICE@Example.Org", b"secret") == alice
    assert bench.verify("alice", b"secret") == alice


def test_a_password_is_prepared_once_whoever_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest ones take milliseconds, and a stranger chooses them."""
    seen: list[str] = []
    monkeypatch.setattr(passwords, "saslprep", lambda text: seen.append(text) or text)
    for login in (ALICE, BOB, "nobody@example.org"):
        assert isinstance(Bench(MemoryRecords()).verify(login, b"wrong"), Refused)
    assert seen == ["wrong"] * 3


@pytest.mark.parametrize(
    ("login", "password", "verdict"),
    [
        (ALICE, b"wrong", WRONG),
        (ALICE, b"Secret", WRONG),
        (ALICE, b"\xff\xfe", WRONG),
        (ALICE, "secret\u2065".encode(), WRONG),
        (BOB, b"wrong", WRONG),
        (BOB, b"secret", DISABLED),
        ("nobody@example.org", b"secret", UNKNOWN),
        ("nobody@example.org", b"\xff", UNKNOWN),
        ("", b"secret", UNKNOWN),
        ("a\0b", b"secret", UNKNOWN),
        ("\udcff", b"secret", UNKNOWN),
        ("x" * (1 << 20), b"secret", UNKNOWN),
    ],
)
def test_refusals_cost_one_hash_each(bench: Bench, login: str, password: bytes, verdict: Refused) -> None:
    assert bench.verify(login, password) == verdict
    assert bench.hashed == 1


@pytest.mark.parametrize("password", [b"", b"\0", b"secret\0", b"x" * 1025, b"x" * (1 << 20)])
def test_what_can_be_nobodys_password_costs_nothing(bench: Bench, password: bytes) -> None:
    for login in (ALICE, "nobody@example.org"):
        verdict = bench.verify(login, password)
        assert isinstance(verdict, Refused)
        assert bench.hashed == 0


def test_a_password_is_known_again_without_hashing_until_it_is_changed() -> None:
    bench = Bench(MemoryRecords())
    assert bench.verify(ALICE, b"secret") == bench.verify(ALICE, b"secret")
    assert bench.hashed == 1
    bench.records.records[ALICE] = Record(ALICE, make_hash(b"new", SimpleNamespace(memory=64, passes=1)))
    assert bench.verify(ALICE, b"secret") == WRONG
    assert bench.verify(ALICE, b"new") == Identity(ALICE)
    assert bench.hashed == 3
    bench.clock.pass_by(301)
    assert bench.verify(ALICE, b"new") == Identity(ALICE)
    assert bench.hashed == 4


def test_who_is_disabled_is_not_let_in_by_memory() -> None:
    bench = Bench(MemoryRecords())
    bench.verify(ALICE, b"secret")
    bench.records.records[ALICE] = Record(ALICE, HASH, disabled=True)
    assert bench.verify(ALICE, b"secret") == DISABLED
    assert bench.passwords.vouched(ALICE, bench.told.append) == DISABLED


def test_two_spellings_of_a_password() -> None:
    records = MemoryRecords()
    stored = make_hash(prepared("ångström".encode()), SimpleNamespace(memory=64, passes=1))
    records.records[ALICE] = Record(ALICE, stored)
    bench = Bench(records)
    assert bench.verify(ALICE, "a\u030angstro\u0308m".encode()) == Identity(ALICE)
    records.prepared = False
    assert bench.verify(ALICE, "a\u030angstro\u0308m".encode()) == WRONG


def test_too_many_at_once_come_back_later() -> None:
    bench = Bench(MemoryRecords(), at_once=False, waiting=2)
    assert [bench.verify(ALICE, b"wrong") for _ in range(2)] == [None, None]
    for login in (ALICE, "nobody@example.org"):
        verdict = bench.verify(login, b"secret")
        assert isinstance(verdict, Unavailable)
        assert "accounts.hash" in verdict.reason
    bench.work()
    assert bench.told == [WRONG, WRONG]
    assert bench.verify(ALICE, b"secret") is None


def test_a_backend_that_fails(bench: Bench) -> None:
    bench.records.failing = "the disk is gone"
    assert bench.verify(ALICE, b"secret") == Unavailable("the disk is gone")
    bench.passwords.vouched(ALICE, bench.told.append)
    bench.work()
    if bench.records.immediate:
        assert bench.passwords.scram(ALICE, bench.told.append) == Unavailable("the disk is gone")


def test_a_hash_that_cannot_be_compared_with_is_no_refusal(bench: Bench) -> None:
    verdict = bench.verify("carol@example.org", b"secret")
    assert isinstance(verdict, Unavailable)
    assert "secret" not in verdict.reason


def test_vouched() -> None:
    passwords = Bench(MemoryRecords()).passwords
    assert passwords.vouched("Alice", print) == Identity(ALICE, ("@far.test",))
    assert passwords.vouched(BOB, print) == DISABLED
    assert passwords.vouched("nobody", print) == UNKNOWN
    assert passwords.vouched("\0", print) == UNKNOWN


def test_scram_tells_nothing_of_who_exists() -> None:
    bench = Bench(MemoryRecords())
    assert bench.passwords.mechanisms == PASSWORD | SCRAM
    scram = bench.passwords.scram

    def keys(login: str) -> ScramKeys:
        found = scram(login, bench.told.append)
        assert isinstance(found, ScramKeys)
        return found

    assert keys("Alice") == bench.records.records[ALICE].scram
    for login in ("nobody", BOB, "carol", "\0", "\udcff", "x" * 100_000):
        made = keys(login)
        assert made == keys(login)
        assert made.identity is None
        assert made.iterations == keys(ALICE).iterations
    assert keys("nobody").salt == keys("NOBODY@example.org").salt
    assert keys("nobody").salt != keys("nobody2").salt


def test_without_scram_keys_only_passwords() -> None:
    assert Bench(MemoryRecords(immediate=False)).passwords.mechanisms == PASSWORD


@given(st.text(max_size=50), st.binary(max_size=50))
def test_nothing_raises(login: str, password: bytes) -> None:
    for records in (MemoryRecords(), MemoryRecords(immediate=False)):
        verdict = Bench(records).verify(login, password)
        assert isinstance(verdict, Refused | Unavailable)


@pytest.mark.parametrize(
    "password", [b"", b"\0", b"a\0", b"\n", b"\xff", b"x" * 1025, "\u00ad".encode(), "a\u0627".encode()]
)
def test_what_cannot_become_a_password(password: bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        prepared(password)
    assert "x" * 10 not in str(caught.value)


def test_with_real_threads() -> None:
    posted: Queue[Callable[[], None]] = Queue()
    pool = ThreadPool("hash", 1, 4, posted.put)
    told: list[Any] = []
    passwords = Passwords(MemoryRecords(), pool, Proofs(0, FakeClock()), home="example.org")
    assert passwords.verify("alice", b"secret", told.append) is None
    assert passwords.verify("nobody", b"secret", told.append) is None
    for _ in range(2):
        posted.get(timeout=30)()
    assert told == [Identity(ALICE, ("@far.test",)), UNKNOWN]
    pool.stop()


def test_a_record_does_not_show_its_hash() -> None:
    assert HASH not in repr(Record(ALICE, HASH))
