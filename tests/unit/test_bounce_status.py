"""The fields for programs, and what they keep to themselves (RFC 3464 §2.2, §2.3, §4.2)."""

import pytest

from fastsmtp.bounce.decide import Action, Notice, Outcome
from fastsmtp.bounce.mime import Part
from fastsmtp.bounce.status import date, delivery_status, hidden, known_as, said, status_of
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from tests.tools.bounce_reader import fields

AT = 1_764_000_000.0
SRS = "SRS0=HHH=TT=example.org=alice@mx.example.org"
OWNER = "talk-owner@example.org"
RESULT = DeliveryResult(0, "failed", 550, "5.1.1", "5.1.1 no such user", "mx.far.test[192.0.2.1]:25", "smtp")


def groups(
    recipient: Recipient,
    action: Action = "failed",
    result: DeliveryResult = RESULT,
    params: dict[str, str] | None = None,
    utf8: bool = False,
    **notice: bool,
) -> tuple[dict[str, str], dict[str, str], Part]:
    """The fields of the message and of its only recipient."""
    envelope = Envelope(
        "0AbCdEfGhIjKl", "alice@example.org", [], "192.0.2.9", "client.test", "ESMTP", AT, params
    )
    outcome = Outcome(recipient, action, result, AT + 60, AT + 432_000)
    kind = action if action in ("failed", "delayed") else "succeeded"
    owed = Notice("alice@example.org", kind, (outcome,), **notice)  # type: ignore[arg-type]
    part = delivery_status(owed, envelope, "mx.example.org", utf8)
    first, second = part.body.removesuffix(b"\r\n").split(b"\r\n\r\n")
    return fields(first), fields(second), part


@pytest.mark.parametrize(
    ("params", "wish"),
    [
        ({"HOLDFOR": "3600"}, "for;3600"),
        ({"HOLDUNTIL": "2025-11-24T16:00:00Z"}, "until;2025-11-24T16:00:00Z"),
        ({"RET": "FULL"}, None),
    ],
)
def test_a_time_that_was_asked_for(params: dict[str, str], wish: str | None) -> None:
    """RFC 4865."""
    message, _, _ = groups(Recipient("bob@far.test", ""), params=params)
    assert message.get("Future-Release-Request") == wish
    message, _, _ = groups(Recipient("bob@far.test", "", None, OWNER), params=params, from_list=True)
    assert "Future-Release-Request" not in message


def test_all_fields_of_a_failure() -> None:
    message, recipient, part = groups(
        Recipient("bob@far.test", "", {"ORCPT": "rfc822;Bob+2B1@far.test"}), params={"ENVID": "QQ+3D1"}
    )
    assert list(message.items()) == [
        ("Original-Envelope-Id", "QQ=1"),
        ("Reporting-MTA", "dns; mx.example.org"),
        ("Received-From-MTA", "dns; client.test (192.0.2.9)"),
        ("Arrival-Date", "Mon, 24 Nov 2025 16:00:00 +0000"),
        ("X-Fastsmtp-Queue-Id", "0AbCdEfGhIjKl"),
    ]
    assert list(recipient.items()) == [
        ("Original-Recipient", "rfc822; Bob+1@far.test"),
        ("Final-Recipient", "rfc822; bob@far.test"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.far.test"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 no such user"),
        ("Last-Attempt-Date", "Mon, 24 Nov 2025 16:01:00 +0000"),
    ]
    assert (part.type, part.encoding) == ("message/delivery-status", "7bit")


def test_a_delay_says_until_when() -> None:
    _, recipient, _ = groups(
        Recipient("bob@far.test", ""),
        "delayed",
        DeliveryResult(0, "deferred", 0, "4.4.1", "no host answers", "", "x-fastsmtp"),
    )
    assert list(recipient.items()) == [
        ("Final-Recipient", "rfc822; bob@far.test"),
        ("Action", "delayed"),
        ("Status", "4.4.1"),
        ("Diagnostic-Code", "x-fastsmtp; no host answers"),
        ("Last-Attempt-Date", "Mon, 24 Nov 2025 16:01:00 +0000"),
        ("Will-Retry-Until", "Sat, 29 Nov 2025 16:00:00 +0000"),
    ]


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_a_success_of_ours_has_no_diagnosis(action: Action) -> None:
    result = DeliveryResult(0, "delivered", 0, "2.0.0", "to mailbox", "", "x-fastsmtp")
    _, recipient, _ = groups(Recipient("bob@example.org", "bob@example.org"), action, result)
    assert list(recipient) == ["Final-Recipient", "Action", "Status", "Last-Attempt-Date"]
    assert recipient["Action"] == action


def test_a_relayed_one_names_the_host_and_its_words() -> None:
    result = DeliveryResult(0, "relayed", 250, "2.0.0", "2.0.0 queued as X", "[192.0.2.1]:25", "smtp")
    _, recipient, _ = groups(Recipient("bob@far.test", ""), "relayed", result)
    assert recipient["Remote-MTA"] == "dns; [192.0.2.1]:25"
    assert recipient["Diagnostic-Code"] == "smtp; 250 2.0.0 queued as X"


@pytest.mark.parametrize(
    ("recipient", "known", "notice", "secret"),
    [
        (Recipient("bob@far.test", ""), "bob@far.test", {}, False),
        (Recipient("bob@far.test", "", None, None, "bob@far.test"), "bob@far.test", {}, False),
        (Recipient("bob@far.test", "", None, None, "Bob@Far.test"), "Bob@Far.test", {}, False),
        (Recipient("carol@home.test", "", None, None, "info@example.org"), "info@example.org", {}, True),
        (Recipient("carol@home.test", "", None, SRS, "info@example.org"), "info@example.org", {}, True),
        (
            Recipient("carol@home.test", "", None, OWNER, "talk@example.org"),
            "carol@home.test",
            {"from_list": True},
            False,
        ),
        (
            Recipient("carol@home.test", "", None, None, "info@example.org"),
            "info@example.org",
            {"double": True},
            False,
        ),
    ],
)
def test_where_mail_is_forwarded_to_is_for_those_who_know(
    recipient: Recipient, known: str, notice: dict[str, bool], secret: bool
) -> None:
    result = DeliveryResult(
        0, "failed", 550, "5.1.1", "no carol@home.test", "mx.home.test[192.0.2.7]:25", "smtp"
    )
    assert known_as(recipient) == known
    assert hidden(Notice("x@y.test", "failed", (), **notice), recipient) is secret
    _, found, part = groups(recipient, result=result, **notice)
    assert found["Final-Recipient"] == f"rfc822; {known}"
    assert ("Remote-MTA" in found, "Diagnostic-Code" in found) == (not secret, not secret)
    if secret:
        assert b"home.test" not in part.body


def test_a_list_s_members_are_told_of_without_what_the_author_asked_for() -> None:
    member = Recipient("carol@home.test", "", {"ORCPT": "rfc822;talk@example.org"}, OWNER, "talk@example.org")
    message, recipient, _ = groups(member, params={"ENVID": "QQ1"}, from_list=True)
    assert "Original-Envelope-Id" not in message
    assert "Original-Recipient" not in recipient


@pytest.mark.parametrize(
    ("address", "params", "utf8", "original", "final", "type", "encoding"),
    [
        ("böb@far.test", None, False, None, r"utf-8; b\x{F6}b@far.test", "delivery-status", "7bit"),
        ("böb@far.test", None, True, None, "utf-8; böb@far.test", "global-delivery-status", "8bit"),
        ("bob@far.test", None, True, None, "rfc822; bob@far.test", "delivery-status", "7bit"),
        (
            "bob@far.test",
            {"ORCPT": r"utf-8;b\x{F6}b\x{2B}1@far.test"},
            False,
            r"utf-8; b\x{F6}b\x{2B}1@far.test",
            "rfc822; bob@far.test",
            "delivery-status",
            "7bit",
        ),
        (
            "bob@far.test",
            {"ORCPT": r"utf-8;b\x{F6}b\x{2B}1@far.test"},
            True,
            "utf-8; böb+1@far.test",
            "rfc822; bob@far.test",
            "global-delivery-status",
            "8bit",
        ),
        (
            "bob@far.test",
            {"ORCPT": "utf-8;böb@far.test"},
            False,
            r"utf-8; b\x{F6}b@far.test",
            "rfc822; bob@far.test",
            "delivery-status",
            "7bit",
        ),
        (
            "bob@far.test",
            {"ORCPT": r"utf-8;x\x{0D}\x{0A}y@far.test"},
            False,
            r"utf-8; x\x{0D}\x{0A}y@far.test",
            "rfc822; bob@far.test",
            "delivery-status",
            "7bit",
        ),
        (
            "bob@far.test",
            {"ORCPT": "rfc822;x+0D+0AAction:+20delivered"},
            False,
            "rfc822; x+0D+0AAction:+20delivered",
            "rfc822; bob@far.test",
            "delivery-status",
            "7bit",
        ),
    ],
)
def test_addresses_outside_ascii(
    address: str,
    params: dict[str, str] | None,
    utf8: bool,
    original: str | None,
    final: str,
    type: str,
    encoding: str,
) -> None:
    _, recipient, part = groups(Recipient(address, "", params), utf8=utf8)
    assert recipient.get("Original-Recipient") == original
    assert recipient["Final-Recipient"] == final
    assert (part.type, part.encoding) == (f"message/{type}", encoding)


def test_words_that_would_be_more_than_words() -> None:
    words = "x\r\n\r\nFinal-Recipient: rfc822; eve@far.test =?utf-8?q?=0A?= größe"
    result = DeliveryResult(0, "failed", 550, "5.1.1", words, "evil\r\nX: y[192.0.2.1]:25", "smtp")
    _, recipient, _ = groups(Recipient("b\r\nob@far.test", ""), result=result)
    assert recipient["Final-Recipient"] == "rfc822; b??ob@far.test"
    assert recipient["Remote-MTA"] == "dns; evil??X: y"
    assert recipient["Diagnostic-Code"] == (
        "smtp; 550 x????Final-Recipient: rfc822; eve@far.test = ?utf-8?q?=0A?= gr??e"
    )


def test_mail_made_here_was_received_from_nobody() -> None:
    envelope = Envelope("0", "alice@example.org", [], "", "", "", AT)
    outcome = Outcome(Recipient("bob@far.test", ""), "failed", RESULT, AT)
    part = delivery_status(
        Notice("alice@example.org", "failed", (outcome,)), envelope, "mx.example.org", False
    )
    assert b"Received-From-MTA" not in part.body


@pytest.mark.parametrize(
    ("action", "enhanced", "status"),
    [
        ("failed", "5.1.1", "5.1.1"),
        ("failed", "4.4.1", "4.4.1"),  # time ran out
        ("failed", "5.7.508", "5.7.508"),
        ("failed", "2.0.0", "5.0.0"),
        ("failed", "", "5.0.0"),
        ("failed", "5.01.1", "5.0.0"),
        ("failed", "5.1.1 x", "5.0.0"),
        ("failed", "5.1.1\r\nX: y", "5.0.0"),
        ("failed", "5.1.1\n", "5.0.0"),
        ("failed", "٥.1.1", "5.0.0"),
        ("delayed", "4.2.2", "4.2.2"),
        ("delayed", "5.2.2", "4.0.0"),
        ("delivered", "2.1.5", "2.1.5"),
        ("relayed", "5.0.0", "2.0.0"),
        ("expanded", "", "2.0.0"),
    ],
)
def test_the_status_goes_with_the_action(action: Action, enhanced: str, status: str) -> None:
    result = DeliveryResult(0, "failed", 0, enhanced, "", "", "x-fastsmtp")
    assert status_of(Outcome(Recipient("b@c", ""), action, result, AT)) == status


@pytest.mark.parametrize(
    ("code", "text", "diagnostic", "words"),
    [
        (550, "5.1.1 no", "smtp", "550 5.1.1 no"),
        (550, "", "smtp", "550"),
        (0, "connection lost", "smtp", "connection lost"),
        (451, "tried too often", "x-fastsmtp", "tried too often"),
        (550, "x" * 2000, "smtp", "550 " + "x" * 495 + "…"),
    ],
)
def test_what_was_said(code: int, text: str, diagnostic: str, words: str) -> None:
    result = DeliveryResult(0, "failed", code, "5.0.0", text, "", diagnostic)  # type: ignore[arg-type]
    assert said(Outcome(Recipient("b@c", ""), "failed", result, AT)) == words


def test_a_date() -> None:
    assert date(0) == "Thu, 01 Jan 1970 00:00:00 +0000"
    assert date(1_764_000_000.9) == "Mon, 24 Nov 2025 16:00:00 +0000"
