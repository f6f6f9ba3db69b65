"""What a transaction may say to one server."""

from typing import Any

import pytest

from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp import outgoing_plan as plans
from fastsmtp.smtp.outgoing_plan import Plan, make, write_address
from fastsmtp.smtp.outgoing_values import Offer

CONTENT = b"Subject: x\r\n\r\nhello\r\n"
EIGHT = b"Subject: x\r\n\r\nh\xc3\xa9llo\r\n"
UTF8_HEADER = b"Subject: \xc3\xa9\r\n\r\nhello\r\n"


def offer(*keywords: str, **more: int) -> Offer:
    return Offer("mx", frozenset(keywords), **more)  # type: ignore[arg-type]


def plan(
    offered: Offer,
    *,
    sender: str = "a@here.test",
    to: tuple[Any, ...] = ("b@there.test",),
    params: dict[str, str] | None = None,
    body: bytes | None = CONTENT,
    encrypted: bool = False,
    size: int = 20,
) -> Plan:
    recipients = [Recipient(one, "") if isinstance(one, str) else Recipient(one[0], "", one[1]) for one in to]
    return make(offered, encrypted, sender, recipients, params, size, body, body is None or body.isascii())


def mail(*args: Any, **more: Any) -> bytes:
    return plan(*args, **more).mail.removeprefix(b"MAIL FROM:<a@here.test>").removesuffix(b"\r\n")


def refused(*args: Any, **more: Any) -> Any:
    made = plan(*args, **more)
    assert made.rcpts == []
    (outcome,) = set(made.outcomes)
    return outcome


ALL = offer("8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME", "SIZE", "REQUIRETLS")


def test_nothing_offered() -> None:
    made = plan(offer(), params={"RET": "FULL", "ENVID": "x", "SIZE": "20", "BODY": "7BIT"})
    assert made.mail == b"MAIL FROM:<a@here.test>\r\n"
    assert made.rcpts == [b"RCPT TO:<b@there.test>\r\n"]
    assert made.outcomes == [None]


def test_the_null_sender() -> None:
    assert plan(offer(), sender="").mail == b"MAIL FROM:<>\r\n"


def test_size() -> None:
    assert mail(offer("SIZE")) == b" SIZE=20"
    assert mail(offer("SIZE", size=20)) == b" SIZE=20"
    assert refused(offer("SIZE", size=19)) is plans.TOO_BIG


def test_eight_bit_content() -> None:
    assert mail(ALL, params={"BODY": "8BITMIME"}, size=1) == b" SIZE=1 BODY=8BITMIME"
    assert mail(offer("8BITMIME"), body=EIGHT) == b" BODY=8BITMIME"
    assert mail(offer("8BITMIME"), body=CONTENT) == b""
    assert mail(offer(), params={"BODY": "8BITMIME"}) == b""
    assert plan(offer(), params={"BODY": "8BITMIME"}, body=None).seven
    assert plan(offer(), body=None).seven
    assert not plan(offer("8BITMIME"), body=None).seven
    assert not plan(offer()).seven


def test_binary_content() -> None:
    made = plan(offer("CHUNKING", "BINARYMIME"), params={"BODY": "BINARYMIME"})
    assert (made.mail, made.chunked, made.binary) == (
        b"MAIL FROM:<a@here.test> BODY=BINARYMIME\r\n",
        True,
        True,
    )
    for lacking in (offer("BINARYMIME"), offer("CHUNKING"), offer("8BITMIME")):
        assert refused(lacking, params={"BODY": "BINARYMIME"}, body=None) is plans.NO_BINARY


def test_utf8() -> None:
    words = {"SMTPUTF8": ""}
    both = offer("SMTPUTF8", "8BITMIME")
    assert mail(both, params=words) == b" SMTPUTF8"
    assert mail(both, params=words, body=None) == b" SMTPUTF8"
    for lacking in (offer("8BITMIME"), offer("SMTPUTF8")):
        assert mail(lacking, params=words) == b""
        assert refused(lacking, params=words, body=None) is plans.NO_UTF8_HEADER
    assert refused(offer("8BITMIME"), params=words, body=UTF8_HEADER) is plans.NO_UTF8_HEADER
    assert mail(offer("8BITMIME"), params=words, body=EIGHT) == b" BODY=8BITMIME"


def test_who_needs_utf8_himself_is_told_so() -> None:
    """The header holds his address, in Received."""
    words = {"SMTPUTF8": "", "BODY": "8BITMIME"}
    for lacking in (offer(), offer("8BITMIME")):
        made = plan(lacking, params=words, body=UTF8_HEADER, to=("é@there.test", "b@é.test", "b@there.test"))
        assert made.outcomes == [plans.NO_UTF8_RECIPIENT, plans.NO_UTF8_HEADER, plans.NO_UTF8_HEADER]


def test_utf8_addresses() -> None:
    both = offer("SMTPUTF8", "8BITMIME")
    assert plan(both, sender="é@here.test").mail == "MAIL FROM:<é@here.test> SMTPUTF8\r\n".encode()
    made = plan(both, to=("é@there.test",))
    assert made.rcpts == ["RCPT TO:<é@there.test>\r\n".encode()]
    assert made.mail.endswith(b" SMTPUTF8\r\n")
    plain = offer("8BITMIME")
    assert refused(plain, sender="é@here.test") is plans.NO_UTF8_SENDER
    made = plan(plain, to=("é@there.test", "b@thére.test", "c@there.test"))
    assert made.outcomes == [plans.NO_UTF8_RECIPIENT, None, None]
    assert made.numbers == [1, 2]
    assert made.rcpts[0] == b"RCPT TO:<b@xn--thre-cpa.test>\r\n"


def test_dsn() -> None:
    params = {"RET": "HDRS", "ENVID": "QQ+3D"}
    wishes = {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;a+2Bb@x.test"}
    made = plan(offer("DSN"), params=params, to=(("b@there.test", wishes),))
    assert made.mail == b"MAIL FROM:<a@here.test> RET=HDRS ENVID=QQ+3D\r\n"
    assert made.rcpts == [b"RCPT TO:<b@there.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@x.test\r\n"]
    made = plan(offer(), params=params, to=(("b@there.test", wishes),))
    assert made.rcpts == [b"RCPT TO:<b@there.test>\r\n"]


def test_an_original_recipient_in_utf8() -> None:
    to = (("b@there.test", {"ORCPT": "utf-8;é\U0001f600@x.test"}),)
    assert plan(offer("DSN"), to=to).rcpts == [
        rb"RCPT TO:<b@there.test> ORCPT=utf-8;\x{E9}\x{1F600}@x.test" + b"\r\n"
    ]
    made = plan(ALL, to=to)
    assert made.rcpts == ["RCPT TO:<b@there.test> ORCPT=utf-8;é\U0001f600@x.test\r\n".encode()]
    assert made.mail.endswith(b" SMTPUTF8\r\n")


@pytest.mark.parametrize("bad", ["a b", "a\r\nDATA", "a=b", "\x7f", ""])
def test_values_that_could_be_more_than_one_are_left_out(bad: str) -> None:
    made = plan(
        offer("DSN"),
        params={"RET": bad, "ENVID": bad},
        to=(("b@there.test", {"NOTIFY": bad, "ORCPT": bad}),),
    )
    assert (made.mail, made.rcpts) == (b"MAIL FROM:<a@here.test>\r\n", [b"RCPT TO:<b@there.test>\r\n"])


def test_requiretls() -> None:
    words = {"REQUIRETLS": ""}
    assert mail(offer("REQUIRETLS"), params=words, encrypted=True) == b" REQUIRETLS"
    assert refused(offer("REQUIRETLS"), params=words) is plans.NO_REQUIRETLS
    assert refused(offer(), params=words, encrypted=True) is plans.NO_REQUIRETLS


BAD = [
    "a@b.test>\r\nRCPT TO:<x@y.test",
    "a@b.test> SIZE=1",
    "a b@c.test",
    "@b.test",
    "a@",
    "a",
    "a@b\n",
    "\ud800@b.test",
]


@pytest.mark.parametrize("address", BAD)
@pytest.mark.parametrize("offered", [offer(), ALL])
def test_addresses_that_would_be_more_than_one_word(address: str, offered: Offer) -> None:
    made = plan(offered, to=(address, "b@there.test"))
    assert made.numbers == [1]
    assert made.outcomes[0] is not None
    assert made.outcomes[0].enhanced in ("5.1.3", "5.6.7")
    assert refused(offered, sender=address).enhanced in ("5.1.7", "5.6.7")


@pytest.mark.parametrize(
    ("address", "utf8", "written"),
    [
        ("Postmaster", False, "Postmaster"),
        ('"a b"@c.test', False, '"a b"@c.test'),
        ("a@[192.0.2.1]", False, "a@[192.0.2.1]"),
        ("a@xn--bcher-kva.test", False, "a@xn--bcher-kva.test"),
        ("a@bücher.test", False, "a@xn--bcher-kva.test"),
        ("a@bücher.test", True, "a@bücher.test"),
        ("ü@bücher.test", False, None),
        ("a@" + "ü" * 64 + ".test", False, None),
    ],
)
def test_write_address(address: str, utf8: bool, written: str | None) -> None:
    assert write_address(address, utf8) == written


def test_limits() -> None:
    many = tuple(f"b{n}@d{n % 3}.test" for n in range(6))
    made = plan(offer(rcptmax=2), to=many)
    assert made.numbers == [0, 1]
    assert made.outcomes == [None, None] + [plans.NEXT_TRANSACTION] * 4
    made = plan(offer(rcptdomainmax=2), to=many)
    assert made.numbers == [0, 1, 3, 4]


def test_unfit() -> None:
    assert plans.unfit(3) is plans.NO_EIGHT_BIT
    assert plans.unfit(1) is plans.unfit(2) is plans.BARE_LINE_END


def test_content_is_converted_where_it_must_be() -> None:
    made = plan(offer("SIZE"), params={"BODY": "8BITMIME"}, body=EIGHT, size=len(EIGHT))
    assert made.body is not None
    assert bytes(made.body).endswith(b"quoted-printable\r\n\r\nh=C3=A9llo\r\n")
    assert made.mail == b"MAIL FROM:<a@here.test> SIZE=%d\r\n" % len(made.body)
    binary = b"Content-Transfer-Encoding: binary\r\n\r\na\nb"
    made = plan(offer("8BITMIME"), params={"BODY": "BINARYMIME"}, body=binary)
    assert made.body is not None
    assert bytes(made.body).endswith(b"base64\r\nMIME-Version: 1.0\r\n\r\nYQpi\r\n")
    assert refused(offer(), body=UTF8_HEADER) is plans.NO_EIGHT_BIT
    assert refused(offer("SIZE", size=len(EIGHT)), body=EIGHT, size=len(EIGHT)) is plans.TOO_BIG
    assert plan(offer("8BITMIME"), body=EIGHT).body is EIGHT


@pytest.mark.parametrize(
    ("offered", "params", "wanted"),
    [
        (offer("8BITMIME"), None, False),
        (offer(), None, True),
        (offer("8BITMIME"), {"BODY": "8BITMIME"}, False),
        (offer("8BITMIME"), {"BODY": "BINARYMIME"}, True),
        (offer("BINARYMIME", "CHUNKING", "8BITMIME"), {"BODY": "BINARYMIME"}, False),
        (offer("8BITMIME"), {"SMTPUTF8": ""}, True),
        (offer("8BITMIME", "SMTPUTF8"), {"SMTPUTF8": ""}, False),
    ],
)
def test_wants_whole(offered: Offer, params: dict[str, str] | None, wanted: bool) -> None:
    assert plans.wants_whole(offered, params) is wanted
