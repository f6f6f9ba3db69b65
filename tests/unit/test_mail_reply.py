"""Replies: their wire form, and every constant against the registered status codes."""

import ast
import inspect

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply, queued_as

CONSTANTS = {name: value for name, value in vars(reply).items() if isinstance(value, Reply)}

WITHOUT_STATUS = {"SEND_DATA"}
"""354 has no class among the enhanced codes (RFC 2034 §4); the greeting and those to HELO and EHLO stand in the
rules."""

# RFC 3463 §3.1 to §3.8, with what RFC 6531 §4.4 (6.7 to 6.10) and RFC 4954 §6 (5.6, 7.8, 7.9, 7.11) added:
# subject.detail.
REGISTERED = {
    "0": {"0"},
    "1": {"0", "1", "2", "3", "4", "5", "6", "7", "8"},
    "2": {"0", "1", "2", "3", "4"},
    "3": {"0", "1", "2", "3", "4", "5"},
    "4": {"0", "1", "2", "3", "4", "5", "6", "7"},
    "5": {"0", "1", "2", "3", "4", "5", "6"},
    "6": {"0", "1", "2", "3", "4", "5", "7", "8", "9", "10"},
    "7": {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "11"},
}

# RFC 5321 §4.2.3, RFC 1870, RFC 3030, RFC 1846 and RFC 6531: what a server may say.
PLAIN_CODES = {214, 221, 250, 252, 354, 421, 450, 451, 452, 500, 501, 503, 504, 550, 552, 553, 554, 555}
CODES = PLAIN_CODES | {220, 235, 454, 530, 535, 538}  # RFC 3207 §4 and RFC 4954 §6


def test_there_are_constants() -> None:
    assert len(CONSTANTS) > 40


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_reply_carries_a_registered_status(name: str) -> None:
    answer = CONSTANTS[name]
    assert answer.code in CODES
    if name in WITHOUT_STATUS:
        assert answer.status == ""
        return
    cls, subject, detail = answer.status.split(".")
    assert cls == str(answer.code)[0]
    assert cls in "245"
    assert detail in REGISTERED[subject]


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_line_has_the_form_of_the_rfc(name: str) -> None:
    answer = CONSTANTS[name]
    lines = answer.wire.decode("ascii").split("\r\n")
    assert lines.pop() == ""
    assert len(lines) == len(answer.text)
    for i, line in enumerate(lines):
        last = i == len(lines) - 1
        assert line.startswith(f"{answer.code}{' ' if last else '-'}{answer.status}")
        assert len(line) + 2 <= 512  # RFC 5321 §4.5.3.1.5
        assert line.isprintable()
        assert answer.text[i]


@pytest.mark.parametrize("name", CONSTANTS)
def test_only_221_and_421_close(name: str) -> None:
    assert CONSTANTS[name].closes == (CONSTANTS[name].code in (221, 421))


def test_no_two_constants_are_the_same() -> None:
    assert len(set(CONSTANTS.values())) == len(CONSTANTS)


def test_queued_as() -> None:
    assert queued_as("0aZ9").wire == b"250 2.0.0 queued as 0aZ9\r\n"


def test_several_lines() -> None:
    answer = Reply(550, "1.1", "one", "two", "three")
    assert answer.wire == b"550-5.1.1 one\r\n550-5.1.1 two\r\n550 5.1.1 three\r\n"
    assert answer.status == "5.1.1"
    assert not answer.positive


def test_without_text_or_status() -> None:
    assert Reply(250, "").wire == b"250 \r\n"
    assert Reply(250, "", "a", "b").wire == b"250-a\r\n250 b\r\n"
    assert Reply(250, "").status == ""


@pytest.mark.parametrize(
    ("code", "positive"), [(200, True), (250, True), (354, True), (399, True), (400, False), (599, False)]
)
def test_positive(code: int, positive: bool) -> None:
    assert Reply(code, "").positive == positive


@pytest.mark.parametrize("code", [0, 199, 600, -250])
def test_codes_out_of_range(code: int) -> None:
    with pytest.raises(ValueError, match="between 200 and 599"):
        Reply(code, "")


def test_values() -> None:
    answer = Reply(250, "0.0", "x")
    assert answer == Reply(250, "0.0", "x")
    assert hash(answer) == hash(Reply(250, "0.0", "x"))
    assert answer != Reply(250, "0.0", "y")
    assert answer != "250 2.0.0 x"
    assert repr(answer) == "Reply(250, '0.0', 'x')"
    with pytest.raises(AttributeError, match="immutable"):
        answer.code = 1  # type: ignore[misc]
    with pytest.raises(UnicodeEncodeError):
        Reply(250, "0.0", "ü")


def test_the_file_holds_no_reply_without_a_name() -> None:
    tree = ast.parse(inspect.getsource(reply))
    made = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reply"
    ]
    assert len(made) == len(CONSTANTS) + 1, "and the one that `limited` makes"


def test_limited() -> None:
    assert (
        reply.limited(450, "7.1", "messages", 2.1).wire
        == b"450 4.7.1 too many messages, come back in 3 seconds\r\n"
    )
    assert reply.limited(421, "7.0", "logins", 0.2).closes
    assert reply.limited(421, "7.0", "logins", 0).text == ("too many logins, come back in 1 seconds",)


def test_queued_as_is_a_reply_like_any_other() -> None:
    made = reply.queued_as("0123456789abc")
    other = Reply(250, "0.0", "queued as 0123456789abc")
    for name in ("code", "detail", "text", "wire", "closes", "status", "positive"):
        assert getattr(made, name) == getattr(other, name)
