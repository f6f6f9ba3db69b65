"""The form in which domain names are kept and compared."""

import pytest

from fastsmtp.dns.names import matches, normal


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Far.Test", "far.test"),
        ("far.test.", "far.test"),
        ("_25._tcp.mx.far.test", "_25._tcp.mx.far.test"),
        ("münchen.test", "xn--mnchen-3ya.test"),
        ("MÜNCHEN.TEST.", "xn--mnchen-3ya.test"),
        ("a" * 63 + ".test", "a" * 63 + ".test"),
        ("test", "test"),
    ],
)
def test_normal(given: str, expected: str) -> None:
    assert normal(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        ".",
        "..",
        "a..b",
        ".far.test",
        "far.test..",
        "far test",
        "far.test\n",
        "a\\.b",
        "-far.test",
        "far-.test",
        "a" * 64 + ".test",
        ".".join(["a" * 60] * 5),
        "ü" * 300,
        "ü..test",
        "\x00.test",
        "a/b",
        "*.far.test",
    ],
)
def test_what_cannot_be_a_name(given: str) -> None:
    with pytest.raises(ValueError, match="domain name"):
        normal(given)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("mx.far.test", "mx.far.test", True),
        ("mx.far.test", "mx2.far.test", False),
        ("*.far.test", "mx.far.test", True),
        ("*.far.test", "a.mx.far.test", False),
        ("*.far.test", "far.test", False),
        ("*.test", "test", False),
        ("*.far.test", "mxfar.test", False),
    ],
)
def test_matches(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected
