"""A password that was right is known for a while, for its login and its hash alone."""

from fastsmtp.accounts.proofs import Proofs
from tests.fakes.clock import FakeClock

A = ("alice@example.org", "$hash$", b"secret")


def test_known_until_the_time_is_over() -> None:
    clock = FakeClock()
    proofs = Proofs(300, clock)
    assert not proofs.known(*A)
    proofs.proven(*A)
    clock.pass_by(299)
    assert proofs.known(*A)
    clock.pass_by(2)
    assert not proofs.known(*A)


def test_only_that_login_hash_and_password() -> None:
    proofs = Proofs(300, FakeClock())
    proofs.proven(*A)
    assert not proofs.known("bob@example.org", A[1], A[2])
    assert not proofs.known(A[0], "$other$", A[2])
    assert not proofs.known(A[0], A[1], b"secret ")
    assert not proofs.known(A[0], A[1] + "s", b"ecret")  # not the parts run together


def test_nothing_is_kept_without_a_lifetime_nor_beyond_a_number() -> None:
    none = Proofs(0, FakeClock())
    none.proven(*A)
    assert not none.known(*A)
    clock = FakeClock()
    proofs = Proofs(300, clock)
    for number in range(10_001):
        proofs.proven(A[0], A[1], b"%d" % number)
    assert proofs.known(A[0], A[1], b"10000")
    assert not proofs.known(A[0], A[1], b"0")


def test_nothing_of_a_password_is_held() -> None:
    proofs = Proofs(300, FakeClock())
    proofs.proven(*A)
    assert "secret" not in repr(vars(proofs))
