"""From 8-bit or binary content to seven bits: what has to change does, and means the same."""

import email
import email.message
import email.policy

import pytest

from fastsmtp.mail.seven_bit import DEEPEST, to_seven_bit

TEXT = "Grüße, \t\r\n.\r\n=\r\nFrom x \r\n" + "ü" * 200 + "\r\n\r\nend"
PLAIN = b"MIME-Version: 1.0\r\nSubject: x\r\nContent-Type: text/plain; charset=utf-8\r\n"
EIGHT = b"Content-Transfer-Encoding: 8bit\r\n"


def converted(message: bytes) -> bytes:
    result = to_seven_bit(message)
    assert result is not None
    assert result.isascii()
    assert b"\n" not in result.replace(b"\r\n", b"")
    assert all(len(line) <= 76 for line in result.split(b"\r\n") if line.startswith(b"="))
    return result


def leaves(message: bytes) -> list[bytes]:
    """The decoded bodies of all parts that have no parts."""
    parsed = email.message_from_bytes(message, policy=email.policy.compat32)
    return [bytes(part.get_payload(decode=True)) for part in parsed.walk() if not part.is_multipart()]


def test_text_becomes_quoted_printable() -> None:
    result = converted(PLAIN + EIGHT + b"\r\n" + TEXT.encode())
    assert result.startswith(
        PLAIN + b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe, =09\r\n=2E\r\n=3D"
    )
    assert leaves(result) == [TEXT.encode()]


def test_fields_stand_where_they_stood() -> None:
    message = EIGHT + PLAIN + b"X: 1\r\n 2\r\n\r\n\xc3\xa9\r\n"
    assert converted(message) == (
        b"Content-Transfer-Encoding: quoted-printable\r\n" + PLAIN + b"X: 1\r\n 2\r\n\r\n=C3=A9\r\n"
    )


def test_a_label_that_is_lacking_or_wrong() -> None:
    for label in (b"", b"content-transfer-encoding:  7BIT \r\n"):
        assert leaves(converted(PLAIN + label + b"\r\n\xc3\xa9\r\n")) == [b"\xc3\xa9\r\n"]


def test_what_is_no_text_becomes_base64() -> None:
    for kind, body in (
        (b"image/png", b"\x89PNG\r\n\x1a\n" * 40),
        (b"text/plain", b"a\xff\nb\r"),
        (b"text/x", b"\0\xff"),
    ):
        message = (
            b"MIME-Version: 1.0\r\nContent-Type: "
            + kind
            + b"\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            + body
        )
        result = converted(message)
        assert b"Content-Transfer-Encoding: base64\r\n" in result
        assert leaves(result) == [body]


def test_a_message_that_is_not_mime() -> None:
    assert converted(b"Subject: x\r\n\r\n\xe9\r\n") == (
        b"Subject: x\r\nContent-Type: text/plain; charset=unknown-8bit\r\nMIME-Version: 1.0\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n"
    )
    assert converted(b"\r\n\xe9").endswith(b"\r\n\r\n=E9")


MULTI = (
    b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"
    b'Content-Type: multipart/mixed;\r\n boundary="a+b"\r\n\r\npreamble\r\n'
    b"--a+b\r\n\r\nplain\r\n"
    b"--a+b \r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>\xc3\xa9</p>\r\n"
    b"--a+b\r\nno header at all\r\n"
    b"--a+b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
    b"--a+b\r\n"
    b"--a+b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe9\r\n"
    b"--a+b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nseven\r\n"
    b"--a+b--\r\nepilogue\r\n--a+b\r\n"
)


def test_only_the_parts_that_need_it_change() -> None:
    expected = (
        MULTI.replace(b"8bit\r\nContent-Type: multipart", b"7bit\r\nContent-Type: multipart")
        .replace(b"8bit\r\n\r\n<p>\xc3\xa9</p>", b"quoted-printable\r\n\r\n<p>=C3=A9</p>")
        .replace(b"8bit\r\n\r\n\xe9", b"quoted-printable\r\n\r\n=E9")
        .replace(b"8bit\r\n\r\nseven", b"7bit\r\n\r\nseven")
    )
    assert converted(MULTI) == expected


def test_what_is_ascii_stays() -> None:
    for message in (b"", b"x", b"Subject: x\r\n\r\nhello", PLAIN + b"\r\na\nb", b"no header\r\n\r\nx"):
        assert to_seven_bit(message) == message


MULTIPART = b"Content-Type: multipart/%s; boundary=b\r\n\r\n--b\r\nContent-Type: %s\r\n\r\n\xe9\r\n--b--\r\n"


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: \xe9\r\n\r\nhello\r\n",
        MULTIPART % (b"signed", b"text/plain"),
        MULTIPART % (b"mixed", b"message/partial"),
        MULTIPART % (b"mixed", b"text/\xe9"),
        b"Content-Type: multipart/mixed\r\n\r\n\xe9\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n\xe9\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\xe9\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n\xe9",
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n\xe9\r\n",
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\n\xe9\r\n",
        b"no header \xe9\r\n",
        b"Subject: x\r\nno field\r\n\r\n\xe9\r\n",
        b"Content-Type: message/rfc822\r\n\r\n" * (DEEPEST + 2) + b"\r\n\xe9\r\n",
    ],
)
def test_what_has_no_faithful_form(message: bytes) -> None:
    assert to_seven_bit(message) is None


def test_a_part_of_another_kind_of_message_may_be_encoded() -> None:
    # RFC 6532 §3.7 lets message/global be, whose own header may be UTF-8
    result = converted(MULTIPART % (b"mixed", b"message/global"))
    assert b"base64\r\n\r\n6Q==\r\n" in result


def test_the_parts_of_a_digest_are_messages() -> None:
    message = (
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\n\xe9\r\n--b--\r\n"
    )
    assert (
        b"\r\n\r\nSubject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--b--"
        in converted(message)
    )


def test_many_parts_take_linear_time() -> None:
    body = b"--b\r\nContent-Type: text/plain\r\n\r\n\xe9\r\n" * 20_000
    assert len(converted(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body + b"--b--\r\n")) > len(
        body
    )
