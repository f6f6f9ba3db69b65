"""Wrong commands get the RFC's reply and the session goes on; too many end it with 421 (RFC 5321 §4.2)."""

from collections.abc import Iterator

import pytest

from tests.tools.site import Site, site
from tests.tools.wire import Wire

LIMIT = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    limits = {"errors": LIMIT, "connections_per_ip": 0, "recipients": 100}
    with site(tmp_path_factory.mktemp("commands"), workers=1, limits=limits) as server:
        yield server


def after_mail(wire: Wire) -> None:
    wire.expect("MAIL FROM:<a@client.example>", "250 2.1.0")


def after_rcpt(wire: Wire) -> None:
    after_mail(wire)
    wire.expect("RCPT TO:<alice@example.org>", "250 2.1.5")


BEFORE_HELLO = [
    (b"MAIL FROM:<a@client.example>", {503}),
    (b"RCPT TO:<alice@example.org>", {503}),
    (b"DATA", {503}),
    (b"BDAT 0 LAST", {503}),
    (b"EHLO", {501}),
    (b"HELO", {501}),
    (b"EHLO a b", {501}),
]
IDLE = [
    (b"XYZZY", {500}),
    (b"", {500}),
    (b" NOOP", {500}),
    (b"NOOPX", {500}),
    (b"NO\0OP", {500}),
    (b"NOOP \0", {500, 501}),
    (b"MAIL FROM:<a\0b@client.example>", {500, 501}),
    (b"\xff\xfe", {500}),
    (b"MAIL FROM:<\xff@client.example>", {500, 501, 553}),
    ("MAIL FROM:<j\u00f6rg@client.example>".encode(), {500, 501, 553}),
    (b"MAIL FROM:<\xff@client.example> SMTPUTF8", {500, 501, 553}),
    (b"NOOP " + b"x" * 600, {500, 501}),
    (b"EHLO " + b"x" * 2100, {500, 501}),
    (b"MAIL FROM:<" + b"x" * 900 + b"@client.example>", {500, 501, 553}),
    (b"RCPT TO:<alice@example.org>", {503}),
    (b"DATA", {503}),
    (b"BDAT 0 LAST", {503}),
    (b"MAIL", {501}),
    (b"MAIL FROM", {501}),
    (b"MAIL FROM a@client.example", {501}),
    (b"MAIL FROM:<a@client.example", {501}),
    (b"MAIL FROM:<a b@client.example>", {501}),
    (b"MAIL FROM:<@>", {501}),
    (b"MAIL FROM:<a@client.example> NOSUCH=1", {555}),
    (b"MAIL FROM:<a@client.example> SIZE=abc", {501}),
    (b"MAIL FROM:<a@client.example> SIZE=-1", {501}),
    (b"MAIL FROM:<a@client.example> SIZE=1 SIZE=1", {501}),
    (b"MAIL FROM:<a@client.example> BODY=9BIT", {501, 504, 555}),
    (b"MAIL FROM:<a@client.example> SMTPUTF8=yes", {501}),
    (b"RSET now", {501}),
    (b"AUTH PLAIN AGEAYg==", {500, 502, 503, 504}),
    (b"STARTTLS", {500, 502, 503}),
    (b"ETRN example.org", {500, 502}),
    (b"TURN", {500, 502}),
    (b"NOOP\rRSET", {500, 501}),
]
IN_MAIL = [
    (b"MAIL FROM:<b@client.example>", {503}),
    (b"DATA", {503, 554}),
    (b"RCPT", {501}),
    (b"RCPT TO:<>", {501}),
    (b"RCPT TO:<alice>", {501, 550}),
    (b"RCPT TO:<alice@example.org> NOSUCH=1", {555}),
    (b"RCPT TO:<alice@example.org> NOTIFY=SOMETIMES", {501, 555}),
    (b"RCPT TO:<nobody@example.org>", {550}),
    (b"RCPT TO:<someone@elsewhere.example>", {550}),
]
IN_RCPT = [
    (b"DATA now", {501}),
    (b"MAIL FROM:<b@client.example>", {503}),
]


@pytest.mark.parametrize(("line", "codes"), BEFORE_HELLO, ids=repr)
def test_before_hello(server: Site, line: bytes, codes: set[int]) -> None:
    with server.wire() as wire:
        answer = wire.command(line)
        assert answer.code in codes, answer
        assert answer.status, f"no enhanced status: {answer}"
        wire.hello()
        after_rcpt(wire)


@pytest.mark.parametrize(("line", "codes"), IDLE, ids=lambda each: repr(each)[:60])
def test_without_a_transaction(server: Site, line: bytes, codes: set[int]) -> None:
    with server.wire() as wire:
        wire.hello()
        answer = wire.command(line)
        assert answer.code in codes, answer
        assert answer.status, f"no enhanced status: {answer}"
        wire.expect("NOOP", "250 2.0.0")
        after_rcpt(wire)


@pytest.mark.parametrize(("line", "codes"), IN_MAIL, ids=repr)
def test_after_mail(server: Site, line: bytes, codes: set[int]) -> None:
    with server.wire() as wire:
        wire.hello()
        after_mail(wire)
        answer = wire.command(line)
        assert answer.code in codes, answer
        assert answer.status, f"no enhanced status: {answer}"
        wire.expect("RCPT TO:<alice@example.org>", "250 2.1.5")


@pytest.mark.parametrize(("line", "codes"), IN_RCPT, ids=repr)
def test_after_rcpt(server: Site, line: bytes, codes: set[int]) -> None:
    with server.wire() as wire:
        wire.hello()
        after_rcpt(wire)
        answer = wire.command(line)
        assert answer.code in codes, answer
        assert answer.status, f"no enhanced status: {answer}"
        wire.expect("DATA", "354")


@pytest.mark.parametrize("line", [b"BDAT", b"BDAT x", b"BDAT -1", b"BDAT 1 LAST LAST"], ids=repr)
def test_chunk_of_unknown_size(server: Site, line: bytes) -> None:
    """Nobody can say where the next command begins: a reply, and the end (RFC 3030 §2)."""
    with server.wire() as wire:
        wire.hello()
        after_rcpt(wire)
        assert wire.command(line).code == 501
        assert wire.at_end()


def test_bare_lf_ends_a_command_that_is_not_carried_out(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        wire.send(b"MAIL FROM:<a@client.example>\n")
        assert wire.answer().code == 500
        wire.expect("RCPT TO:<alice@example.org>", "503")
        after_rcpt(wire)


def test_statuses_of_strange_recipients(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        after_mail(wire)
        wire.expect("RCPT TO:<nobody@example.org>", "550 5.1.1")
        wire.expect("RCPT TO:<someone@elsewhere.example>", "550 5.7.1")
        wire.expect("RCPT TO:<Alice+news@EXAMPLE.ORG>", "250 2.1.5")
        wire.expect("RCPT TO:<postmaster@example.org>", "250 2.1.5")
        wire.expect("RCPT TO:<Postmaster>", "250 2.1.5")


def test_too_many_errors_close_the_connection(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        answers = [wire.command("XYZZY")]
        while answers[-1].code == 500 and len(answers) < 3 * LIMIT:
            answers.append(wire.command("XYZZY"))
        assert wire.at_end()
        assert answers[-1].brief == "421 4.7.0"
        assert LIMIT <= len(answers) <= LIMIT + 1


def test_too_many_errors_in_one_group(server: Site) -> None:
    with server.wire() as wire:
        wire.hello()
        wire.send(b"XYZZY\r\n" * 1000)
        lines = wire.rest().split(b"\r\n")
        assert lines.pop() == b""
        assert lines[-1].startswith(b"421 4.7.0 ")
        assert len(lines) <= LIMIT + 1


def test_ehlo_announces_what_works(server: Site) -> None:
    with server.wire() as wire:
        keywords = {line.split()[0] for line in wire.hello().lines[1:]}
    assert keywords >= {
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "BINARYMIME",
        "ENHANCEDSTATUSCODES",
        "LIMITS",
    }
    assert "DSN" in keywords
    assert not keywords & {"AUTH", "STARTTLS", "VRFY", "ETRN"}
