"""Messages in a session, by DATA and by BDAT: the compiled dialogue and its plain twin."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp.rules import ServerRules
from tests.fakes.session import IMPLEMENTATIONS, RULES, STORED, Client, bytewise, converse, cut, feedings

Make = Callable[..., Any]

EHLO = b"EHLO client.test\r\n"
MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<c@d.test>\r\n"
TO_DATA = EHLO + MAIL + RCPT + b"DATA\r\n"
TO_BDAT = EHLO + MAIL + RCPT
BINARY = EHLO + b"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n" + RCPT
NOOP = b"NOOP\r\n"
END = b"\r\n.\r\n"
OPENED = RULES.extended_hello + reply.SENDER_OK.wire + reply.RECIPIENT_OK.wire


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


def after(make: Make, before: bytes) -> Client:
    """A session that has heard ``before``."""
    client = Client(make)
    client.say(before)
    return client


# --- DATA ------------------------------------------------------------------------------------------

MESSAGES: dict[str, tuple[bytes, bytes]] = {
    "empty": (b".\r\n", b""),
    "empty line": (b"\r\n.\r\n", b"\r\n"),
    "plain": (b"Subject: x\r\n\r\nhello\r\n.\r\n", b"Subject: x\r\n\r\nhello\r\n"),
    "dots": (b"..\r\n...\r\n.x\r\nx.\r\n..\r\n.\r\n", b".\r\n..\r\nx\r\nx.\r\n.\r\n"),
    "commands": (
        b"RSET\r\nQUIT\r\nMAIL FROM:<x@y.test>\r\n.\r\n",
        b"RSET\r\nQUIT\r\nMAIL FROM:<x@y.test>\r\n",
    ),
    "octets": (bytes(set(range(256)) - {10, 13}) + b"\r\n.\r\n", bytes(set(range(256)) - {10, 13}) + b"\r\n"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_data_however_it_is_cut(make: Make, name: str) -> None:
    stuffed, text = MESSAGES[name]
    whole = TO_DATA + stuffed + NOOP
    said = OPENED + reply.SEND_DATA.wire + STORED.wire + reply.OK.wire
    for pieces in feedings(whole):
        got, events, closing = converse(make, pieces)
        assert got == said
        assert events[-2:] == [("data", False), ("end", text)]
        assert not closing


@pytest.mark.parametrize("size", [1, 7, 8192, 300_000])
def test_a_large_body_flows_in_pieces(make: Make, size: int) -> None:
    rules = ServerRules(hostname="mx.test", size=1_000_000, recipients=5, errors=8)
    client = Client(make, rules)
    client.say(TO_DATA)
    line = b"x" * 70 + b"\r\n"
    text = line * 4000
    for start in range(0, len(text), size) if size > 1 else ():
        client.only(text[start : start + size])
        assert not client.protocol.holding
    if size == 1:
        text = line * 3
        for octet in bytewise(text):
            client.only(octet)
            assert not client.protocol.holding
    assert client.only(b".\r\n") == STORED.wire
    assert client.handler.messages == [text]
    assert max(map(len, client.handler.pieces)) <= size


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\n\n", b"\r\r"])
def test_line_ends_that_are_none(make: Make, line_end: bytes) -> None:
    whole = TO_DATA + b"a" + line_end + b"b" + END
    named = {b"\n": reply.BARE_LF, b"\r": reply.BARE_CR}[line_end[:1]]
    for pieces in feedings(whole + NOOP):
        said, events, closing = converse(make, pieces)
        assert said == OPENED + reply.SEND_DATA.wire + named.wire + reply.OK.wire
        assert events[-1] == ("refused", named)
        assert not closing


LINE_ENDS = (b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\n")
LOOK_ALIKES = [
    before + dots + behind
    for before, dots, behind in itertools.product(LINE_ENDS, (b".", b".."), LINE_ENDS)
    if (b"\r" in (rest := (before + dots + behind).replace(b"\r\n", b"")) or b"\n" in rest)
    and END not in before + dots + behind
]
SMUGGLED = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<victim@d.test>\r\nDATA\r\nsmuggled\r\n"


@pytest.mark.parametrize("look_alike", LOOK_ALIKES)
def test_nothing_is_smuggled_behind_a_look_alike(make: Make, look_alike: bytes) -> None:
    """RFC 5321 §4.1.1.4: only CRLF.CRLF ends a message, and this one is refused for its line ends."""
    whole = TO_DATA + b"x" + look_alike + SMUGGLED + END + NOOP
    for pieces in ([whole], bytewise(whole), *(cut(whole, [len(TO_DATA) + i]) for i in range(10))):
        said, events, closing = converse(make, pieces)
        assert said.startswith(OPENED + reply.SEND_DATA.wire)
        answers = said.removeprefix(OPENED + reply.SEND_DATA.wire)
        assert answers in (reply.BARE_LF.wire + reply.OK.wire, reply.BARE_CR.wire + reply.OK.wire)
        assert [event[0] for event in events] == ["hello", "mail", "rcpt", "data", "refused"]
        assert not closing


def test_nothing_is_handed_on_after_the_refusal(make: Make) -> None:
    client = after(make, TO_DATA)
    client.say(b"good\r\n", b"bad\n", b"good again\r\n")
    assert client.handler.pieces == [b"good\r\n"]
    assert client.names[-1] == "refused"
    assert client.say(b".\r\n") == reply.BARE_LF.wire
    assert client.names.count("refused") == 1
    assert client.say(MAIL, RCPT, b"DATA\r\n", b"x\r\n.\r\n").endswith(STORED.wire)


@pytest.mark.parametrize("over", [0, 1])
def test_a_body_up_to_the_limit(make: Make, over: int) -> None:
    text = b".\r\n" + b"x" * (RULES.size - 5 + over) + b"\r\n"
    for pieces in ([b"." + text + b".\r\n"], cut(b"." + text + b".\r\n", range(0, 10_000, 100))):
        client = after(make, TO_DATA)
        assert client.say(*pieces) == (reply.TOO_BIG.wire if over else STORED.wire)
        assert client.names[-1] == ("refused" if over else "end")
        assert client.say(MAIL, RCPT, b"DATA\r\n", b"x\r\n.\r\n").endswith(STORED.wire)


def test_no_limit_is_no_limit(make: Make) -> None:
    rules = ServerRules(hostname="mx.test", size=0, recipients=5, errors=8)
    client = Client(make, rules)
    assert b"250-SIZE 0\r\n" in client.say(EHLO)
    assert client.say(b"MAIL FROM:<a@b.test> SIZE=99999999999999999999\r\n") == reply.SENDER_OK.wire
    client.say(RCPT, b"DATA\r\n", b"x" * 100_000)
    assert client.say(END) == STORED.wire
    client.say(MAIL, RCPT)
    assert client.say(b"BDAT 100000 LAST\r\n" + b"x" * 100_000) == STORED.wire


# --- BDAT ------------------------------------------------------------------------------------------


def bdat(chunk: bytes, last: bool = False) -> bytes:
    """``chunk`` with its command."""
    return b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if last else b"") + chunk


CHUNKED: dict[str, list[bytes]] = {
    "one": [b"Subject: x\r\n\r\nhello\r\n"],
    "two": [b"Subject: x\r\n", b"\r\nhello\r\n"],
    "no octets": [b""],
    "no octets at last": [b"hello\r\n", b""],
    "no octets between": [b"", b"a\r\n", b"", b"", b"b\r\n", b""],
    "CR and LF apart": [b"a\r", b"\nb\r", b"\n"],
    "CR, nothing, LF": [b"a\r", b"", b"\n"],
    "dots stay": [b".\r\n..\r\n.\r\n"],
    "end of data": [b"x\r\n.\r\n", b"MAIL FROM:<a@b.test>\r\n"],
    "commands": [b"QUIT\r\nRSET\r\n", b"BDAT 5 LAST\r\n"],
    "no line end": [b"x"],
}


@pytest.mark.parametrize("name", CHUNKED)
def test_chunks_however_they_are_cut(make: Make, name: str) -> None:
    chunks = CHUNKED[name]
    whole = TO_BDAT + b"".join(map(bdat, chunks[:-1])) + bdat(chunks[-1], last=True) + NOOP
    said = OPENED + reply.CHUNK_OK.wire * (len(chunks) - 1) + STORED.wire + reply.OK.wire
    for pieces in feedings(whole):
        got, events, _ = converse(make, pieces)
        assert got == said
        assert events[-2:] == [("data", True), ("end", b"".join(chunks))]


@pytest.mark.parametrize(
    ("chunks", "fault"),
    [
        ([b"a\nb"], reply.BARE_LF),
        ([b"\n"], reply.BARE_LF),
        ([b"a\rb"], reply.BARE_CR),
        ([b"a\r"], reply.BARE_CR),
        ([b"a\r", b""], reply.BARE_CR),
        ([b"a\r", b"", b"b"], reply.BARE_CR),
        ([b"a", b"\nb"], reply.BARE_LF),
        ([b"a\r", b"b\n"], reply.BARE_CR),
        ([b"a\r", b"\r\n"], reply.BARE_CR),
        ([b"a\r\n", b"\nb"], reply.BARE_LF),
        ([b"a\r\r\n"], reply.BARE_CR),
    ],
)
def test_bare_line_ends_across_chunks(make: Make, chunks: list[bytes], fault: Reply) -> None:
    whole = TO_BDAT + b"".join(map(bdat, chunks[:-1])) + bdat(chunks[-1], last=True)
    for pieces in feedings(whole):
        got, events, _ = converse(make, pieces)
        # the first chunk at fault gets the refusal, those after it belong to no message
        answers = got.removeprefix(OPENED).replace(reply.CHUNK_OK.wire, b"").split(b"\r\n", 1)
        assert answers[0] + b"\r\n" == fault.wire
        assert answers[1].replace(reply.NEED_MAIL.wire, b"") == b""
        assert events[-1] == ("refused", fault)


@pytest.mark.parametrize("text", [b"\n", b"a\rb\nc", b"\r", bytes(range(256)), b"\r\n.\r\n"])
def test_binarymime_may_hold_anything(make: Make, text: bytes) -> None:
    whole = BINARY + bdat(text[:1]) + bdat(text[1:], last=True)
    for pieces in ([whole], bytewise(whole)):
        got, events, _ = converse(make, pieces)
        assert got == OPENED + reply.CHUNK_OK.wire + STORED.wire
        assert events[-1] == ("end", text)


@pytest.mark.parametrize(
    ("before", "refusal"),
    [
        (b"", reply.NEED_HELLO),
        (EHLO, reply.NEED_MAIL),
        (EHLO + MAIL, reply.NEED_RCPT),
        (EHLO + MAIL + b"RCPT TO:<refuse@d.test>\r\n", reply.NO_VALID_RECIPIENTS),
        (EHLO + b"MAIL FROM:<refusedata@b.test>\r\n" + RCPT, Reply(550, "1.1", "no")),
    ],
)
@pytest.mark.parametrize(
    "chunk", [b"", b"x", b"RSET\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\n" * 100, b"x" * 20_000]
)
def test_a_refused_chunk_is_swallowed_whole(make: Make, before: bytes, refusal: Reply, chunk: bytes) -> None:
    for last in (False, True):
        whole = bdat(chunk, last) + NOOP
        step = 1 + len(whole) // 50
        for pieces in ([whole], [whole[i : i + step] for i in range(0, len(whole), step)]):
            client = after(make, before)
            known = client.names
            assert client.say(*pieces) == refusal.wire + reply.OK.wire
            assert client.handler.messages == []
            assert [name for name in client.names[len(known) :] if name not in ("data", "reset")] == []
            # the session stands where it stood, or where a refused message leaves it
            assert client.say(b"RSET\r\n", EHLO, MAIL, RCPT, bdat(b"x", last=True)).endswith(STORED.wire)


def test_the_rest_of_a_refused_message_belongs_to_nobody(make: Make) -> None:
    """Chunks that were pipelined behind a refused one (RFC 3030 §4.2)."""
    client = after(make, TO_BDAT)
    said = client.say(bdat(b"a\nb") + bdat(b"c") + bdat(b"d", last=True) + NOOP)
    assert said == reply.BARE_LF.wire + reply.NEED_MAIL.wire * 2 + reply.OK.wire
    assert client.handler.messages == []
    assert client.names[-1] == "refused"


def test_chunks_over_the_limit(make: Make) -> None:
    half = b"x" * (RULES.size // 2)
    client = after(make, TO_BDAT)
    assert client.say(bdat(half) + bdat(half)) == reply.CHUNK_OK.wire * 2
    assert client.only(b"BDAT 1 LAST\r\n") == b""
    assert client.names[-1] == "refused"  # known before the chunk has come
    assert client.only(b"x" + NOOP) == reply.TOO_BIG.wire + reply.OK.wire
    assert client.handler.messages == []
    assert len(client.handler.pieces) == 2
    assert client.say(MAIL, RCPT, bdat(b"x" * RULES.size, last=True)).endswith(STORED.wire)


def test_a_chunk_of_the_largest_size(make: Make) -> None:
    client = after(make, TO_BDAT)
    assert client.only(b"BDAT 999999999999999999\r\n") == b""
    assert client.names[-1] == "refused"
    for _ in range(10):
        assert client.only(b"x\n" * 10_000) == b""
    assert not client.protocol.holding
    assert client.handler.pieces == []


@pytest.mark.parametrize(
    "line",
    [
        b"BDAT", b"BDAT ", b"BDAT x", b"BDAT -1", b"BDAT +1", b"BDAT 1x", b"BDAT 0x1", b"BDAT 1 FIRST", b"BDAT LAST",
        b"BDAT 1 LAST X", b"BDAT 1 LASTX", b"BDAT 1LAST", b"BDAT 1 2", b"BDAT 1000000000000000000", b"BDAT \xb2",
        b"BDAT 1 \xcc\xc1\xd3\xd4", b"BDAT 1.0", b"BDAT 1,0", b"BDAT 1_0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [b"", EHLO, TO_BDAT, TO_BDAT + b"BDAT 1\r\nx"])
def test_a_chunk_without_a_size_ends_the_session(make: Make, before: bytes, line: bytes) -> None:
    """Nobody could tell where the next command begins."""
    client = after(make, before)
    assert client.say(line + b"\r\n" + NOOP) == reply.BAD_CHUNK_SIZE.wire
    assert client.protocol.closing
    assert client.handler.messages == []
    assert client.names.count("reset") == before.startswith(TO_BDAT)


@pytest.mark.parametrize(
    "line",
    [b"BDAT 3 LAST", b"bdat 3 last", b"BDAT 003 LaSt ", b"BDAT   3   LAST", b"BDAT 000000000000000003 LAST"],
)
def test_ways_to_write_a_chunk(make: Make, line: bytes) -> None:
    client = after(make, TO_BDAT)
    assert client.say(line + b"\r\nabc") == STORED.wire
    assert client.handler.messages == [b"abc"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"NOOP\r\n", reply.OK),
        (b"VRFY x\r\n", reply.VRFY_DUNNO),
        (b"HELP\r\n", reply.HELP_TEXT),
        (b"FOO\r\n", reply.UNKNOWN_COMMAND),
        (b"DATA\r\n", reply.DATA_AFTER_BDAT),
        (RCPT, reply.IN_BDAT),
        (MAIL, reply.NESTED_MAIL),
    ],
)
def test_between_chunks(make: Make, line: bytes, answer: Reply) -> None:
    client = after(make, TO_BDAT + bdat(b"ab"))
    assert client.say(line) == answer.wire
    assert client.say(bdat(b"cd", last=True)) == STORED.wire
    assert client.handler.messages == [b"abcd"]


@pytest.mark.parametrize("line", [b"RSET\r\n", b"EHLO again\r\n", b"HELO again\r\n"])
def test_a_reset_between_chunks(make: Make, line: bytes) -> None:
    client = after(make, TO_BDAT + bdat(b"ab"))
    client.say(line)
    assert client.names.count("reset") == 1
    assert client.say(bdat(b"cd", last=True)) == reply.NEED_MAIL.wire
    assert client.say(MAIL, RCPT, bdat(b"ef", last=True)).endswith(STORED.wire)
    assert client.handler.messages == [b"ef"]


def test_two_messages_do_not_mix(make: Make) -> None:
    client = after(make, EHLO)
    client.say(MAIL, RCPT, b"DATA\r\n", b"one\r\n.\r\n", MAIL, RCPT, bdat(b"two"), bdat(b"!", last=True))
    client.say(MAIL, RCPT, b"DATA\r\nthree\r\n.\r\n")
    assert client.handler.messages == [b"one\r\n", b"two!", b"three\r\n"]
    assert "reset" not in client.names


def test_data_that_is_refused_at_once(make: Make) -> None:
    client = after(make, EHLO + b"MAIL FROM:<refusedata@b.test>\r\n" + RCPT)
    assert client.say(b"DATA\r\n") == b"550 5.1.1 no\r\n"
    assert client.say(RCPT) == reply.NEED_MAIL.wire
    assert client.names[-2:] == ["data", "reset"]
