"""One question to a server on loopback, over UDP and TCP."""

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest
import uvloop
from dns.rdatatype import RdataType

from fastsmtp.config.values import parse_endpoint
from fastsmtp.dns.exchange import ExchangeError, exchange, question
from fastsmtp.dns.pace import Pace
from tests.fakes.dns_server import DnsServer, to_wire

Runner = Callable[[Awaitable[Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Both loops: their sockets' calls are not the same code."""
    return asyncio.run if request.param == "asyncio" else uvloop.run  # type: ignore[return-value]


async def ask(
    server: DnsServer, name: str = "far.test", kind: RdataType = RdataType.MX
) -> dns.message.Message:
    answer, _ = await exchange(name, kind, server.endpoint, 5, Pace(8))
    return answer


def failure(run: Runner, server: DnsServer, timeout: float = 5) -> str:
    with pytest.raises(ExchangeError) as caught:
        run(exchange("far.test", RdataType.MX, server.endpoint, timeout, Pace(8)))
    return str(caught.value)


def test_over_udp(run: Runner) -> None:
    with DnsServer() as server:
        server.add("far.test", "MX", "10 mx.far.test.")
        answer, length = run(exchange("far.test", RdataType.MX, server.endpoint, 5, Pace(8)))
        assert [str(rrset) for rrset in answer.answer] == ["far.test. 300 IN MX 10 mx.far.test."]
        assert length > 40
        assert server.asked("far.test") == ["MX udp"]


def test_the_question_wants_recursion_and_the_word_of_a_validating_resolver() -> None:
    query = question("far.test", RdataType.MX)
    assert query.flags & dns.flags.RD
    assert query.flags & dns.flags.AD
    assert (query.edns, query.payload) == (0, 1232)


def test_what_does_not_fit_comes_over_tcp(run: Runner) -> None:
    with DnsServer() as server:
        server.add("far.test", "MX", *[f"10 a-rather-long-name-{i}.somewhere{i}.test." for i in range(80)])
        answer = run(ask(server))
        assert len(answer.answer[0]) == 80
        assert server.asked("far.test") == ["MX udp", "MX tcp"]


def test_no_server_is_told_at_once(run: Runner) -> None:
    with DnsServer() as server:
        endpoint = server.endpoint
    began = time.monotonic()
    with pytest.raises(ExchangeError, match="refused"):
        run(exchange("far.test", RdataType.MX, endpoint, 30, Pace(8)))
    assert time.monotonic() - began < 10


def test_silence(run: Runner) -> None:
    with DnsServer() as server:
        server.hang("far.test", "MX")
        assert failure(run, server, 0.05) == "no answer within 0.05 s"


def test_silence_over_tcp(run: Runner) -> None:
    with DnsServer() as server:
        server.script("far.test", "MX", lambda query, tcp: None if tcp else _cut(query))
        assert failure(run, server, 1) == "closed before the answer"


def test_datagrams_that_do_not_answer_are_passed_over(run: Runner) -> None:
    """Garbage, another number, another question: the true answer may still come."""
    other = dns.message.make_query("other.test.", "MX")

    def script(query: dns.message.Message, tcp: bool) -> bytes:
        true = to_wire(server.answer(query), tcp)
        wrong = dns.message.make_response(other)
        wrong.id = query.id
        for data in (b"", b"x", os.urandom(64), bytes([true[0] ^ 1]) + true[1:], wrong.to_wire(), true[:20]):
            server.send(data)
        return true

    with DnsServer() as server:
        server.add("far.test", "MX", "10 mx.far.test.")
        server.script("far.test", "MX", script)
        assert len(run(ask(server)).answer) == 1


def test_a_flood_of_them_ends_the_wait(run: Runner) -> None:
    def script(query: dns.message.Message, tcp: bool) -> None:
        for _ in range(100):
            server.send(b"\x00" * 30)

    with DnsServer() as server:
        server.script("far.test", "MX", script)
        assert failure(run, server) == "datagrams that do not answer the question"


def test_garbage_over_tcp(run: Runner) -> None:
    with DnsServer() as server:
        server.script("far.test", "MX", lambda query, tcp: b"\x00" * 30 if tcp else _cut(query))
        assert failure(run, server) == "an answer that cannot be read"


def test_a_huge_answer_is_not_read(run: Runner) -> None:
    def script(query: dns.message.Message, tcp: bool) -> bytes:
        return b"\x00" * 40_000 if tcp else _cut(query)

    with DnsServer() as server:
        server.script("far.test", "MX", script)
        assert failure(run, server) == "an answer of 40000 bytes; up to 16384 are read"


def test_it_leaves_no_socket_behind(run: Runner) -> None:
    async def many() -> int:
        await ask(server, names[-1])
        gc.collect()  # what other tests left open is not to close in mid-count
        before = len(os.listdir("/proc/self/fd"))
        for timeout in (0.01, 0.1):
            await asyncio.gather(
                *(exchange(name, RdataType.MX, server.endpoint, timeout, Pace(8)) for name in names),
                return_exceptions=True,
            )
        return len(os.listdir("/proc/self/fd")) - before

    names = [f"d{i}.test" for i in range(40)]
    with DnsServer() as server:
        for name in names[:20]:
            server.hang(name, "MX")
        assert run(many()) == 0


def test_one_broken_record_does_not_hide_the_others(run: Runner) -> None:
    """A digest of a wrong length, which is what people publish."""

    def script(query: dns.message.Message, tcp: bool) -> bytes:
        wire = bytearray(to_wire(server.answer(query), tcp))
        digest = wire.index(b"\xaa" * 32)
        wire[digest - 5 : digest - 3] = (3 + 30).to_bytes(2, "big")
        del wire[digest : digest + 2]
        return bytes(wire)

    name = "_25._tcp.mx.test"
    with DnsServer() as server:
        server.add(name, "TLSA", f"3 1 1 {'aa' * 32}", f"3 1 1 {'02' * 32}")
        server.script(name, "TLSA", script)
        answer = run(ask(server, name, RdataType.TLSA))
        assert [str(record) for record in answer.answer[0]] == [f"3 1 1 {'02' * 32}"]
        assert len(answer.errors) == 1


def test_a_message_that_ends_too_soon_is_no_answer(run: Runner) -> None:
    with DnsServer() as server:
        server.add("far.test", "MX", "10 mx.far.test.", "20 mx2.far.test.")
        server.script(
            "far.test",
            "MX",
            lambda query, tcp: to_wire(server.answer(query), tcp)[:-12] if tcp else _cut(query),
        )
        assert failure(run, server) == "an answer that cannot be read"


def test_over_ipv6() -> None:
    """Nothing listens there; that it is the port that is refused shows that the address was understood."""
    with pytest.raises(ExchangeError, match=r"refused|unreachable|assign|not supported"):
        asyncio.run(exchange("far.test", RdataType.MX, parse_endpoint("[::1]:1"), 5, Pace(8)))


def _cut(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response.to_wire()
