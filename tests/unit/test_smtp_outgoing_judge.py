"""From a server's words to values."""

import pytest

from fastsmtp.mail.result import TEXT_LIMIT
from fastsmtp.smtp.outgoing_judge import derived, is_full, join, judge, lost, nonsense, printable, read_offer
from fastsmtp.smtp.outgoing_values import Offer, Outcome


@pytest.mark.parametrize(
    ("stage", "line", "status", "enhanced"),
    [
        ("body", b"250 2.6.0 queued", "relayed", "2.6.0"),
        ("body", b"250 queued", "relayed", "2.0.0"),
        ("rcpt", b"550 5.1.1 unknown", "failed", "5.1.1"),
        ("rcpt", b"550 5.1.1", "failed", "5.1.1"),
        ("rcpt", b"550 unknown", "failed", "5.1.0"),
        ("rcpt", b"550 4.1.1 class of another", "failed", "5.1.0"),
        ("rcpt", b"550 5.1.1unknown", "failed", "5.1.0"),
        ("rcpt", b"550 5.1.1111 unknown", "failed", "5.1.0"),
        ("rcpt", b"550 5.1 unknown", "failed", "5.1.0"),
        ("rcpt", "550 5.١.1 x".encode(), "failed", "5.1.0"),
        ("rcpt", b"550", "failed", "5.1.0"),
        ("rcpt", b"450 greylisted", "deferred", "4.2.0"),
        ("rcpt", b"452 too many", "deferred", "4.5.3"),
        ("rcpt", b"452 4.2.2 full", "deferred", "4.2.2"),
        ("rcpt", b"552 too many", "deferred", "4.5.3"),
        ("rcpt", b"552 5.5.3 too many", "deferred", "4.5.3"),
        ("rcpt", b"552 5.2.2 full", "failed", "5.2.2"),
        ("mail", b"552 too big", "failed", "5.3.4"),
        ("body", b"552 too big", "failed", "5.3.4"),
        ("connect", b"554 no service", "failed", "5.3.2"),
        ("data", b"554 no", "failed", "5.0.0"),
        ("data", b"471 what", "deferred", "4.0.0"),
        ("rcpt", b"556 null mx", "failed", "5.1.10"),
        ("auth", b"535 wrong", "failed", "5.7.8"),
    ],
)
def test_judge(stage: str, line: bytes, status: str, enhanced: str) -> None:
    outcome = judge(int(line[:3]), [line], stage, "relayed")
    assert (outcome.status, outcome.code, outcome.enhanced) == (status, int(line[:3]), enhanced)
    assert (outcome.stage, outcome.ours) == (stage, False)


def test_what_is_taken_has_the_status_that_was_asked_for() -> None:
    assert judge(250, [b"250 ok"], "body", "delivered").status == "delivered"


@pytest.mark.parametrize("code", [*range(200, 300), *range(400, 600)])
def test_a_derived_status_is_of_the_codes_class(code: int) -> None:
    stages = "connect helo starttls tls auth rset mail rcpt data body quit"
    for stage in stages.split(" "):
        assert derived(code, stage).split(".")[0] == str(code // 100)


@pytest.mark.parametrize(
    ("outcome", "full"),
    [
        (judge(452, [b"452 x"], "rcpt", "relayed"), True),
        (judge(552, [b"552 x"], "rcpt", "relayed"), True),
        (judge(452, [b"452 4.3.1 x"], "rcpt", "relayed"), False),
        (judge(450, [b"450 4.5.3 x"], "rcpt", "relayed"), False),
        (judge(552, [b"552 5.2.2 x"], "rcpt", "relayed"), False),
    ],
)
def test_is_full(outcome: Outcome, full: bool) -> None:
    assert is_full(outcome) is full


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([b"550 no"], "no"),
        ([b"550"], ""),
        ([b"550-", b"550 no"], "no"),
        ([b"550-a", b"550 b"], "a b"),
        ([b"550-5.1.1 a", b"550-5.1.1 b", b"550 5.1.2 c"], "5.1.1 a b 5.1.2 c"),
        ([b"550-5.1.1", b"550 5.1.1"], "5.1.1 5.1.1"),
        ([b"550  a "], "a"),
    ],
)
def test_join(lines: list[bytes], text: str) -> None:
    assert join(lines) == text


def test_join_is_bounded() -> None:
    assert join([b"550 " + b"x" * TEXT_LIMIT]) == "x" * TEXT_LIMIT
    long = join([b"550-" + b"x" * 300] * 100)
    assert len(long) == TEXT_LIMIT
    assert long.endswith("x...")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"a\tb", "a b"),
        (b"a\x1b[0m\x07", "a?[0m?"),
        (b"\xff", "\ufffd"),
        ("grün".encode(), "grün"),
        ("a\u202eb\u2028c\u200bd".encode(), "a?b?c?d"),
        (b"\x00", "?"),
        (b"\xc2\x85x", "x"),
    ],
)
def test_printable(text: bytes, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("stage", "ended", "text"),
    [
        ("connect", False, "gone while waiting for the greeting"),
        ("data", False, "gone while waiting for the answer to DATA"),
        ("body", False, "gone while the message was sent"),
        ("body", True, "gone after the message was sent and before the answer; it may have arrived"),
        ("idle", False, "gone between messages"),
    ],
)
def test_lost(stage: str, ended: bool, text: str) -> None:
    assert lost("gone", "4.4.2", stage, ended) == Outcome("deferred", 0, "4.4.2", text, stage, True)


def test_nonsense() -> None:
    assert nonsense("what", "rcpt").text == "what instead of the answer to RCPT"
    assert nonsense("what", "idle").text == "what"


def test_read_offer() -> None:
    assert read_offer(
        [
            b"250-mx.test greets you",
            b"250-size 1000",
            b"250-AUTH plain LOGIN",
            b"250-AUTH=CRAM-MD5",
            b"250-LIMITS RCPTMAX=10 MAILMAX=x X=3 RCPTDOMAINMAX=1",
            b"250-bad_keyword",
            b"250-",
            b"250-\xff\xfe",
            b"250 8BITMIME",
        ]
    ) == Offer(
        "mx.test",
        frozenset({"SIZE", "AUTH", "LIMITS", "8BITMIME"}),
        frozenset({"PLAIN", "LOGIN", "CRAM-MD5"}),
        1000,
        0,
        10,
        1,
    )


@pytest.mark.parametrize(
    "said", [b"250 SIZE", b"250 SIZE x", b"250 SIZE -5", b"250 SIZE " + b"9" * 30, b"250 SIZE 0"]
)
def test_a_size_that_says_nothing(said: bytes) -> None:
    assert read_offer([b"250-mx", said]).size == 0


def test_the_first_line_offers_nothing() -> None:
    assert read_offer([b"250 PIPELINING"]) == Offer("PIPELINING")
    assert read_offer([b"250"]).name == ""
