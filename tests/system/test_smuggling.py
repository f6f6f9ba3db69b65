"""End-of-data look-alikes: none ends the message, and no second message can appear (RFC 5321 §4.1.1.4)."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import arrived
from tests.tools.site import Site, site
from tests.tools.waiting import until

LINE_ENDS = (b"\r\n", b"\n", b"\r", b"\n\r", b"\n\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\r\n\r")
DOTS = (b".", b"..")
TRUE_END = b"\r\n.\r\n"


def look_alikes() -> list[bytes]:
    """Every pair of line ends around one dot or two, with a bare CR or LF in it and no true end of data."""
    found = []
    for before, dots, after in itertools.product(LINE_ENDS, DOTS, LINE_ENDS):
        sequence = before + dots + after
        rest = sequence.replace(b"\r\n", b"")
        if (b"\r" in rest or b"\n" in rest) and TRUE_END not in sequence:
            found.append(sequence)
    return found


LOOK_ALIKES = look_alikes()
SECOND = (
    b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nsmuggled\r\n"
)


def body(sequence: bytes) -> bytes:
    """A message with a second transaction behind ``sequence``."""
    return b"Subject: outer\r\n\r\nouter" + sequence + SECOND


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("smuggling"), workers=1) as server:
        yield server
        # A good message marks the end: what was accepted before it has been delivered before it.
        with server.wire() as wire:
            wire.hello()
            wire.message(b"Subject: mark\r\n\r\nmark\r\n", "alice@example.org")
        mailbox = server.maildir("alice")
        until("the marking message is delivered", lambda: marked(mailbox), 60)
        assert arrived.messages(server.maildir("bob")) == []
        strange = [each.content for each in arrived.messages(mailbox) if b"outer" in each.content]
        assert strange == []


def marked(mailbox: Path) -> bool:
    """Whether the good message has come."""
    return any(each.content.startswith(b"Subject: mark\r\n") for each in arrived.messages(mailbox))


def check_one_refusal(server: Site, command: bytes, data: bytes, parameters: str = "") -> None:
    """One transaction of these bytes: one 5xx naming the fault, then the session answers NOOP and QUIT."""
    with server.wire() as wire:
        wire.hello()
        wire.envelope("alice@example.org", parameters=parameters)
        if command == b"DATA":
            wire.expect(command, "354")
        wire.send(data)
        answer = wire.answer()
        assert answer.code // 100 == 5, answer
        assert "bare" in answer.text.lower(), answer
        wire.expect("NOOP", "250")
        wire.send(b"QUIT\r\n")
        assert wire.rest().startswith(b"221 2.0.0 ")


@pytest.mark.parametrize("sequence", LOOK_ALIKES, ids=repr)
def test_in_data(server: Site, sequence: bytes) -> None:
    check_one_refusal(server, b"DATA", body(sequence) + b".\r\n")


@pytest.mark.parametrize("sequence", LOOK_ALIKES, ids=repr)
def test_in_bdat(server: Site, sequence: bytes) -> None:
    data = body(sequence)
    check_one_refusal(server, b"BDAT", b"BDAT %d LAST\r\n%b" % (len(data), data))


@pytest.mark.parametrize("sequence", [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b".\n", b".\r", b"\r.\r"], ids=repr)
def test_at_the_very_beginning(server: Site, sequence: bytes) -> None:
    check_one_refusal(server, b"DATA", sequence + SECOND + b".\r\n")


@pytest.mark.parametrize("sequence", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r"], ids=repr)
def test_byte_by_byte(server: Site, sequence: bytes) -> None:
    with server.wire() as wire:
        wire.hello()
        wire.envelope("alice@example.org")
        wire.expect("DATA", "354")
        for byte in body(sequence) + b".\r\n":
            wire.send(bytes((byte,)))
        assert wire.answer().code // 100 == 5
        wire.expect("NOOP", "250")


@pytest.mark.parametrize("fault", [b"a\rb", b"a\nb", b"a\r\rb", b"\n", b"\r"], ids=repr)
def test_bare_line_ends_without_a_dot(server: Site, fault: bytes) -> None:
    data = b"Subject: outer\r\n\r\n" + fault + b"\r\n"
    if fault in (b"\r", b"\n"):
        data = b"Subject: outer\r\n\r\nx" + fault + b"y\r\n"
    check_one_refusal(server, b"DATA", data + b".\r\n")
    check_one_refusal(server, b"BDAT", b"BDAT %d LAST\r\n%b" % (len(data), data))


def test_bare_cr_at_the_end_of_bdat(server: Site) -> None:
    data = b"Subject: outer\r\n\r\nouter\r"
    check_one_refusal(server, b"BDAT", b"BDAT %d LAST\r\n%b" % (len(data), data))


def test_the_true_end_counts_even_behind_a_fault(server: Site) -> None:
    """CR CR LF . CR LF holds a bare CR and a true end of data: refused there, then commands follow."""
    with server.wire() as wire:
        wire.hello()
        wire.envelope("alice@example.org")
        wire.expect("DATA", "354")
        wire.send(b"Subject: outer\r\n\r\nouter\r\r\n.\r\nNOOP\r\n")
        assert wire.answer().code // 100 == 5
        assert wire.answer().brief == "250 2.0.0"


def test_crlf_cut_between_two_chunks_is_no_fault(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        wire.envelope("carol@example.org")
        first, second = b"Subject: cut\r\n\r\ncut\r", b"\n.\r\nend\r\n"
        wire.send(b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (len(first), first, len(second), second))
        assert wire.answer().code == 250
        queue_id = wire.answer().queue_id
    found = until("it is delivered", lambda: arrived.messages(server.maildir("carol")), 60)
    assert [(each.queue_id, each.content) for each in found] == [(queue_id, first + second)]


def test_binarymime_keeps_every_byte(server: Site) -> None:
    content = b"Subject: binary\r\n\r\n" + b"".join(LOOK_ALIKES) + bytes(range(256)) + b"\r"
    with server.wire() as wire:
        wire.hello()
        wire.envelope("dave@example.org", parameters="BODY=BINARYMIME")
        wire.expect("DATA", "503")
        wire.send(b"BDAT %d LAST\r\n%b" % (len(content), content))
        wire.answer().queue_id  # noqa: B018 - checks that it was accepted
    found = until("it is delivered", lambda: arrived.messages(server.maildir("dave")), 60)
    assert [each.content for each in found] == [content]
