"""Whole notifications: as people may read them in tests/unit/bounces/, and field by field as programs do."""

from pathlib import Path

import pytest

from fastsmtp.bounce.decide import Action, Outcome, decide
from fastsmtp.bounce.dsn import Dsn, compose, wanted
from fastsmtp.bounce.original import HEADERS_LIMIT, WHOLE_LIMIT, Original
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from tests.tools.bounce_reader import read

GOLDEN = Path(__file__).parent / "bounces"
AT = 1_764_000_000.0
NOW = AT + 432_060
MAIL = (
    b"Return-Path: <alice@example.org>\r\n"
    b"Received: from client.test ([192.0.2.9])\r\n\tby mx.example.org (fastsmtp) with ESMTP id 0AbCdEfGhIjKl;\r\n"
    b"\tMon, 24 Nov 2025 16:00:00 +0000\r\n"
    b"From: Alice <alice@example.org>\r\nTo: bob@far.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from here\r\n"
    b"Date: Mon, 24 Nov 2025 15:59:58 +0000\r\nMessage-ID: <1@example.org>\r\n"
    b"\r\nHello Bob\r\n"
)
UNKNOWN = DeliveryResult(
    0,
    "failed",
    550,
    "5.1.1",
    "5.1.1 <bob@far.test>: no such user here, and none of a similar name; see https://far.test/help",
    "mx.far.test[192.0.2.1]:25",
    "smtp",
)
SILENT = DeliveryResult(0, "deferred", 0, "4.4.1", "no host of far.test answers", "", "x-fastsmtp")
TAKEN = DeliveryResult(
    0, "relayed", 250, "2.0.0", "2.0.0 queued as 4711", "mx.far.test[192.0.2.1]:25", "smtp"
)
STORED = DeliveryResult(0, "delivered", 0, "2.0.0", "", "", "x-fastsmtp")


def envelope(sender: str = "alice@example.org", **params: str) -> Envelope:
    return Envelope("0AbCdEfGhIjKl", sender, [], "192.0.2.9", "client.test", "ESMTP", AT, params or None)


def outcome(recipient: Recipient, action: Action = "failed", result: DeliveryResult = UNKNOWN) -> Outcome:
    return Outcome(recipient, action, result, AT + 60, AT + 432_000)


def only(of: Envelope, *outcomes: Outcome, content: bytes = MAIL, postmaster: str = "") -> Dsn:
    """The only notification that is owed."""
    (notice,) = decide(of, outcomes, postmaster).notices
    original = Original(content[: wanted(notice, of, len(content))], len(content))
    return compose(notice, of, original, "mx.example.org", "0BbCdEfGhIjKl", NOW)


BOB = Recipient("bob@far.test", "", {"ORCPT": "rfc822;Bob@far.test"})
SUCCESS = {"NOTIFY": "SUCCESS"}
EXAMPLES = {
    "failed": only(envelope(ENVID="QQ+3D314159"), outcome(BOB)),
    "failed-whole": only(
        envelope(RET="FULL"),
        outcome(BOB),
        outcome(Recipient("carol@home.test", "", None, None, "info@example.org"), result=SILENT),
    ),
    "delayed": only(envelope(), outcome(BOB, "delayed", SILENT)),
    "succeeded": only(
        envelope(),
        outcome(Recipient("dave@example.org", "dave@example.org", SUCCESS), "delivered", STORED),
        outcome(Recipient("erin@far.test", "", SUCCESS), "relayed", TAKEN),
        outcome(Recipient("team@example.org", "", SUCCESS), "expanded", STORED),
    ),
    "list": only(
        envelope(),
        outcome(Recipient("bob@far.test", "", None, "talk-owner@example.org", "talk@example.org")),
    ),
    "double": only(
        envelope(""), outcome(Recipient("nobody@far.test", "")), postmaster="postmaster@mx.example.org"
    ),
    "international": only(
        envelope("älice@example.org", SMTPUTF8=""),
        outcome(Recipient("böb@far.test", "", {"ORCPT": r"utf-8;b\x{F6}b@far.test"})),
        content=MAIL.replace(b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße".encode()),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example(name: str) -> None:
    expected = (GOLDEN / f"{name}.eml").read_text()
    assert EXAMPLES[name].content.decode() == expected.replace("\n", "\r\n")


def test_every_example_is_one_of_these() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(EXAMPLES)


def test_the_head_of_a_failure() -> None:
    found = read(EXAMPLES["failed"])
    head = found.head
    assert EXAMPLES["failed"].recipient == "alice@example.org"
    assert EXAMPLES["failed"].params is None
    assert head["From"].addresses[0].addr_spec == "MAILER-DAEMON@mx.example.org"
    assert head["From"].addresses[0].display_name == "Mail Delivery System"
    assert [address.addr_spec for address in head["To"].addresses] == ["alice@example.org"]
    assert head["Subject"] == "Not delivered: bob@far.test"
    assert head["Date"].datetime.timestamp() == NOW
    assert head["Message-ID"] == "<0BbCdEfGhIjKl@mx.example.org>"
    assert head["In-Reply-To"] == head["References"] == "<1@example.org>"
    assert head["Auto-Submitted"] == "auto-replied"
    assert head["MIME-Version"] == "1.0"


def test_the_parts_of_a_failure() -> None:
    found = read(EXAMPLES["failed"])
    assert "Subject: Grüße from here" in found.text
    assert found.status_type == "message/delivery-status"
    assert found.message["Original-Envelope-Id"] == "QQ=314159"
    assert [one["Action"] for one in found.recipients] == ["failed"]
    assert found.recipients[0]["Original-Recipient"] == "rfc822; Bob@far.test"
    assert found.recipients[0]["Diagnostic-Code"] == f"smtp; 550 {UNKNOWN.text}"
    assert found.original_type == "text/rfc822-headers"
    assert found.original == MAIL.partition(b"\r\n\r\n")[0] + b"\r\n"


def test_the_whole_message_comes_back_to_who_asks() -> None:
    found = read(EXAMPLES["failed-whole"])
    assert (found.original_type, found.original) == ("message/rfc822", MAIL)
    assert [one["Final-Recipient"] for one in found.recipients] == [
        "rfc822; bob@far.test",
        "rfc822; info@example.org",
    ]


def test_a_message_that_is_too_long_does_not() -> None:
    long = MAIL + b"x\r\n" * (WHOLE_LIMIT // 3)
    dsn = only(envelope(RET="FULL"), outcome(BOB), content=long)
    assert read(dsn).original_type == "text/rfc822-headers"
    assert len(dsn.content) < 5000


@pytest.mark.parametrize(
    ("ret", "size", "octets"),
    [
        ("FULL", 100, 100),
        ("FULL", WHOLE_LIMIT, WHOLE_LIMIT),
        ("FULL", WHOLE_LIMIT + 1, HEADERS_LIMIT),
        ("HDRS", 100, 100),
        ("HDRS", WHOLE_LIMIT, HEADERS_LIMIT),
    ],
)
def test_no_more_is_read_than_needed(ret: str, size: int, octets: int) -> None:
    of = envelope(RET=ret)
    assert wanted(decide(of, [outcome(BOB)]).notices[0], of, size) == octets


def test_an_eight_bit_body_asks_for_eight_bits() -> None:
    dsn = only(envelope(RET="FULL", BODY="8BITMIME"), outcome(BOB), content=MAIL + b"gr\xf6\xdfe\r\n")
    assert dsn.params == {"BODY": "8BITMIME"}
    found = read(dsn)
    assert found.original == MAIL + b"gr\xf6\xdfe\r\n"
    assert found.head["Content-Transfer-Encoding"] == "8bit"
    assert only(envelope(BODY="8BITMIME"), outcome(BOB), content=MAIL + b"gr\xf6\xdfe\r\n").params is None


def test_success_is_told_of_all_three_kinds() -> None:
    found = read(EXAMPLES["succeeded"])
    assert [one["Action"] for one in found.recipients] == ["delivered", "relayed", "expanded"]
    assert {one["Status"] for one in found.recipients} == {"2.0.0"}
    assert found.head["Subject"] == "Passed on: dave@example.org and 2 more"


def test_the_postmaster_gets_it_all_and_it_answers_nobody() -> None:
    dsn = EXAMPLES["double"]
    found = read(dsn)
    assert dsn.recipient == "postmaster@mx.example.org"
    assert found.head["Auto-Submitted"] == "auto-generated"
    assert found.original == MAIL


def test_an_international_one() -> None:
    dsn = EXAMPLES["international"]
    assert dsn.params == {"BODY": "8BITMIME", "SMTPUTF8": ""}
    found = read(dsn)
    assert b"\r\nTo: <" + "älice@example.org".encode() + b">\r\n" in dsn.content
    assert found.head["Subject"] == "Not delivered: böb@far.test"
    assert found.status_type == "message/global-delivery-status"
    assert found.recipients[0]["Original-Recipient"] == "utf-8; böb@far.test"
    assert found.recipients[0]["Final-Recipient"] == "utf-8; böb@far.test"
    assert found.original_type == "message/global-headers"
    assert "Subject: Grüße from here\r\n" in found.original.decode()


def test_to_a_sender_of_plain_letters_it_is_7_bit_whatever_it_is_about() -> None:
    for ret in ("HDRS", "FULL"):
        dsn = only(
            envelope(SMTPUTF8="", RET=ret),
            outcome(Recipient("böb@far.test", "")),
            content="Subject: Grüße\r\n\r\nHallo Böb\r\n".encode(),
        )
        assert dsn.params is None
        found = read(dsn)
        assert found.head["Subject"] == "Not delivered: böb@far.test"
        assert found.recipients[0]["Final-Recipient"] == r"utf-8; b\x{F6}b@far.test"
        assert found.original_type == {"HDRS": "message/global-headers", "FULL": "message/global"}[ret]
        assert "Subject: Grüße\r\n" in found.original.decode()


def test_what_may_only_travel_encrypted_is_told_of_in_the_same_way_and_stays_where_it_is() -> None:
    for sender, postmaster in (("alice@example.org", ""), ("", "postmaster@mx.example.org")):
        dsn = only(envelope(sender, RET="FULL", REQUIRETLS=""), outcome(BOB), postmaster=postmaster)
        assert dsn.params == {"REQUIRETLS": ""}
        assert read(dsn).original_type == "text/rfc822-headers"


@pytest.mark.parametrize("sender", ["x" * 1500 + "@example.org", "ä" * 700 + "@example.org"])
def test_an_address_too_long_for_a_line_is_only_in_the_envelope(sender: str) -> None:
    dsn = only(envelope(sender, SMTPUTF8=""), outcome(BOB))
    assert dsn.recipient == sender
    assert read(dsn).head["To"] == "undisclosed-recipients:;"


def test_an_address_that_looks_encoded_is_not_decoded() -> None:
    dsn = only(envelope(), outcome(Recipient("=?utf-8?q?=0A?=@far.test", "")))
    assert read(dsn).head["Subject"] == "Not delivered: =?utf-8?q?=0A?=@far.test"
