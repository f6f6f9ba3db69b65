"""Return-Path and Received (RFC 5321 §4.4)."""

import email.utils
import re
from datetime import UTC, datetime

import pytest

from fastsmtp.intake.trace_fields import TraceFields, date_field
from fastsmtp.mail.envelope import Envelope, Recipient


def envelope(**changed: object) -> Envelope:
    fields: dict[str, object] = {
        "id": "ID42",
        "sender": "a@b.test",
        "recipients": [Recipient("c@d.test", "c@d.test")],
        "client_ip": "192.0.2.1",
        "helo": "client.test",
        "protocol": "ESMTP",
        "received_at": 1_700_000_000.9,
    }
    return Envelope(**{**fields, **changed})  # type: ignore[arg-type]


def make(**changed: object) -> str:
    return TraceFields("mx.test").make(envelope(**changed)).decode()


def test_the_two_fields() -> None:
    assert make() == (
        "Return-Path: <a@b.test>\r\n"
        "Received: from client.test ([192.0.2.1])\r\n"
        "\tby mx.test (fastsmtp) with ESMTP id ID42\r\n"
        "\tfor <c@d.test>; Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    )


def test_the_null_sender() -> None:
    assert make(sender="").startswith("Return-Path: <>\r\n")


def test_an_ipv6_client_stands_in_a_literal() -> None:
    assert "from client.test ([IPv6:2001:db8::1])\r\n" in make(client_ip="2001:db8::1")


@pytest.mark.parametrize("protocol", ["SMTP", "ESMTP", "UTF8SMTP"])
def test_with(protocol: str) -> None:
    assert f" with {protocol} id ID42" in make(protocol=protocol)


def test_what_this_server_made_itself_came_from_nobody() -> None:
    made = make(client_ip="", helo="", protocol="", sender="")
    assert made.startswith("Return-Path: <>\r\nReceived: by mx.test (fastsmtp) id ID42; ")
    assert made.count("\r\n") == 2


def test_for_discloses_nobody() -> None:
    two = [Recipient("c@d.test", "c@d.test"), Recipient("e@d.test", "e@d.test")]
    assert "for" not in make(recipients=two).replace("fastsmtp", "")
    assert "@d.test" not in make(recipients=two)
    assert make(recipients=two).endswith("id ID42; Tue, 14 Nov 2023 22:13:20 +0000\r\n")


def test_other_letters_are_utf8() -> None:
    assert (
        TraceFields("mx.test")
        .make(envelope(sender="ü@b.test"))
        .startswith("Return-Path: <ü@b.test>\r\n".encode())
    )


@pytest.mark.parametrize(
    "seconds",
    [
        0,
        951_782_400,
        1_078_012_800,
        1_700_000_000,
        1_704_067_199,
        1_709_164_800,
        4_102_444_800,
        *range(0, 31_536_000, 2_629_800),
    ],
)
def test_dates_can_be_read_back(seconds: int) -> None:
    text = date_field(seconds)
    assert email.utils.parsedate_to_datetime(text) == datetime.fromtimestamp(seconds, UTC)
    assert text == datetime.fromtimestamp(seconds, UTC).strftime("%a, ") + text[5:]
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000", text)


def test_each_message_has_its_own_time() -> None:
    fields = TraceFields("mx.test")
    made = [fields.make(envelope(received_at=at)).decode() for at in (100.0, 100.9, 101.0, 99.5)]
    assert [text[-16:-8] for text in made] == ["00:01:40", "00:01:40", "00:01:41", "00:01:39"]


def test_every_line_is_a_header_line() -> None:
    for line in make().split("\r\n")[:-1]:
        assert re.match(r"[A-Za-z-]+: |\t", line)
        assert "\n" not in line
        assert "\r" not in line
