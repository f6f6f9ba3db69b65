"""Headers of the PROXY protocol, at every cut."""

import pytest

from fastsmtp.session.proxy import LONGEST, SIGNATURE, ProxyError, read

V6 = bytes.fromhex("20010db8000000000000000000000001")


def version_2(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest


GOOD = [
    (b"PROXY TCP4 203.0.113.9 192.0.2.2 4711 25\r\n", "203.0.113.9"),
    (b"PROXY TCP6 2001:DB8::1 2001:db8::2 4711 25\r\n", "2001:db8::1"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN 1 2 3 4\r\n", ""),
    (version_2(0x21, 0x11, bytes([203, 0, 113, 9]) + bytes(8)), "203.0.113.9"),
    (version_2(0x21, 0x11, bytes([203, 0, 113, 9]) + bytes(8) + b"\x04\x00\x02hi"), "203.0.113.9"),
    (version_2(0x21, 0x21, V6 * 2 + bytes(4)), "2001:db8::1"),
    (version_2(0x20, 0x00, b""), ""),
    (version_2(0x20, 0x11, bytes(12)), ""),
    (version_2(0x21, 0x31, bytes(216)), ""),
]


@pytest.mark.parametrize(("header", "ip"), GOOD)
def test_a_header(header: bytes, ip: str) -> None:
    for cut in range(len(header)):
        assert read(header[:cut]) is None
    assert read(header) == (ip, len(header))
    assert read(header + b"EHLO x\r\n") == (ip, len(header))


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO x\r\n",
        b"\n",
        b"proxy TCP4 203.0.113.9 192.0.2.2 4711 25\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.2 4711\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 4711 25\r\n",
        b"PROXY TCP4 \xff 192.0.2.2 4711 25\r\n",
        b"PROXY UDP4 203.0.113.9 192.0.2.2 4711 25\r\n",
        b"PROXY \r\n",
        b"PROXY " + b"x" * 101,
        version_2(0x22, 0x11, bytes(12)),
        version_2(0x11, 0x11, bytes(12)),
        version_2(0x21, 0x11, bytes(11)),
        version_2(0x21, 0x21, bytes(35)),
        version_2(0x21, 0x11, bytes(LONGEST)),
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(ProxyError):
        read(data)
