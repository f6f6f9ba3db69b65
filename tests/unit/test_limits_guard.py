"""Connections are counted over all workers, also after one has died."""

import os

import pytest

from fastsmtp.limits.guard import ConnectionGuard, WorkerGuard, is_loopback, network_of
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.mail.reply import TOO_MANY_CONNECTIONS, TOO_MANY_FROM_HOST

ONE, TWO = "192.0.2.1", "198.51.100.7"


def make(
    workers: int = 3, *, connections: int = 1000, per_ip: int = 0, exempt: bool = False
) -> tuple[ConnectionGuard, list[WorkerGuard]]:
    settings = LimitSettings(
        connections=connections,
        connections_per_ip=per_ip,
        loopback_exempt=exempt,
    )
    guard = ConnectionGuard(workers, settings)
    return guard, [guard.worker(slot) for slot in range(workers)]


def test_all_connections_together() -> None:
    guard, (a, b, c) = make(connections=3)
    assert a.enter(ONE) is None
    assert b.enter(TWO) is None
    assert c.enter(ONE) is None
    assert sum(guard.total) == 3
    assert a.enter(TWO) is TOO_MANY_CONNECTIONS
    b.leave(TWO)
    assert a.enter(TWO) is None
    assert sum(guard.total) == 3


def test_connections_of_one_address() -> None:
    guard, (a, b, c) = make(per_ip=2)
    assert a.enter(ONE) is None
    assert b.enter(ONE) is None
    assert c.enter(ONE) is TOO_MANY_FROM_HOST
    assert c.enter(TWO) is None
    assert sum(guard.total) == 3, "a refused one is not counted"
    a.leave(ONE)
    assert c.enter(ONE) is None


def test_zero_is_no_limit() -> None:
    _, (a, *_) = make()
    assert all(a.enter(ONE) is None for _ in range(500))


def test_leave_never_goes_below_nothing() -> None:
    guard, (a, *_) = make(per_ip=1)
    a.leave(ONE)
    assert sum(guard.total) == 0
    assert a.enter(ONE) is None
    assert a.enter(ONE) is TOO_MANY_FROM_HOST


def test_loopback_may_be_left_out() -> None:
    for ip in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        guard, (a, *_) = make(per_ip=1, exempt=True)
        assert [a.enter(ip) for _ in range(3)] == [None] * 3
        a.leave(ip)
        assert sum(guard.total) == 2
        _, (b, *_) = make(per_ip=1)
        assert [b.enter(ip) for _ in range(2)] == [None, TOO_MANY_FROM_HOST]


def test_ipv6_counts_by_its_64() -> None:
    _, (a, *_) = make(per_ip=1)
    assert a.enter("2001:db8:1:2::1") is None
    assert a.enter("2001:db8:1:2:ffff::9") is TOO_MANY_FROM_HOST
    assert a.enter("2001:db8:1:3::1") is None


def test_a_dead_worker_is_forgotten() -> None:
    guard, (a, b, _) = make(per_ip=2, connections=2)
    assert [a.enter(ONE), b.enter(ONE)] == [None] * 2
    guard.clear(0)
    assert sum(guard.total) == 1
    assert b.enter(ONE) is None
    assert b.enter(ONE) is TOO_MANY_CONNECTIONS


def test_counts_are_seen_in_other_processes() -> None:
    guard, (a, b, _) = make(per_ip=1)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if a.enter(ONE) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sum(guard.total) == 1
    assert b.enter(ONE) is TOO_MANY_FROM_HOST


def test_more_addresses_than_are_remembered() -> None:
    _, (a, *_) = make(workers=1, per_ip=1, connections=1_000_000)
    assert a.enter(ONE) is None
    for i in range(10_001):
        a.enter(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
    assert a.enter(ONE) is TOO_MANY_FROM_HOST


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.1", b"\xc0\x00\x02\x01"),
        ("::ffff:192.0.2.1", b"\xc0\x00\x02\x01"),
        ("2001:db8::1", b"\x20\x01\x0d\xb8" + bytes(4)),
        ("fe80::1%eth0", b"\xfe\x80" + bytes(6)),
        ("::1", bytes(15) + b"\x01"),
        ("", b""),
        ("odd:thing", b"odd:thing"),
    ],
)
def test_network_of(ip: str, network: bytes) -> None:
    assert network_of(ip) == network


def test_loopback() -> None:
    assert [is_loopback(network_of(ip)) for ip in ("127.1.2.3", "::1", "128.0.0.1", "7f00::")] == [
        True,
        True,
        False,
        False,
    ]
