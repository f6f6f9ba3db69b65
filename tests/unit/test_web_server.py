"""HTTPS, the event loop that the server really runs on, and the end of requests under way."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from fastsmtp.control import client
from fastsmtp.tls.pair import to_send
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.tls.store import CertificateStore
from fastsmtp.web import server as module
from fastsmtp.web.settings import HttpSettings
from tests.fakes.web import ADMIN, SHOP, WebServer, read_response, serving, web_settings
from tests.tools.tls_pairs import pairs_for

Work = Callable[[WebServer], Awaitable[None]]
MAIL = {"from": "a@shop.test", "to": ["x@far.test"], "text": "hello"}


def run(work: Awaitable[None]) -> None:
    """On the loop that workers have."""

    async def main() -> None:
        async with asyncio.timeout(60):
            await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def https(server: WebServer, path: str) -> tuple[int, str]:
    """The status, and whose certificate it is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=context, server_hostname="x.test"
    )
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n\r\n".encode())
    answer = await read_response(reader)
    der = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.transport.abort()
    return answer.status, "new.test" if b"new.test" in der else "old.test"


def test_https_with_the_certificates_of_the_server(tmp_path: Path) -> None:
    old, new = pairs_for(tmp_path, ["old.test", "new.test"])
    store = CertificateStore(TlsSettings(), [old])

    async def work() -> None:
        settings = web_settings(tmp_path, http=HttpSettings(address="127.0.0.1:0", tls=True, tokens=TOKENS))
        async with serving(settings, store) as server:
            assert await https(server, "/v1/queue") == (200, "old.test")
            server.web.renew(0, to_send(new))
            assert await https(server, "/v1/queue") == (200, "new.test")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not (await reader.read(100)).startswith(b"HTTP/1.1 2")
            writer.transport.abort()

    run(work())


TOKENS = web_settings(Path("/nowhere")).http.tokens


def test_mail_on_the_loop_of_workers(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(web_settings(tmp_path)) as server:
            answers = await asyncio.gather(
                *(
                    server.ask("POST", "/v1/messages", {**MAIL, "text": "x" * n * 1000}, token=SHOP)
                    for n in range(40)
                )
            )
            assert {answer.status for answer in answers} == {202}
            assert len({answer.json["id"] for answer in answers}) == 40

    run(work())


def test_a_request_under_way_is_answered_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with serving(web_settings(tmp_path)) as server:
            begun, go_on = asyncio.Event(), asyncio.Event()
            usual = client.ask

            async def slow(*arguments: object, **options: object) -> object:
                begun.set()
                await go_on.wait()
                return await usual(*arguments, **options)  # type: ignore[arg-type]

            monkeypatch.setattr("fastsmtp.web.hub.ask", slow)
            idle = await asyncio.open_connection("127.0.0.1", server.port)
            request = asyncio.create_task(server.ask("POST", "/v1/messages", MAIL, token=SHOP))
            await begun.wait()
            ending = asyncio.create_task(server.web.drain(10.0))
            assert await idle[0].read() == b""
            go_on.set()
            answer = await request
            assert (answer.status, answer.fields["connection"]) == (202, "close")
            await ending
            idle[1].transport.abort()

    run(work())


def test_too_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 3)

    async def work() -> None:
        async with serving(web_settings(tmp_path)) as server:
            held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
            answer = await server.ask("GET", "/metrics")
            assert answer.status == 503
            for _, writer in held:
                writer.close()
                await writer.wait_closed()
            while (await server.ask("GET", "/metrics")).status != 200:
                await asyncio.sleep(0.01)

    run(work())
