"""The server's side of a session, commands and their order: the compiled dialogue and its plain twin."""

from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import limits, states
from fastsmtp.smtp.rules import ServerRules
from fastsmtp.smtp.states import Command, State
from tests.fakes.session import FRONT, IMPLEMENTATIONS, LMTP, RULES, Client, bytewise

Make = Callable[..., Any]

MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<c@d.test>\r\n"
EHLO = b"EHLO client.test\r\n"
INTO: dict[State, bytes] = {
    State.START: b"",
    State.READY: EHLO,
    State.MAIL: EHLO + MAIL,
    State.REFUSED: EHLO + MAIL + b"RCPT TO:<refuse@d.test>\r\n",
    State.RCPT: EHLO + MAIL + RCPT,
    State.CHUNKS: EHLO + MAIL + RCPT + b"BDAT 2\r\nab",
}
"""What brings a new session into each state."""

GOOD: dict[Command, tuple[bytes, bytes]] = {
    Command.HELO: (b"HELO client.test", RULES.hello),
    Command.EHLO: (b"EHLO client.test", RULES.extended_hello),
    Command.MAIL: (b"MAIL FROM:<a@b.test>", reply.SENDER_OK.wire),
    Command.RCPT: (b"RCPT TO:<c@d.test>", reply.RECIPIENT_OK.wire),
    Command.DATA: (b"DATA", reply.SEND_DATA.wire),
    Command.BDAT: (b"BDAT 3\r\nxyz", reply.CHUNK_OK.wire),
    Command.RSET: (b"RSET", reply.RESET_OK.wire),
    Command.NOOP: (b"NOOP", reply.OK.wire),
    Command.VRFY: (b"VRFY c", reply.VRFY_DUNNO.wire),
    Command.HELP: (b"HELP", reply.HELP_TEXT.wire),
    Command.QUIT: (b"QUIT", reply.BYE.wire),
    Command.STARTTLS: (b"STARTTLS", reply.READY_FOR_TLS.wire),
    Command.AUTH: (b"AUTH PLAIN eA==", reply.AUTHENTICATED.wire),
    Command.LHLO: (b"LHLO client.test", LMTP.extended_hello),
    Command.XCLIENT: (b"XCLIENT NAME=a.test", FRONT.greeting),
}
"""A command as it should be, and the reply where it is allowed."""

AFTER: dict[Command, State] = {
    Command.HELO: State.READY,
    Command.EHLO: State.READY,
    Command.MAIL: State.MAIL,
    Command.RCPT: State.RCPT,
    Command.BDAT: State.CHUNKS,
    Command.RSET: State.READY,
    Command.LHLO: State.READY,
    Command.XCLIENT: State.START,
}
"""The state an allowed command leads to, where it changes it (RSET before any hello does not)."""


RULES_OF = {Command.STARTTLS: FRONT, Command.AUTH: FRONT, Command.XCLIENT: FRONT, Command.LHLO: LMTP}
"""Of a listener that knows the command, where not every one does."""


def hello_of(command: Command, before: bytes) -> bytes:
    """``before`` as it is said where ``command`` is known."""
    return before.replace(b"EHLO", b"LHLO") if command is Command.LHLO else before


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


def line_end(command: bytes) -> bytes:
    """``command`` with its CRLF, unless it is one that carries its octets."""
    return command if command.startswith(b"BDAT") else command + b"\r\n"


def state_of(client: Client) -> set[State]:
    """In which states a session may be, by what it answers to commands that change nothing."""
    found = set(State)
    for command, probe in (
        (Command.MAIL, b"MAIL\r\n"),
        (Command.RCPT, b"RCPT\r\n"),
        (Command.DATA, b"DATA x\r\n"),
    ):
        said = client.say(probe)
        allowed = said in (reply.BAD_SYNTAX.wire, reply.NO_PARAMETERS.wire)
        for state in State:
            refused = states.refusal(state, command)
            if (refused is None) != allowed or (refused is not None and refused.wire != said):
                found.discard(state)
    return found


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", Command)
def test_every_command_in_every_state(make: Make, state: State, command: Command) -> None:
    client = Client(make, RULES_OF.get(command, RULES))
    client.say(hello_of(command, INTO[state]))
    line, accepted = GOOD[command]
    refused = states.refusal(state, command)
    cell = states.TABLE[state * len(Command) + command]
    assert cell == (0 if refused is None else states.REFUSALS.index(refused) + 1)
    assert client.say(line_end(line)) == (accepted if refused is None else refused.wire)
    ends = command is Command.QUIT or (command is Command.STARTTLS and refused is None)
    assert client.protocol.closing == ends
    if command in (Command.QUIT, Command.DATA, Command.STARTTLS) and refused is None:
        return
    expected = state
    if refused is None and not (command is Command.RSET and state is State.START):
        expected = AFTER.get(command, state)
    # One bad RCPT argument is a tried recipient: MAIL and REFUSED cannot be told apart by asking.
    alike = {State.MAIL, State.REFUSED} if expected in (State.MAIL, State.REFUSED) else {expected}
    assert state_of(client) & alike
    # whatever happened, a whole message can follow
    assert client.say(b"RSET\r\n", hello_of(command, EHLO), MAIL, RCPT, b"DATA\r\n", b"x\r\n.\r\n").endswith(
        b"queued as X\r\n"
    )


def test_the_table_covers_everything() -> None:
    assert len(states.TABLE) == len(State) * len(Command)
    assert [verb.decode() for verb in states.VERBS] == [command.name for command in Command]
    assert len(states.REFUSALS) == len(set(states.REFUSALS))
    assert all(answer.code in (503, 554) for answer in states.REFUSALS)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", [b"RSET", b"EHLO x", b"HELO x", b"QUIT"])
def test_what_ends_a_transaction_says_so_once(make: Make, state: State, command: bytes) -> None:
    client = Client(make)
    client.say(INTO[state], command + b"\r\n")
    resets = client.names.count("reset")
    assert resets == (state >= State.MAIL)
    client.protocol.end()
    assert client.names.count("reset") == resets


@pytest.mark.parametrize("state", State)
def test_the_end_of_the_connection(make: Make, state: State) -> None:
    client = Client(make)
    client.say(INTO[state])
    assert client.protocol.in_transaction == (state >= State.MAIL)
    client.protocol.end()
    client.protocol.end()
    assert client.names.count("reset") == (state >= State.MAIL)
    assert client.protocol.closing
    assert client.only(b"NOOP\r\n") == b""


def test_greeting(make: Make) -> None:
    assert make(RULES, Client(make).handler).greeting() == b"220 mx.test ESMTP fastsmtp\r\n"


def test_ehlo_lines(make: Make) -> None:
    assert Client(make).say(b"EHLO x\r\n") == (
        b"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 10000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
        b"250-BINARYMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 LIMITS RCPTMAX=5\r\n"
    )


def test_helo_is_one_line(make: Make) -> None:
    client = Client(make)
    assert client.say(b"helo x\r\n") == b"250 mx.test\r\n"
    assert client.say(b"eHLo y\r\n") == RULES.extended_hello
    assert client.handler.events == [("hello", "x", False), ("hello", "y", True)]


@pytest.mark.parametrize(
    "name", [b"", b" ", b"a b", b"a\tb", b"<x>", b"x" * 256, b"a(b", b'"a"', b"a;b", b"a@b", b"a\\"]
)
def test_hello_without_a_name(make: Make, name: bytes) -> None:
    client = Client(make)
    assert client.say(b"EHLO " + name + b"\r\n") == reply.HELLO_NEEDS_NAME.wire
    assert client.say(MAIL) == reply.NEED_HELLO.wire


@pytest.mark.parametrize(
    "name", [b"[127.0.0.1]", b"[IPv6:::1]", b"win_host", b"x" * 255, b"  padded  ", b"-", b"a..b"]
)
def test_hello_with_an_odd_name(make: Make, name: bytes) -> None:
    client = Client(make)
    assert client.say(b"EHLO " + name + b"\r\n") == RULES.extended_hello
    assert client.handler.events == [("hello", name.decode().strip(), True)]


@pytest.mark.parametrize("state", [State.MAIL, State.RCPT, State.CHUNKS])
def test_a_bad_hello_changes_nothing(make: Make, state: State) -> None:
    client = Client(make)
    client.say(INTO[state], b"EHLO\r\n")
    assert "reset" not in client.names
    assert client.protocol.in_transaction


SAME_ANYWHERE = [
    (b"NOOP with words\r\n", reply.OK),
    (b"noop\r\n", reply.OK),
    (b"NOOP   \r\n", reply.OK),
    (b"HELP MAIL\r\n", reply.HELP_TEXT),
    (b"VRFY\r\n", reply.BAD_SYNTAX),
    (b"VRFY \r\n", reply.BAD_SYNTAX),
    ("VRFY <grüße@d.test>\r\n".encode(), reply.VRFY_DUNNO),
    (b"RSET now\r\n", reply.NO_PARAMETERS),
    (b"QUIT now\r\n", reply.NO_PARAMETERS),
    (b"FOO\r\n", reply.UNKNOWN_COMMAND),
    (b"NOOPX\r\n", reply.UNKNOWN_COMMAND),
    (b"NOO\r\n", reply.UNKNOWN_COMMAND),
    (b"NOOP\tx\r\n", reply.UNKNOWN_COMMAND),
    (b" NOOP\r\n", reply.UNKNOWN_COMMAND),
    (b"\r\n", reply.UNKNOWN_COMMAND),
    (b"   \r\n", reply.UNKNOWN_COMMAND),
    (b"EXPN list\r\n", reply.UNKNOWN_COMMAND),
    (b"STARTTLS\r\n", reply.UNKNOWN_COMMAND),
    (b"AUTH PLAIN\r\n", reply.UNKNOWN_COMMAND),
    (b".O/P\r\n", reply.UNKNOWN_COMMAND),
    (b"nOO0\r\n", reply.UNKNOWN_COMMAND),
    (b"\xc3\xbc\r\n", reply.EIGHT_BIT_COMMAND),
    (b"NO\xcfP\r\n", reply.EIGHT_BIT_COMMAND),
    (b"NOOP \x80\r\n", reply.EIGHT_BIT_COMMAND),
    (b"EHLO \xff\r\n", reply.EIGHT_BIT_COMMAND),
    (b"NOOP\n", reply.BARE_LINE_END),
    (b"\n", reply.BARE_LINE_END),
    (b"NO\rOP\r\n", reply.BARE_LINE_END),
    (b"NOOP\r\r\n", reply.BARE_LINE_END),
    (b"\r\r\n", reply.BARE_LINE_END),
    (b"NO\0OP\r\n", reply.NUL_IN_COMMAND),
    (b"NOOP \0\r\n", reply.NUL_IN_COMMAND),
    (b"\0\r\n", reply.NUL_IN_COMMAND),
    (b"NOOP \0\xff\r\n", reply.NUL_IN_COMMAND),
    (b"NOOP \0\n", reply.BARE_LINE_END),
]


@pytest.mark.parametrize(("line", "answer"), SAME_ANYWHERE)
@pytest.mark.parametrize("state", [State.START, State.RCPT])
def test_lines_good_and_bad(make: Make, state: State, line: bytes, answer: Reply) -> None:
    client = Client(make)
    client.say(INTO[state])
    before = list(client.handler.events)
    assert client.say(line) == answer.wire
    assert client.say(*bytewise(line)) == answer.wire
    assert client.handler.events == before
    assert client.say(b"NOOP\r\n") == reply.OK.wire


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA", b"RSET", b"QUIT", b"BDAT"])
def test_blanks_around_arguments(make: Make, verb: bytes) -> None:
    rest = {b"MAIL": b"FROM:<a@b.test>", b"RCPT": b"TO:<a@b.test>", b"BDAT": b"0   LAST"}.get(verb, b"")
    client = Client(make)
    client.say(INTO[State.RCPT])
    if verb == b"MAIL":
        client.say(b"RSET\r\n")
    elif verb == b"RCPT":
        client.say(b"RSET\r\n" + MAIL)
    assert client.say(verb.lower() + b"   " + rest + b"   \r\n")[:1] in (b"2", b"3")


# --- lengths ---------------------------------------------------------------------------------------


def line_of(command: Command, length: int) -> bytes:
    """A line of ``command`` that is good but for its length, CRLF included."""
    head = {
        Command.HELO: b"HELO ",
        Command.EHLO: b"EHLO ",
        Command.MAIL: b"MAIL FROM:<a@b.test>",
        Command.RCPT: b"RCPT TO:<a@b.test>",
        Command.DATA: b"DATA ",
        Command.RSET: b"RSET ",
        Command.NOOP: b"NOOP ",
        Command.VRFY: b"VRFY x",
        Command.HELP: b"HELP ",
        Command.QUIT: b"QUIT ",
        Command.STARTTLS: b"STARTTLS ",
        Command.AUTH: b"AUTH PLAIN ",
        Command.LHLO: b"LHLO ",
        Command.XCLIENT: b"XCLIENT NAME=x ",
    }[command]
    tail = b"x\r\n" if command in (Command.HELO, Command.EHLO, Command.LHLO) else b"\r\n"
    return head + b" " * (length - len(head) - len(tail)) + tail


LONGEST = {
    # RFC 5321 §4.5.3.1.4, and what the extensions add to it
    **dict.fromkeys(Command, 512),
    Command.MAIL: 512 + 26 + 17 + 10 + 122,
    Command.RCPT: 512 + 28 + 500,
    Command.AUTH: 12_288,  # RFC 4954 §4
}


@pytest.mark.parametrize("command", [command for command in Command if command is not Command.BDAT])
def test_the_longest_line_of_each_command(make: Make, command: Command) -> None:
    longest = LONGEST[command]
    assert limits.line_limit(command) == longest
    early = (Command.MAIL, Command.STARTTLS, Command.AUTH, Command.XCLIENT)
    before = hello_of(command, INTO[State.READY if command in early else State.RCPT])
    for length, too_long in ((longest, False), (longest + 1, True)):
        client = Client(make, RULES_OF.get(command, RULES))
        client.say(before)
        said = client.say(line_of(command, length))
        assert (said == reply.LINE_TOO_LONG.wire) == too_long
        assert client.protocol.closing == (command in (Command.QUIT, Command.STARTTLS) and not too_long)


def test_a_bdat_line_that_is_too_long_cannot_be_trusted(make: Make) -> None:
    for length, good in ((512, True), (513, False)):
        client = Client(make)
        client.say(INTO[State.RCPT])
        said = client.say(b"BDAT" + b" " * (length - 12) + b"0 LAST\r\n")
        assert said == (b"250 2.0.0 queued as X\r\n" if good else reply.BAD_CHUNK_SIZE.wire)
        assert client.protocol.closing == (not good)


@pytest.mark.parametrize("length", [2047, 2048, 2049, 2050, 4096, 65_535, 65_536, 65_537, 65_538, 200_000])
@pytest.mark.parametrize("step", [0, 1, 1000, 2048, 65_536])
def test_endless_lines(make: Make, length: int, step: int) -> None:
    """``length`` octets before the LF: refused, and the session goes on; only one that never ends closes it."""
    if step == 1 and length > 70_000:
        step = 7
    client = Client(make)
    line = b"x" * (length - 1) + b"\r\n"
    pieces = [line[i : i + step] for i in range(0, len(line), step)] if step else [line]
    endless = length > limits.LINE_SKIPPED
    expected = reply.UNKNOWN_COMMAND if length < limits.LINE_HARD else reply.LINE_TOO_LONG
    assert client.say(*pieces) == expected.wire
    assert client.protocol.closing == endless
    assert client.say(b"NOOP\r\n") == (b"" if endless else reply.OK.wire)


def test_an_endless_line_is_not_kept(make: Make) -> None:
    client = Client(make)
    client.only(b"x" * 2049)
    assert not client.protocol.holding
    client.only(b"x")
    assert not client.protocol.holding
    client.only(b"x" * 60_000)
    assert not client.protocol.holding
    assert client.only(b"x" * 10_000) == reply.LINE_TOO_LONG.wire
    assert client.protocol.closing


# --- errors ----------------------------------------------------------------------------------------


def test_too_many_errors(make: Make) -> None:
    rules = ServerRules(hostname="mx.test", size=10_000, recipients=5, errors=3)
    client = Client(make, rules)
    client.say(EHLO, MAIL)
    bad = reply.UNKNOWN_COMMAND.wire
    # a recipient that fails for now (4xx) is no error of the client's
    client.say(b"RCPT TO:<laterrefuse@b.test>\r\n" * 5)
    assert client.say(b"FOO\r\n" * 3) == bad * 3
    assert client.say(b"NOOP\r\n") == reply.OK.wire
    assert client.say(b"FOO\r\nNOOP\r\n") == reply.TOO_MANY_ERRORS.wire
    assert client.protocol.closing
    assert not client.protocol.left
    assert client.names[-1] == "reset"
    assert client.say(b"NOOP\r\n") == b""


@pytest.mark.parametrize(
    "bad",
    [
        b"RCPT TO:<refuse@d.test>\r\n",
        b"RCPT TO:bad\r\n",
        b"MAIL FROM:<x@y.test>\r\n",
        b"x" * 3000 + b"\r\n",
        b"NOOP\n",
        b"N\0\r\n",
        b"EHLO\r\n",
    ],
)
def test_every_refusal_counts(make: Make, bad: bytes) -> None:
    client = Client(make)
    client.say(INTO[State.RCPT])
    said = client.say(bad * (RULES.errors + 1))
    assert said.endswith(reply.TOO_MANY_ERRORS.wire)
    assert said.count(b"\r\n") == RULES.errors + 1
    assert client.protocol.closing


def test_bodies_at_fault_count_too(make: Make) -> None:
    client = Client(make)
    client.say(EHLO)
    message = MAIL + RCPT + b"DATA\r\nx\n\r\n.\r\n"
    assert client.say(message * (RULES.errors + 1)).endswith(reply.TOO_MANY_ERRORS.wire)
    assert client.protocol.closing


# --- MAIL and RCPT ---------------------------------------------------------------------------------


def test_parameters_reach_the_handler(make: Make) -> None:
    client = Client(make)
    client.say(
        EHLO,
        b"mail from:<a@b.test> size=100 Body=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B314159\r\n",
        b"rcpt to:<c@d.test> notify=success,DELAY ORCPT=rfc822;Bob@d.test\r\n",
        b"RCPT TO:<e@d.test> NOTIFY=NEVER\r\n",
    )
    mail, first, second = client.handler.events[1:]
    assert mail[1].text == "a@b.test"
    assert mail[2] == {
        "SIZE": "100",
        "BODY": "8BITMIME",
        "SMTPUTF8": "",
        "RET": "HDRS",
        "ENVID": "QQ+2B314159",
    }
    assert first[2] == {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;Bob@d.test"}
    assert second[2] == {"NOTIFY": "NEVER"}


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"MAIL FROM:<a@b.test> SIZE=10000", reply.SENDER_OK),
        (b"MAIL FROM:<a@b.test> SIZE=10001", reply.TOO_BIG),
        (b"MAIL FROM:<a@b.test> SIZE=99999999999999999999", reply.TOO_BIG),
        (b"MAIL FROM:<a@b.test> SIZE=999999999999999999999", reply.BAD_PARAMETER_VALUE),
        (b"MAIL FROM:<a@b.test> SIZE=-1", reply.BAD_PARAMETER_VALUE),
        (b"MAIL FROM:<a@b.test> SIZE", reply.BAD_PARAMETER_VALUE),
        (b"MAIL FROM:<a@b.test> BODY=9BIT", reply.BAD_PARAMETER_VALUE),
        (b"MAIL FROM:<a@b.test> SIZE=1 size=2", reply.PARAMETER_TWICE),
        (b"MAIL FROM:<a@b.test> NOTIFY=NEVER", reply.UNKNOWN_PARAMETER),
        (b"MAIL FROM:<a@b.test> AUTH=<>", reply.UNKNOWN_PARAMETER),
        (b"MAIL FROM:<a@b.test> =", reply.BAD_SYNTAX),
        (b"MAIL FROM:<a@b.test>SIZE=1", reply.BAD_SENDER_SYNTAX),
        (b"MAIL FROM:a@b.test", reply.BAD_SENDER_SYNTAX),
        (b"MAIL FROM:<postmaster>", reply.BAD_SENDER_SYNTAX),
        (b"MAIL FROM:<>", reply.SENDER_OK),
        (b"MAIL FROM:<> SIZE=1", reply.SENDER_OK),
        (b"MAIL FROM: <a@b.test>", reply.SENDER_OK),
        (b"MAIL FROM:", reply.BAD_SENDER_SYNTAX),
        (b"MAIL FROM", reply.BAD_SYNTAX),
        (b"MAIL TO:<a@b.test>", reply.BAD_SYNTAX),
        (b"MAIL", reply.BAD_SYNTAX),
        ("MAIL FROM:<ü@b.test>".encode(), reply.NEEDS_SMTPUTF8),
        ("MAIL FROM:<ü@b.test> SMTPUTF8".encode(), reply.SENDER_OK),
        (b"MAIL FROM:<a@b.test> SMTPUTF8=1", reply.BAD_PARAMETER_VALUE),
        (b"MAIL FROM:<\xff@b.test> SMTPUTF8", reply.NOT_UTF8),
    ],
)
def test_mail(make: Make, line: bytes, answer: Reply) -> None:
    client = Client(make)
    client.say(EHLO)
    assert client.say(line + b"\r\n") == answer.wire
    assert client.protocol.in_transaction == answer.positive
    assert ("mail" in client.names) == answer.positive


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"RCPT TO:<postmaster>", reply.RECIPIENT_OK),
        (b"RCPT TO:<Postmaster>", reply.RECIPIENT_OK),
        (b"RCPT TO:<>", reply.BAD_RECIPIENT_SYNTAX),
        (b"RCPT TO:<c>", reply.BAD_RECIPIENT_SYNTAX),
        (b"RCPT TO:c@d.test", reply.BAD_RECIPIENT_SYNTAX),
        (b"RCPT TO:<c@d.test> NOTIFY=NEVER,DELAY", reply.BAD_PARAMETER_VALUE),
        (b"RCPT TO:<c@d.test> SIZE=1", reply.UNKNOWN_PARAMETER),
        (b"RCPT FROM:<c@d.test>", reply.BAD_SYNTAX),
        ("RCPT TO:<ü@d.test>".encode(), reply.NEEDS_SMTPUTF8),
        (b"RCPT TO:<\xff@d.test>", reply.NOT_UTF8),
        (b"RCPT", reply.BAD_SYNTAX),
    ],
)
def test_rcpt(make: Make, line: bytes, answer: Reply) -> None:
    client = Client(make)
    client.say(INTO[State.MAIL])
    assert client.say(line + b"\r\n") == answer.wire
    # a recipient that was tried in vain makes DATA hopeless
    expected = reply.SEND_DATA if answer.positive else reply.NO_VALID_RECIPIENTS
    assert client.say(b"DATA\r\n") == expected.wire


def test_smtputf8_is_the_transaction_s(make: Make) -> None:
    rcpt = "RCPT TO:<ü@d.test>\r\n".encode()
    client = Client(make)
    client.say(EHLO, b"MAIL FROM:<a@b.test> SMTPUTF8\r\n")
    assert client.say(rcpt) == reply.RECIPIENT_OK.wire
    client.say(b"RSET\r\n", MAIL)
    assert client.say(rcpt) == reply.NEEDS_SMTPUTF8.wire
    client.say(b"RSET\r\nMAIL FROM:<a@b.test> SMTPUTF8\r\n", RCPT, b"DATA\r\n.\r\n", MAIL)
    assert client.say(rcpt) == reply.NEEDS_SMTPUTF8.wire


def test_binarymime_is_the_transaction_s(make: Make) -> None:
    client = Client(make)
    client.say(EHLO, b"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\n", RCPT)
    assert client.say(b"DATA\r\n") == reply.DATA_NEEDS_BDAT.wire
    assert client.say(b"BDAT 1 LAST\r\n\n") == b"250 2.0.0 queued as X\r\n"
    assert client.say(MAIL, RCPT, b"DATA\r\n").endswith(reply.SEND_DATA.wire)


def test_recipients_up_to_the_limit(make: Make) -> None:
    client = Client(make)
    client.say(INTO[State.RCPT])
    assert client.say(b"RCPT TO:<refuse@d.test>\r\n") == b"550 5.1.1 no\r\n"
    assert client.say(RCPT * 4) == reply.RECIPIENT_OK.wire * 4
    asked = client.names.count("rcpt")
    assert client.say(RCPT * 20) == reply.TOO_MANY_RECIPIENTS.wire * 20
    assert client.names.count("rcpt") == asked
    assert client.say(b"RCPT TO:<refuse@d.test>\r\n") == reply.TOO_MANY_RECIPIENTS.wire
    assert client.say(b"DATA\r\n.\r\n").endswith(b"queued as X\r\n")
    assert client.say(MAIL, RCPT * 5, RCPT) == (
        reply.SENDER_OK.wire + reply.RECIPIENT_OK.wire * 5 + reply.TOO_MANY_RECIPIENTS.wire
    )


def test_refused_recipients_beside_accepted_ones(make: Make) -> None:
    client = Client(make)
    said = client.say(INTO[State.REFUSED], b"DATA\r\n", RCPT, b"RCPT TO:<refuse@d.test>\r\n", b"DATA\r\n")
    assert said.endswith(
        reply.NO_VALID_RECIPIENTS.wire + reply.RECIPIENT_OK.wire + b"550 5.1.1 no\r\n" + reply.SEND_DATA.wire
    )


def test_a_refused_sender_begins_nothing(make: Make) -> None:
    client = Client(make)
    assert client.say(EHLO, b"MAIL FROM:<refuse@b.test>\r\n", RCPT).endswith(b"no\r\n" + reply.NEED_MAIL.wire)
    client.protocol.end()
    assert client.names == ["hello", "mail"]


def test_a_refused_sender_s_parameters_are_forgotten(make: Make) -> None:
    client = Client(make)
    client.say(EHLO, b"MAIL FROM:<refuse@b.test> BODY=BINARYMIME SMTPUTF8\r\n", MAIL)
    assert client.say("RCPT TO:<ü@d.test>\r\n".encode()) == reply.NEEDS_SMTPUTF8.wire
    assert client.say(RCPT, b"DATA\r\n").endswith(reply.SEND_DATA.wire)


def test_a_pipelined_group_is_answered_in_one_piece(make: Make) -> None:
    client = Client(make)
    client.say(EHLO)
    group = MAIL + RCPT + RCPT + b"DATA\r\nx\r\n.\r\n" + MAIL + RCPT + b"BDAT 1 LAST\r\nx" + b"QUIT\r\n"
    stored = b"250 2.0.0 queued as X\r\n"
    assert client.only(group) == (
        reply.SENDER_OK.wire + reply.RECIPIENT_OK.wire * 2 + reply.SEND_DATA.wire + stored
        + reply.SENDER_OK.wire + reply.RECIPIENT_OK.wire + stored
        + reply.BYE.wire
    )  # fmt: skip
    assert client.protocol.closing
    assert client.protocol.left


def test_nothing_is_heard_after_quit(make: Make) -> None:
    client = Client(make)
    assert client.say(EHLO + b"QUIT\r\n" + MAIL + b"NOOP\r\n") == RULES.extended_hello + reply.BYE.wire
    assert client.names == ["hello"]
    assert client.say(b"NOOP\r\n") == b""


def test_only_the_part_of_the_buffer_that_is_named_is_read(make: Make) -> None:
    for kind in (bytes, bytearray, memoryview):
        client = Client(make)
        assert client.protocol.receive(kind(b"NOOP\r\nNOOP\r\n"), 6) == reply.OK.wire
        assert client.protocol.receive(kind(b"NOOP\r\n"), 2) == b""
        assert client.protocol.receive(kind(b"OP\r\nXX"), 4) == reply.OK.wire
        assert client.protocol.receive(kind(b"NOOP\r\n"), 0) == b""
        assert client.protocol.receive(kind(b""), -1) == b""
        assert not client.protocol.holding


def test_nothing_is_kept_of_a_buffer_that_is_used_again(make: Make) -> None:
    client = Client(make)
    buffer = bytearray(b"NOOP x")
    client.protocol.receive(buffer)
    buffer[:] = b"zzzzzz"
    assert client.protocol.holding
    assert client.protocol.receive(bytearray(b"\r\n")) == reply.OK.wire
