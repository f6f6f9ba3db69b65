"""Which places share their connections."""

from typing import Any

import pytest

from fastsmtp.dns.base import Addresses, Tlsa
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.place import Place, Target
from fastsmtp.transport.smtp.policy import Protection

A = Host("a.mx.test", 25, Addresses(v4=("192.0.2.1",)))
B = Host("b.mx.test", 25, Addresses(v4=("192.0.2.2",)))
OTHER_LOOK_UP = Host("a.mx.test", 25, Addresses(v4=("192.0.2.3", "192.0.2.1")))
HASH = Tlsa(3, 1, 1, b"x" * 32)
ANCHOR = Tlsa(2, 1, 1, b"x" * 32)


def needs(level: Any = "may", domain: str = "one.test", **more: Any) -> Protection:
    return Protection(level=level, reason=f"because of {domain}", domain=domain, **more)


def key(*pairs: tuple[Host, Protection], **more: Any) -> str:
    return Place("site", [Target(host, what, **more) for host, what in pairs]).key


def test_domains_of_one_site_share_whatever_the_order() -> None:
    mine, theirs = needs(), needs(domain="two.test", policy="sts")
    assert key((A, mine), (B, mine)) == key((B, theirs), (OTHER_LOOK_UP, theirs))


def test_names_matter_only_where_they_are_looked_at() -> None:
    assert key((A, needs("dane", names=("a", "one.test"), tlsa=(HASH,)))) == key(
        (A, needs("dane", names=("a", "two.test"), tlsa=(HASH,)))
    )
    assert key((A, needs("dane", names=("a", "one.test"), tlsa=(ANCHOR,)))) != key(
        (A, needs("dane", names=("a", "two.test"), tlsa=(ANCHOR,)))
    )
    assert key((A, needs("verify", names=("a",)))) != key((A, needs("verify", names=("b",))))


@pytest.mark.parametrize(
    "other",
    [
        key((A, needs("encrypt"))),
        key((A, needs("dane", tlsa=(HASH,)))),
        key((A, needs(requiretls=True))),
        key((A, needs(refused="never"))),
        key((B, needs())),
        key((A, needs()), (B, needs())),
        key((A, needs()), lmtp=True),
        key((A, needs()), implicit=True),
        key((A, needs()), account="smarthost"),
    ],
)
def test_what_is_not_the_same_is_not_shared(other: str) -> None:
    assert key((A, needs())) != other
