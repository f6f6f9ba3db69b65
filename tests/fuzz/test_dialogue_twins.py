"""Invariant: for every input, however it is cut, the compiled dialogue and its plain twin say the same, hand out
the same events and close alike; also when answers are kept back, and when the session ends in the middle.

Run longer with FASTSMTP_FUZZ=N (examples a target). What was found once stands in seeds/, a session a file, its
octets escaped as in Python.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.mail import reply
from fastsmtp.smtp.rules import ServerRules
from tests.fakes.session import (
    CLEAR,
    FRONT,
    IMPLEMENTATIONS,
    LMTP,
    RULES,
    SECURED,
    Client,
    bytewise,
    converse,
    cut,
)
from tests.tools.fuzzing import fuzzed

SEEDS = {
    path.stem: path.read_text().replace("\n", "").encode("ascii").decode("unicode_escape").encode("latin-1")
    for path in sorted((Path(__file__).parent / "seeds").glob("*.session"))
}
FUTURE = ServerRules(
    hostname="mx.test", size=10_000, recipients=5, errors=8, future_release="86400 2026-11-24T13:30:00Z"
)
TIGHT = ServerRules(hostname="mx.test", size=40, recipients=2, errors=3)

pytestmark = pytest.mark.skipif("c" not in IMPLEMENTATIONS, reason="the compiled core is not in use")

ADDRESSES = [
    b"<a@b.test>", b"<a@b.test>", b"<>", b"<refusedata@b.test>", b"<laterrefusedata@b.test>",
    b"<refuse@b.test>", b"<later@b.test>", b"<laterrefused@b.test>",
    b"<laterdata@b.test>",
    b'<"a b"@b.test>', b"<@x.test:a@b.test>", b"<postmaster>", b"<a@[127.0.0.1]>", b"<a@[IPv6:::1]>",
    b"<a@-b.test>",
    b"<a@b-.test>", b"<a@b..test>", b"<a..b@b.test>", b"<@b.test>", b"<a@>", b"a@b.test", b"<a@b.test> ",
    b"< a@b.test>",
    "<ü@ü.test>".encode(), b"<\xff@b.test>", b"<a@b.test>>", b"<a@b_c.test>", b"<a@b.test>x", b"<a\tb@c.test>",
]  # fmt: skip
PARAMETERS = [
    b"", b" SIZE=10", b" SIZE=10001", b" SIZE=", b" SIZE=99999999999999999999", b" BODY=8BITMIME",
    b" BODY=BINARYMIME",
    b" SMTPUTF8", b" SMTPUTF8=1", b" RET=HDRS ENVID=a+2Bb", b" SIZE=1 SIZE=2", b" FOO=1", b" NOTIFY=NEVER",
    b" NOTIFY=SUCCESS,DELAY", b" ORCPT=rfc822;a@b", b"  size=1  ", b" =",
    b" HOLDFOR=60", b" holdfor=0", b" HOLDFOR=9999999999", b" HOLDUNTIL=2026-11-24T13:30:00Z", b" HOLDUNTIL=x",
    b" HOLDFOR=60 HOLDUNTIL=2026-11-24T13:30:00Z",
]  # fmt: skip
BODIES = [
    b"Subject: x\r\n\r\nhello\r\n", b"..dot\r\n", b".\n", b".\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\n.\n",
    b"\r\r\n",
    b"x\r\n..\r\n", b"\0\xff\r\n", b".", b"\r", b"\n", b"x" * 3000, b"\r\n", b"...\r\n", b".\r\r\n", b".x\r\n",
]  # fmt: skip

arguments = st.builds(bytes.__add__, st.sampled_from(ADDRESSES), st.sampled_from(PARAMETERS))
mail = arguments.map(lambda argument: b"MAIL FROM:" + argument + b"\r\n")
rcpt = arguments.map(lambda argument: b"RCPT TO:" + argument + b"\r\n")
chunk = st.builds(
    lambda body, last, extra: b"BDAT %d%s\r\n" % (len(body) + extra, last) + body,
    st.lists(st.sampled_from(BODIES), max_size=4).map(b"".join),
    st.sampled_from([b"", b" LAST", b" last ", b" LAST X"]),
    st.sampled_from([0, 0, 0, 1, -1]),
)
good_start = st.just(b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\n")
data = st.builds(
    lambda body, end: b"DATA\r\n" + b"".join(body) + end,
    st.lists(st.sampled_from(BODIES), max_size=8),
    st.sampled_from([b"\r\n.\r\n", b".\r\n", b"", b"\r\n.\r\n"]),
)
other = st.sampled_from(
    [
        b"EHLO c.test\r\n",
        b"HELO c\r\n",
        b"EHLO\r\n",
        b"EHLO (x)\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"NOOP x\r\n",
        b"QUIT\r\n",
        b"VRFY x\r\n",
        b"VRFY\r\n",
        b"VRFY \xc3\xbc\r\n",
        b"HELP\r\n",
        b"DATA x\r\n",
        b"FOO\r\n",
        b"\r\n",
        b"NOOP\n",
        b"NO\rOP\r\n",
        b"NO\0OP\r\n",
        b"NOOP \xff\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"BDAT\r\n",
        b"BDAT x\r\n",
        b"BDAT 3\r\nabc",
        b"NOOP " + b"x" * 505 + b"\r\n",
        b"NOOP " + b"x" * 506 + b"\r\n",
        b"NOOP " + b"x" * 2050 + b"\r\n",
        b"ehlo c\r\n",
        b"MAIL FROM:<a@b.test>" + b" " * 700 + b"\r\n",
        b"RCPT TO:<" + b"a" * 1000 + b"@b.test>\r\n",
        b"BDAT 9" + b"9" * 17 + b"\r\n",
        b"BDAT 1" + b"0" * 18 + b"\r\n",
        b"x" * 70_000 + b"\r\n",
        b"mail from: <a@b.test>\r\n",
        b"NOOP \r\n",
        b"EHLO a b\r\n",
        b"LHLO c\r\n",
        b"STARTTLS\r\n",
        b"starttls x\r\n",
        b"XCLIENT ADDR=192.0.2.1\r\n",
        b"xclient NAME=refuse\r\n",
        b"XCLIENT\r\n",
    ]
)
auth = st.builds(
    lambda argument, answers: b"AUTH " + argument + b"\r\n" + b"".join(answers),
    st.sampled_from([
        b"PLAIN", b"plain eA==", b"SCRAM-SHA-256 =", b"PLAIN e", b"FOO eA==", b"", b"PLAIN bGF0ZXI=",
        b"PLAIN bGF0ZXIgYXNr", b"PLAIN cmVmdXNl", b"PLAIN bGF0ZXIgcmVmdXNl", b"PLAIN " + b"A" * 13_000,
    ]),
    st.lists(st.sampled_from([
        b"eA==\r\n", b"YXNr\r\n", b"bGF0ZXIgYXNr\r\n", b"*\r\n", b"\r\n", b"x\r\n", b"eA==\n", b"\0\r\n", b"QUIT\r\n",
        b"A" * 12_286 + b"\r\n", b"A" * 12_287 + b"\r\n",
    ]), max_size=3),
)  # fmt: skip
script = st.lists(
    st.one_of(mail, rcpt, data, chunk, other, auth, good_start, st.binary(max_size=12)), max_size=14
)
scripts = st.builds(
    lambda good, rest: b"".join([good, *rest] if good else rest), st.one_of(st.none(), good_start), script
)
cuts = st.lists(st.integers(0, 1 << 20), max_size=12)
rules = st.sampled_from([RULES, TIGHT, CLEAR, SECURED, FRONT, LMTP, FUTURE])


@fuzzed
@given(scripts, cuts, rules)
def test_twins_agree(whole: bytes, at: list[int], rules: ServerRules) -> None:
    pieces = cut(whole, at)
    assert converse(IMPLEMENTATIONS["c"], pieces, rules) == converse(IMPLEMENTATIONS["py"], pieces, rules)


@fuzzed
@given(scripts, cuts)
def test_cuts_change_nothing(whole: bytes, at: list[int]) -> None:
    # Which of two faults of a body is named, its size or its line ends, may depend on the cuts: no body is so long.
    make = IMPLEMENTATIONS["c"]
    whole = whole[:9_000]
    assert converse(make, [whole]) == converse(make, cut(whole, at))


deeds = st.lists(st.sampled_from(["say", "say", "say", "pay", "pay", "goodbye", "end"]), max_size=40)


def act(make: Any, pieces: list[bytes], todo: list[str], rules: ServerRules) -> list[Any]:
    """A session in which answers come when ``todo`` says so; everything that can be seen of it."""
    client = Client(make, rules)
    protocol = client.protocol
    left = list(pieces)
    seen: list[Any] = []
    for deed in todo:
        if deed == "say" and left:
            seen.append(client.only(left.pop(0)))
        elif deed == "pay" and client.handler.owed and not protocol.closing:
            seen.append(client.pay())
        elif deed == "goodbye" and not left:
            seen.append(protocol.say_goodbye(reply.SHUTTING_DOWN))
        elif deed == "end" and not left:
            protocol.end()
        seen.append((protocol.waiting, protocol.closing, protocol.left, protocol.in_transaction))
        if not protocol.closing:
            seen.append(protocol.holding)
            assert protocol.waiting == bool(client.handler.owed)
    protocol.end()
    return [*seen, protocol.waiting, client.handler.events]


@fuzzed
@given(scripts, st.lists(st.integers(0, 300), max_size=5), deeds, st.sampled_from([TIGHT, FRONT]))
def test_twins_agree_when_answers_are_kept_back(
    whole: bytes, at: list[int], todo: list[str], rules: ServerRules
) -> None:
    pieces = cut(whole, at)
    assert act(IMPLEMENTATIONS["c"], pieces, todo, rules) == act(IMPLEMENTATIONS["py"], pieces, todo, rules)


def test_there_are_seeds() -> None:
    assert SEEDS


@pytest.mark.parametrize("name", SEEDS)
def test_seeds(name: str) -> None:
    whole = SEEDS[name]
    at_once = converse(IMPLEMENTATIONS["c"], [whole])
    feedings = [
        [whole],
        bytewise(whole),
        *(cut(whole, [place]) for place in range(0, len(whole), 1 + len(whole) // 200)),
    ]
    for make in IMPLEMENTATIONS.values():
        for pieces in feedings:
            assert converse(make, pieces) == at_once
