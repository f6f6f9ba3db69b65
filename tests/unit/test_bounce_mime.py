"""Fields fold and cannot be left; parts are encoded where they must be; a boundary is in none of them."""

import pytest

from fastsmtp.bounce.mime import Part, encoded, field, lines_are_good, multipart


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("short", ["Name: short"]),
        ("", ["Name:"]),
        ("  blanks at both ends  ", ["Name: blanks at both ends"]),
        ("a" * 60 + " " + "b" * 60, ["Name: " + "a" * 60, " " + "b" * 60]),
        ("a" * 70 + "   " + "b" * 60, ["Name: " + "a" * 70, "   " + "b" * 60]),  # blanks stay as they are
        ("a" * 900, ["Name: " + "a" * 900]),
        ("a" * 1000, ["Name: " + "a" * 234, *[" " + "a" * 240] * 3, " " + "a" * 46]),
        ("a" + " " * 99 + "b", ["Name: a", " " * 99 + "b"]),
        ("a" + " " * 3000 + "b", ["Name: a b"]),
        ("x\r\nBcc: all@far.test", ["Name: x??Bcc: all@far.test"]),
        ("x\0\x1b\x7f\x85\u2028\u202ey", ["Name: x??????y"]),
        ("größe", ["Name: gr??e"]),
    ],
)
def test_a_field(value: str, lines: list[str]) -> None:
    assert field("Name", value) == "".join(f"{line}\r\n" for line in lines).encode()


def test_utf8_where_it_is_allowed() -> None:
    assert field("Name", "größe\x85", utf8=True) == "Name: größe?\r\n".encode()
    long = field("Name", "😀" * 400, utf8=True)
    assert all(len(line) <= 998 for line in long.split(b"\r\n"))
    assert long.decode().replace("\r\n ", "") == "Name: " + "😀" * 400 + "\r\n"


@pytest.mark.parametrize(
    ("data", "good"),
    [
        (b"", True),
        (b"a\r\nb", True),
        (b"\xff\r\n", True),
        (b"a" * 998 + b"\r\n", True),
        (b"a" * 999 + b"\r\n", False),
        (b"a\rb", False),
        (b"a\nb", False),
        (b"a\r\r\nb", False),
        (b"\n\r\n", False),
        (b"a\r", False),
        (b"\0", False),
    ],
)
def test_lines(data: bytes, good: bool) -> None:
    assert lines_are_good(data) is good


@pytest.mark.parametrize(
    ("data", "eight_bit", "part"),
    [
        (b"a\r\n", False, Part("text/x", "7bit", b"a\r\n")),
        (b"\xe4\r\n", True, Part("text/x", "8bit", b"\xe4\r\n")),
        (b"\xe4=\r\n", False, Part("text/x", "quoted-printable", b"=E4=3D\r\n")),
        (b"\xe4", False, Part("text/x", "quoted-printable", b"=E4\r\n")),
        (b"\0\r\n", True, Part("text/x", "quoted-printable", b"=00\r\n")),
        (
            b"a" * 1000,
            False,
            Part("text/x", "quoted-printable", b"=\r\n".join([b"a" * 75] * 13 + [b"a" * 25 + b"\r\n"])),
        ),
    ],
)
def test_a_part(data: bytes, eight_bit: bool, part: Part) -> None:
    assert encoded("text/x", data, eight_bit) == part


def test_a_multipart() -> None:
    parts = [Part("text/plain", "7bit", b"one\r\n"), Part("text/x", "8bit", b"\xff")]
    boundary, body = multipart(parts)
    mark = b"--" + boundary.encode()
    assert body == (
        mark + b"\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\none\r\n\r\n" + mark
        + b"\r\nContent-Type: text/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff\r\n" + mark + b"--\r\n"
    )  # fmt: skip
    assert multipart(parts) == (boundary, body)


def test_who_writes_the_boundary_into_the_message_gets_another() -> None:
    boundary, _ = multipart([Part("text/plain", "7bit", b"")])
    again, body = multipart([Part("text/plain", "7bit", f"--{boundary}--\r\n".encode())])
    assert again != boundary
    assert body.count(again.encode()) == 2
