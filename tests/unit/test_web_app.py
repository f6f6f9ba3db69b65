"""The HTTP interface as its clients see it: who may ask what, and how what goes wrong is told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from openapi_spec_validator import validate

from fastsmtp.web import app, bodies, protocol
from fastsmtp.web.operation import Asked, Operation
from fastsmtp.web.settings import HttpSettings
from tests.fakes.web import ADMIN, SHOP, WebServer, read_response, serving, web_settings
from tools import api_doc

Work = Callable[[WebServer], Awaitable[None]]


def run(tmp_path: Path, work: Work, **settings: object) -> None:
    """Do ``work`` with a server."""

    async def main() -> None:
        async with serving(web_settings(tmp_path, **settings)) as server:
            await work(server)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_health_needs_no_token(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        server.worker.tick()
        live = await server.ask("GET", "/livez")
        assert (live.status, live.body) == (200, b"ok\n")
        assert (await server.ask("GET", "/readyz")).status == 200
        metrics = await server.ask("GET", "/metrics")
        assert metrics.fields["content-type"].startswith("text/plain; version=0.0.4")
        assert b'fastsmtp_http_requests_total{status="2xx"} 2' in metrics.body
        fields = {"Accept": "application/openmetrics-text; version=1.0.0"}
        openmetrics = await server.ask("GET", "/metrics", fields=fields)
        assert openmetrics.fields["content-type"].startswith("application/openmetrics-text")
        assert openmetrics.body.endswith(b"# EOF\n")

    run(tmp_path, work)


def test_no_worker_means_no_life(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        live = await server.ask("GET", "/livez")
        assert (live.status, live.body) == (503, b"no worker serves\n")

    run(tmp_path, work)


def test_the_description_is_that_of_the_documentation_and_valid(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        described = (await server.ask("GET", "/openapi.json")).body
        assert api_doc.FILE.read_bytes() == api_doc.document(), "run `make docs`"
        assert msgspec.json.decode(described) == msgspec.json.decode(api_doc.document())
        validate(msgspec.json.decode(described))

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("authorization", "status", "word"),
    [
        ("", 401, "needs a token"),
        ("Bearer", 401, "not known"),
        ("Bearer " + ADMIN[:-1], 401, "not known"),
        ("Bearer " + ADMIN + "x", 401, "not known"),
        ("bearer " + SHOP, 403, "lacks"),
        ("Basic Zm9vOmJhcg==", 401, "Bearer"),
        ("Digest x", 401, "Bearer"),
        ("Bearer \xff\xfe", 401, "not known"),
        ("Bearer " + "x" * 20_000, 401, "not known"),
    ],
)
def test_wrong_tokens(tmp_path: Path, authorization: str, status: int, word: str) -> None:
    async def work(server: WebServer) -> None:
        said = f"GET /v1/queue HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n".encode(
            "latin-1"
        )
        answer = await server.say(said)
        assert answer.status == status
        assert word in answer.json["detail"]
        assert answer.fields["content-type"] == "application/problem+json"
        assert ADMIN[:8] not in answer.body.decode()
        if status == 401:
            assert answer.fields["www-authenticate"] == 'Bearer realm="fastsmtp"'

    run(tmp_path, work)


def test_who_is_not_of_the_networks_may_ask_nothing(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        for path in ("/livez", "/metrics", "/openapi.json", "/v1/queue"):
            answer = await server.ask("GET", path, token=ADMIN)
            assert (answer.status, "http.networks" in answer.json["detail"]) == (403, True)

    http = HttpSettings(address="127.0.0.1:0", networks=("192.0.2.0/24",))
    run(tmp_path, work, http=http)


def test_tokens_are_not_taken_in_clear_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "loopback", lambda ip: False)

    async def work(server: WebServer) -> None:
        answer = await server.ask("GET", "/v1/queue", token=ADMIN)
        assert (answer.status, "TLS" in answer.json["detail"]) == (403, True)
        assert (await server.ask("GET", "/metrics")).status == 200

    run(tmp_path, work)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        for path in (
            "/",
            "/v1",
            "/v1/queue/",
            "/v1/../metrics/",
            "//metrics",
            "/v1/queue/%2e%2e/x",
            "/static/../../x",
        ):
            answer = await server.ask("GET", path, token=ADMIN)
            assert answer.status == 404, path
        wrong = await server.ask("POST", "/metrics")
        assert (wrong.status, set(wrong.fields["allow"].split(", "))) == (405, {"GET", "HEAD"})
        for path in ("/v1/queue/..", "/v1/queue/%00", "/v1/queue/" + "x" * 5000):
            assert (await server.ask("GET", path, token=ADMIN)).status == 404
        for path in ("/v1/accounts/%00", "/v1/accounts/..%40x", "/v1/limits/%f0%28"):
            assert (await server.ask("GET", path, token=ADMIN)).status in (200, 404, 409)

    run(tmp_path, work)


def test_values_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        for query in (
            "limit=0",
            "limit=many",
            "bad=1",
            "limit=1&limit=2",
            "state=odd",
            "code=x",
            "older=nan1",
        ):
            answer = await server.ask("GET", f"/v1/queue?{query}", token=ADMIN)
            assert answer.status == 422, query
        assert (await server.ask("GET", "/livez?x=1")).status == 422
        for body, status in (
            (b"", 400),
            (b"{", 400),
            (b"[]", 422),
            (b'{"action":"eat"}', 422),
            (b"\xff", 400),
        ):
            assert (await server.ask("POST", "/v1/queue/actions", body, token=ADMIN)).status == status, body
        deep = b"[" * 200_000
        assert (await server.ask("POST", "/v1/queue/actions", deep, token=ADMIN)).status in (400, 422)
        form = await server.ask("POST", "/v1/queue/actions", b"{}", token=ADMIN, kind="text/plain")
        assert form.status == 415

    run(tmp_path, work)


def test_octets_in_a_query_that_are_no_text(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        for path in (b"/livez?x=\xff", b"/livez?%ff=\xfe", b"/metrics\xff", b"/livez#\xff"):
            answer = await server.say(b"GET " + path + b" HTTP/1.1\r\nHost: [x\r\nConnection: close\r\n\r\n")
            assert answer.status in (400, 404, 422), path

    run(tmp_path, work)


def test_bodies_that_are_too_large(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        head = (
            f"POST /v1/domains HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n"
            "Content-Type: application/json\r\n"
        )
        said = await server.say(f"{head}Content-Length: {bodies.SMALL + 1}\r\n\r\n".encode())
        assert (said.status, said.fields["connection"]) == (413, "close")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        sent = await server.say(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 17)
        assert sent.status == 413
        both = await server.say(
            f"{head}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n".encode()
        )
        assert both.status == 400
        for length in ("-1", "1e3", "x", "9" * 30):
            assert (await server.say(f"{head}Content-Length: {length}\r\n\r\n".encode())).status == 400

    run(tmp_path, work)


def test_a_fault_of_ours_is_told_without_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(asked: Asked) -> None:
        raise RuntimeError(f"with a secret: {ADMIN}")

    def only(*arguments: object) -> list[Operation]:
        return [
            Operation(method="GET", path="/x", name="x", group="x", summary="x", handler=broken, right=None)
        ]

    monkeypatch.setattr("fastsmtp.process.web.operations", only)

    async def work(server: WebServer) -> None:
        answer = await server.ask("GET", "/x")
        assert (answer.status, answer.json["detail"]) == (500, "a defect of the server; its log says where")

    run(tmp_path, work)


# --- connections that cost time -------------------------------------------------------------------


async def cut_off(server: WebServer, reader: asyncio.StreamReader) -> None:
    """Until the server has ended a connection by which nothing more comes."""
    while True:
        server.web.tick()
        try:
            assert await asyncio.wait_for(reader.read(100), 0.05) == b""
            return
        except ConnectionResetError:
            return
        except TimeoutError:
            continue


def test_a_header_that_never_ends_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIME", -1.0)

    async def work(server: WebServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /livez HTTP/1.1\r\nX-Slow: ")
        await writer.drain()
        await cut_off(server, reader)
        writer.transport.abort()

    run(tmp_path, work)


def test_so_is_a_connection_that_says_nothing_after_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REST_TIME", -1.0)

    async def work(server: WebServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /li")
        assert (await read_response(reader)).status == 503
        await cut_off(server, reader)
        writer.transport.abort()

    run(tmp_path, work)


def test_a_header_that_is_too_large(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /livez HTTP/1.1\r\n")
        writer.write(b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(200)))
        await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        writer.transport.abort()
        # Others are served all the while.
        assert (await server.ask("GET", "/livez")).status == 503

    run(tmp_path, work)


def test_fields_behind_a_body_are_bounded_as_those_before_it(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        for endless in (b"X-Field: " + b"y" * 1000 + b"\r\n", b"1;" + b"z" * 1000):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            assert (await read_response(reader)).status == 200
            writer.write((b"0\r\n" if endless.startswith(b"X") else b"") + endless * 200)
            assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 431 ")
            writer.transport.abort()

    run(tmp_path, work)


def test_a_body_that_stops_coming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PIECE_TIME", 0.05)

    async def work(server: WebServer) -> None:
        head = (
            f"POST /v1/domains HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert (await server.say(head.encode())).status == 408

    run(tmp_path, work)


def test_what_is_no_http(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        for said in (
            b"EHLO x\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(said)
            assert (await reader.readline()).startswith(b"HTTP/1.1 400"), said
            writer.transport.abort()

    run(tmp_path, work)


def test_requests_on_one_connection_are_answered_in_order(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nHEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_response(reader)).status == 404
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.abort()

    run(tmp_path, work)
