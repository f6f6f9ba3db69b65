"""Addresses, networks, host names and durations as text."""

import socket

import pytest

from fastsmtp.config.values import (
    Duration,
    check_hostname,
    parse_duration,
    parse_endpoint,
    parse_host_port,
    parse_ip,
    parse_network,
)


@pytest.mark.parametrize(
    ("text", "family", "host", "port", "loopback"),
    [
        ("127.0.0.1:2525", socket.AF_INET, "127.0.0.1", 2525, True),
        ("0.0.0.0:25", socket.AF_INET, "0.0.0.0", 25, False),
        ("[::1]:2525", socket.AF_INET6, "::1", 2525, True),
        ("[2001:DB8:0::1]:0", socket.AF_INET6, "2001:db8::1", 0, False),
    ],
)
def test_endpoint(text: str, family: int, host: str, port: int, loopback: bool) -> None:
    endpoint = parse_endpoint(text)
    assert endpoint == (family, host, port)
    assert endpoint.loopback is loopback
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2525", "ADDRESS:PORT"),
        (":2525", "ADDRESS:PORT"),
        ("", "ADDRESS:PORT"),
        ("localhost:2525", "not a name"),
        ("127.0.0.1:x", "a port"),
        ("127.0.0.1:65536", "a port"),
        ("127.0.0.1:-1", "a port"),
        ("127.0.0.1:٢", "a port"),
        ("::1:2525", "brackets"),
        ("[127.0.0.1]:25", "brackets"),
    ],
)
def test_bad_endpoint(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mail.example.org:25", "mail.example.org", 25),
        ("localhost:65535", "localhost", 65535),
        ("127.0.0.1:2502", "127.0.0.1", 2502),
        ("[2001:DB8:0::1]:24", "2001:db8::1", 24),
    ],
)
def test_host_and_port(text: str, host: str, port: int) -> None:
    assert parse_host_port(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mail.example.org", "HOST:PORT"),
        (":25", "HOST:PORT"),
        ("", "HOST:PORT"),
        ("mail.example.org:0", "a port"),
        ("mail.example.org:65536", "a port"),
        ("mail.example.org:000025", "a port"),
        ("mail.example.org:smtp", "a port"),
        ("mail example:25", "a host name"),
        ("192.0.2:25", "not an address"),
        ("::1:25", "brackets"),
        ("[127.0.0.1]:25", "brackets"),
        ("[mail.example.org]:25", "a host name"),
    ],
)
def test_bad_host_and_port(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_host_port(text)


def test_network() -> None:
    assert str(parse_network("10.0.0.0/8")) == "10.0.0.0/8"
    assert str(parse_network("::1")) == "::1/128"
    with pytest.raises(ValueError, match=r'did you mean "10\.0\.0\.0/8"'):
        parse_network("10.1.0.0/8")
    with pytest.raises(ValueError, match="expected a network"):
        parse_network("here")


def test_ip() -> None:
    assert str(parse_ip("::ffff:192.0.2.1")) == "192.0.2.1"
    assert str(parse_ip("fe80::1%eth0")) == "fe80::1"
    assert parse_ip("unknown") is None


@pytest.mark.parametrize("name", ["localhost", "mx.example.org", "mx_1.xn--bcher-kva.example", "A1.B-2"])
def test_hostname(name: str) -> None:
    assert check_hostname(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a..b", "-a.example", "a b", "mx.example.org.", "192.0.2.1", "bücher.example", "a" * 64, "a.\r\n"],
)
def test_bad_hostname(name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        check_hostname(name)


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("90s", 90, "1m30s"),
        ("1m", 60, "1m"),
        ("5d", 432_000, "5d"),
        ("1h30m", 5400, "1h30m"),
        ("1d2h3m4s", 93_784, "1d2h3m4s"),
        ("48h", 172_800, "2d"),
        ("0s", 0, "0s"),
        ("999999999d", 86_399_999_913_600, "999999999d"),
    ],
)
def test_duration(text: str, seconds: int, shown: str) -> None:
    assert parse_duration(text) == seconds
    assert str(parse_duration(text)) == shown
    assert parse_duration(shown) == seconds


def test_duration_of_less_than_a_second() -> None:
    assert str(Duration(60.25)) == "1m0.25s"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "5 m",
        "5M",
        "-5m",
        "1.5h",
        "5m1h",
        "5m5m",
        "1w",
        "٥m",
        "5m\n",
        "1" * 10 + "s",
        "9" * 5000,
    ],
)
def test_bad_duration(text: str) -> None:
    with pytest.raises(ValueError, match='such as "90s", "5m", "1h30m" or "5d", got'):
        parse_duration(text)
