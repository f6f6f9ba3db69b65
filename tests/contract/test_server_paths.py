"""Addresses in MAIL and RCPT: the compiled short cut reads what the grammar reads, and so does the plain twin."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from fastsmtp.mail.reply import Reply
from tests.fakes.session import IMPLEMENTATIONS, RULES, Client

Make = Callable[..., Any]

LOCALS = ("", "a", "a.b", ".", "a+b-c_d", "!#$%&'*+-/=?^_`{|}~", '"a b"', '"', "a b", "a,b", "\x7f", "\t")
DOMAINS = (
    "", "b", "b.test", "b-c.test", "-b.test", "b-.test", "b.-c", "b-.c", ".b", "b.", "b..c", "b.c-",
    "b_c.test", "[127.0.0.1]", "[b]",
    "b c", "b/c", "1.2.3.4", "x--y.test", "-", ".", "b.test>", "x" * 255, "x" * 256,
    ("y" * 62 + ".") * 4 + "zzz", "B.TEST",
)  # fmt: skip
FORMS = (
    "<{}@{}>",
    "<{}@{}",
    "{}@{}>",
    "{}@{}",
    " <{}@{}>",
    "<{}@{}> ",
    "<{}@{}>x",
    "<{}@{}> SIZE=1",
    "<<{}@{}>>",
    "<@r.test:{}@{}>",
)
OTHERS = (
    "<>",
    "<> ",
    " <>",
    "<",
    ">",
    "",
    "<@>",
    "<a>",
    "<a@>",
    "<@b>",
    "<a@@b>",
    "<a@b@c>",
    "<postmaster>",
    "<>x",
    "<> SIZE=1",
    "<>>",
)
ARGUMENTS = [
    *OTHERS,
    *(
        form.format(local, domain)
        for form in FORMS[:1]
        for local, domain in itertools.product(LOCALS, DOMAINS)
    ),
    *(form.format("a", "b.test") for form in FORMS),
]


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def make(request: pytest.FixtureRequest) -> Make:
    return IMPLEMENTATIONS[request.param]


@pytest.mark.parametrize(
    "prefix", ["FROM:", "from:", "From:", "FROM", "FROM ", "FRO:", "TO:", "XROM:", "FROM;"]
)
def test_senders(make: Make, prefix: str) -> None:
    for argument in ARGUMENTS if prefix == "FROM:" else ARGUMENTS[:60]:
        client = Client(make)
        client.say(b"EHLO x\r\n")
        said = client.say(f"MAIL {prefix}{argument}\r\n".encode())
        read = RULES.read_mail(f"{prefix}{argument}".strip(" ").encode())
        expected = [] if isinstance(read, Reply) else [("mail", *read)]
        assert client.handler.events[1:] == expected, argument
        assert not isinstance(read, Reply) or said == read.wire, argument


@pytest.mark.parametrize("prefix", ["TO:", "to:", "TO", "TO ", "T:", "FROM:", "XO:", "TO;"])
def test_recipients(make: Make, prefix: str) -> None:
    for argument in ARGUMENTS if prefix == "TO:" else ARGUMENTS[:60]:
        client = Client(make)
        client.say(b"EHLO x\r\nMAIL FROM:<>\r\n")
        said = client.say(f"RCPT {prefix}{argument}\r\n".encode())
        read = RULES.read_rcpt(f"{prefix}{argument}".strip(" ").encode(), False)
        expected = [] if isinstance(read, Reply) else [("rcpt", *read)]
        assert client.handler.events[2:] == expected, argument
        assert not isinstance(read, Reply) or said == read.wire, argument


def test_every_octet_of_a_local_part_and_a_domain(make: Make) -> None:
    for octet in set(range(1, 128)) - {10, 13}:
        for path in (f"<a{chr(octet)}@b.test>", f"<a@b{chr(octet)}c.test>", f"<{chr(octet)}@b.test>"):
            client = Client(make)
            client.say(b"EHLO x\r\n", f"MAIL FROM:{path}\r\n".encode())
            read = RULES.read_mail(f"FROM:{path}".encode())
            assert client.handler.events[1:] == ([] if isinstance(read, Reply) else [("mail", *read)]), path
