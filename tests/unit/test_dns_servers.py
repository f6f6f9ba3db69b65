"""Whom the resolver asks."""

from pathlib import Path

import pytest

from fastsmtp.dns.servers import servers
from fastsmtp.dns.settings import DnsSettings


def test_the_settings_come_first(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    found = servers(("127.0.0.1:5353", "[::1]:53"), tmp_path / "resolv.conf")
    assert [str(endpoint) for endpoint in found] == ["127.0.0.1:5353", "[::1]:53"]


def test_resolv_conf(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_bytes(
        b"# nameserver 192.0.2.9\nsearch far.test\nnameserver 192.0.2.1 extra\nnameserver\nnameserver \xff\n"
        b"nameserver 2001:db8::1\n  nameserver fe80::1%lo\nnameserver 192.0.2.4\noptions edns0\n"
    )
    found = servers((), tmp_path / "resolv.conf")
    assert [str(endpoint) for endpoint in found] == ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%lo]:53"]


def test_without_any_this_machine_is_asked(tmp_path: Path) -> None:
    assert [str(endpoint) for endpoint in servers((), tmp_path / "missing")] == ["127.0.0.1:53"]
    (tmp_path / "empty").write_text("")
    assert [str(endpoint) for endpoint in servers((), tmp_path / "empty")] == ["127.0.0.1:53"]


def test_a_server_is_an_address_and_a_port() -> None:
    with pytest.raises(ValueError, match=r"servers\[1\]: expected ADDRESS:PORT"):
        DnsSettings(servers=("127.0.0.1:53", "localhost"))
