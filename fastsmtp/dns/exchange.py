"""One question to one resolver: over UDP, and over TCP when the answer does not fit (RFC 1035 §4.2, RFC 7766)."""

import asyncio
import socket

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.wire

from fastsmtp.config.values import Endpoint
from fastsmtp.dns.pace import Pace

PAYLOAD = 1232
"""Bytes a resolver may put into a datagram (RFC 6891 §6.2.5): what goes through every IPv6 link in one piece."""
_STRANGERS = 16
"""Datagrams of one exchange that are no answer to it: more, and somebody guesses."""
_LARGEST = 16_384
"""Bytes of an answer that is read: reading one takes the loop about 1 ms for 1,000 bytes."""


class ExchangeError(Exception):
    """No answer; the text says why in a few words."""


def question(name: str, kind: dns.rdatatype.RdataType) -> dns.message.QueryMessage:
    """Ask for ``kind`` of ``name``, which is in normal form. The AD bit in a question asks a validating resolver to
    say so in its answer (RFC 6840 §5.7)."""
    return dns.message.make_query(
        name + ".", kind, use_edns=0, payload=PAYLOAD, flags=dns.flags.RD | dns.flags.AD
    )


async def exchange(
    name: str, kind: dns.rdatatype.RdataType, server: Endpoint, timeout: float, pace: Pace
) -> tuple[dns.message.QueryMessage, int]:
    """The answer of ``server`` to the question for ``kind`` of ``name``, which is in normal form, and its length in
    bytes; within ``timeout`` seconds for both ways together. ``pace`` is kept at what takes the loop's time: writing
    questions and reading answers. Raises `ExchangeError`."""
    await pace.turn()
    query = question(name, kind)
    wire = query.to_wire()
    try:
        async with asyncio.timeout(timeout):
            answer, length = await _by_datagram(query, wire, server, pace)
            if answer is None:
                answer, length = await _by_stream(query, wire, server, pace)
    except TimeoutError:
        raise ExchangeError(f"no answer within {timeout:g} s") from None
    except OSError as error:
        raise ExchangeError(error.strerror or str(error)) from None
    return answer, length


async def _by_datagram(
    query: dns.message.QueryMessage, wire: bytes, server: Endpoint, pace: Pace
) -> tuple[dns.message.QueryMessage | None, int]:
    """None when the answer was cut short. Each question has a socket, and so a port, of its own: with the number of
    the question, that is what a forger off the path has to guess (RFC 5452 §9.2). The socket is connected: the
    kernel takes nobody else's datagrams, and tells at once when there is no server."""
    loop = asyncio.get_running_loop()
    with socket.socket(server.family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((server.host, server.port))
        sock.send(wire)
        for _ in range(_STRANGERS):
            data = await loop.sock_recv(sock, _LARGEST)
            if len(data) > 2 and data[:2] == wire[:2] and data[2] & 0x82 == 0x82:
                return None, len(data)  # an answer with TC: what else is in it does not count (RFC 2181 §9)
            await pace.turn()
            answer = _parsed(query, data)
            if answer is not None:
                return answer, len(data)
    raise ExchangeError("datagrams that do not answer the question")


async def _by_stream(
    query: dns.message.QueryMessage, wire: bytes, server: Endpoint, pace: Pace
) -> tuple[dns.message.QueryMessage, int]:
    loop = asyncio.get_running_loop()
    with socket.socket(server.family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server.host, server.port))
        await loop.sock_sendall(sock, len(wire).to_bytes(2, "big") + wire)
        length = int.from_bytes(await _exactly(loop, sock, 2), "big")
        if length > _LARGEST:
            raise ExchangeError(f"an answer of {length} bytes; up to {_LARGEST} are read")
        data = await _exactly(loop, sock, length)
    await pace.turn()
    answer = _parsed(query, data)
    if answer is None:
        raise ExchangeError("an answer that cannot be read")
    return answer, length


async def _exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = await loop.sock_recv(sock, count - len(data))
        if not piece:
            raise ExchangeError("closed before the answer")
        data += piece
    return bytes(data)


def _parsed(query: dns.message.QueryMessage, data: bytes) -> dns.message.QueryMessage | None:
    """The message, when it answers ``query``: its number, a response, the same question."""
    # What a hostile message makes of the parser is not always one of its own errors.
    unreadable = (dns.exception.DNSException, ValueError, LookupError)
    try:
        answer = dns.message.from_wire(data, ignore_trailing=True)
    except unreadable:
        try:
            # One record that is not well-formed must not hide the others: `errors` then counts what was left out.
            _walk(data)
            answer = dns.message.from_wire(data, ignore_trailing=True, continue_on_error=True)
        except unreadable:
            return None
    if not isinstance(answer, dns.message.QueryMessage) or not query.is_response(answer):
        return None
    return answer


def _walk(data: bytes) -> None:
    """Raises what `dns.wire.Parser` does unless all records that the message counts are there (RFC 1035 §4.1)."""
    parser = dns.wire.Parser(data)
    _, _, questions, *counts = parser.get_struct("!HHHHHH")
    for _ in range(questions):
        parser.get_name(decompress=True)
        parser.get_struct("!HH")
    for _ in range(sum(counts)):
        parser.get_name(decompress=True)
        parser.get_bytes(parser.get_struct("!HHIH")[3])
