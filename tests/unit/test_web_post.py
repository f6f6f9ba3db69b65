"""One POST, and everything that may come of it."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmtp.web.post import PostError, post
from tests.fakes.web import read_request
from tests.tools.certificates import Authority


def posted(
    answer: bytes, *, timeout: float = 10.0, path: str = "/hook?a=b"
) -> list[tuple[str, dict[str, str], bytes]]:
    """Post to somebody who says ``answer``; what he was sent."""
    requests = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await read_request(reader))
        writer.write(answer)
        if answer:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            await post(
                f"http://127.0.0.1:{port}{path}",
                b"{}",
                {"webhook-id": "1"},
                timeout=timeout,
                context=lambda: pytest.fail("no TLS here"),
            )

    asyncio.run(main())
    return requests


def test_what_is_sent() -> None:
    ((first, fields, body),) = posted(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert (first, body) == ("POST /hook?a=b HTTP/1.1", b"{}")
    assert fields["webhook-id"] == "1"
    assert fields["content-length"] == "2"
    assert fields["host"].startswith("127.0.0.1:")
    assert posted(b"HTTP/1.0 200 OK\r\n\r\n", path="")[0][0] == "POST / HTTP/1.1"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 500 Oh\r\n\r\n", "status 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "status 302"),
        (b"HTTP/1.1 2", "not HTTP"),
        (b"220 mx.test ESMTP\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 100 C\r\n\r\n" * 9, "not HTTP"),
    ],
)
def test_what_is_not_taken(answer: bytes, words: str) -> None:
    with pytest.raises(PostError, match=words):
        posted(answer)


def test_nobody_answers() -> None:
    with pytest.raises(PostError, match=r"no answer within 0\.05 s"):
        posted(b"", timeout=0.05)

    async def refused(url: str, context: Callable[[], ssl.SSLContext]) -> None:
        await post(url, b"{}", {}, timeout=5.0, context=context)

    with pytest.raises(PostError):
        asyncio.run(refused("http://127.0.0.1:1/", ssl.create_default_context))


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    context = Authority(tmp_path).server("localhost")

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        async with server:
            await post(
                f"https://localhost:{port}/", b"{}", {}, timeout=5.0, context=ssl.create_default_context
            )

    with pytest.raises(PostError, match="certificate is not good"):
        asyncio.run(main())
