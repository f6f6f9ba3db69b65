"""One document by HTTPS, from servers on loopback that behave and that do not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fastsmtp.transport.smtp.https import HttpsFetcher, web_context
from fastsmtp.transport.smtp.mta_sts import LARGEST, FetchError
from tests.fakes.resolver import FakeResolver
from tests.tools.chains import Issued

CA = Issued("root", authority=True)
HOST = "mta-sts.far.test"
URL = f"https://{HOST}/.well-known/mta-sts.txt"
BODY = b"version: STSv1\r\n"


def answer(
    *lines: str, body: bytes = BODY, status: str = "HTTP/1.1 200 OK", length: bool = True
) -> list[bytes]:
    """Head and body; with a length and the right media type, unless ``lines`` say other things."""
    fields = [status, *lines]
    if not any(line.lower().startswith("content-type") for line in lines):
        fields.append("Content-Type: text/plain; charset=utf-8")
    if length:
        fields.append(f"Content-Length: {len(body)}")
    return ["\r\n".join(fields).encode() + b"\r\n\r\n", body]


class Web:
    """Serves one connection after another from ``pieces``; keeps what was asked. ``hang``: stay open after them."""

    def __init__(self, pieces: list[bytes], *, hang: bool = False) -> None:
        self.pieces = pieces
        self.hang = hang
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if self.hang:
                await reader.read()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


def fetch(
    web: Web,
    directory: Path,
    *,
    certificate: Issued | None = None,
    addresses: tuple[str, ...] = ("127.0.0.1",),
    total: float = 20,
    url: str = URL,
    **options: Any,
) -> bytes:
    """What a fetcher that trusts CA gets. In ``url`` PORT stands for the server's."""
    issued = certificate or Issued(HOST, CA, names=(HOST,))

    async def run() -> bytes:
        server = await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=issued.server_context(directory))
        resolver = FakeResolver()
        resolver.hosts[HOST] = list(addresses)
        port = server.sockets[0].getsockname()[1]
        usual = 1 if "PORT" in url else port
        fetcher = HttpsFetcher(resolver, CA.client_context(), port=usual, total=total, **options)
        try:
            return await fetcher.fetch(url.replace("PORT", str(port)))
        finally:
            server.close()

    found: bytes = uvloop.run(run())
    return found


def failure(web: Web, directory: Path, **options: Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(web, directory, **options)
    return caught.value


def test_a_document(tmp_path: Path) -> None:
    web = Web(answer())
    assert fetch(web, tmp_path) == BODY
    request = web.requests[0].decode().split("\r\n")
    assert request[0] == "GET /.well-known/mta-sts.txt HTTP/1.1"
    assert f"Host: {HOST}" in request
    assert "Connection: close" in request


def test_a_document_of_another_kind(tmp_path: Path) -> None:
    web = Web(answer("Content-Type: Application/JSON; charset=utf-8", body=b"{}"))
    url = f"https://{HOST}:PORT?tenant=a&x=%20"
    assert fetch(web, tmp_path, url=url, kinds=("application/json", "application/jwk-set+json")) == b"{}"
    request = web.requests[0].decode().split("\r\n")
    assert request[0] == "GET /?tenant=a&x=%20 HTTP/1.1"
    assert f"Host: {HOST}:" in request[1]
    assert "Accept: application/json, application/jwk-set+json" in request
    assert "application/json" in str(failure(Web(answer()), tmp_path, kinds=("application/json",)))


def test_byte_by_byte(tmp_path: Path) -> None:
    pieces = [bytes([byte]) for byte in b"".join(answer())]
    assert fetch(Web(pieces), tmp_path) == BODY


def test_in_chunks(tmp_path: Path) -> None:
    body = b"5;name=value\r\nversi\r\n0B\r\non: STSv1\r\n\r\n0\r\nTrailer: x\r\n\r\n"
    assert fetch(Web(answer("Transfer-Encoding: chunked", body=body, length=False)), tmp_path) == BODY


def test_what_comes_before_the_answer(tmp_path: Path) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert fetch(Web([early, early, *answer()]), tmp_path) == BODY


def test_an_empty_document_and_the_largest_one(tmp_path: Path) -> None:
    assert fetch(Web(answer(body=b"")), tmp_path) == b""
    assert len(fetch(Web(answer(body=b"x" * LARGEST)), tmp_path)) == LARGEST


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        (answer("Location: https://mta-sts.far.test/other", status="HTTP/1.1 301 Moved"), "status 301"),
        (answer(status="HTTP/1.1 404 Not Found"), "status 404"),
        (answer(status="HTTP/1.1 204 No Content"), "status 204"),
        (answer(status="HTTP/2 200"), "not an answer of HTTP/1.1"),
        (answer(status="HTTP/1.1 2000 OK"), "not an answer of HTTP/1.1"),
        (answer(status="220 mx.far.test ESMTP"), "not an answer of HTTP/1.1"),
        (answer(status="HTTP/1.1 ²00 OK"), "not an answer of HTTP/1.1"),
        (answer("Content-Type: text/html"), "media type"),
        (answer("Content-Type: "), "media type"),
        (answer("Content-Encoding: gzip"), "content encoding"),
        (answer("Transfer-Encoding: gzip, chunked", length=False), "transfer encoding"),
        (answer("Transfer-Encoding: chunked"), "transfer encoding"),
        (answer(length=False), "no length"),
        (answer("Content-Length: 5"), "no length"),
        (answer("Content-Length: -1", length=False), "no length"),
        (answer("Content-Length: 65537", length=False), "longer than 65536"),
        (answer("Content-Length: " + "9" * 5000, length=False), "longer than 65536"),
        (answer("Content-Length: 17", length=False), "closed within the answer"),
        (answer(" folded: x"), "field that cannot be read"),
        (answer("no colon"), "field that cannot be read"),
        (answer("Field : x"), "field that cannot be read"),
        (answer("X: " + "x" * 20_000), "too long a line or head"),
        ([b"x" * 40_000], "too long a line or head"),
        ([b"HTTP/1.1 200 OK\r\n"], "closed within the answer"),
        ([], "closed within the answer"),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 9, "status 103"),
    ],
)
def test_answers_that_are_none(tmp_path: Path, pieces: list[bytes], reason: str) -> None:
    error = failure(Web(pieces), tmp_path)
    assert error.result == "sts-policy-fetch-error"
    with pytest.raises(FetchError, match=reason):
        raise error
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"zz\r\n", "chunk without a length"),
        (b"-5\r\n", "chunk without a length"),
        (b"0x5\r\nversi\r\n", "chunk without a length"),
        (b"1_0\r\n", "chunk without a length"),
        (b"\r\n", "chunk without a length"),
        (b"5;" + b"x" * 1000 + b"\r\n", "chunk without a length"),
        (b"5\r\nversion", "chunk without an end"),
        (b"ffffffff\r\n", "longer than 65536"),
        ((b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 3, "longer than 65536"),
        (b"5\r\nver", "closed within the answer"),
        (b"5\r\nversi\r\n", "closed within the answer"),
        (b"1" * 40_000, "too long a line or head"),
    ],
)
def test_chunks_that_are_none(tmp_path: Path, body: bytes, reason: str) -> None:
    error = failure(Web(answer("Transfer-Encoding: chunked", body=body, length=False)), tmp_path)
    with pytest.raises(FetchError, match=reason):
        raise error


@pytest.mark.parametrize(
    "certificate",
    [
        Issued(HOST, CA, names=("far.test",)),
        Issued(HOST, Issued("root", authority=True), names=(HOST,)),
        Issued(HOST, names=(HOST,)),
    ],
    ids=["for another name", "of another authority", "of nobody"],
)
def test_certificates_that_do_not_hold(tmp_path: Path, certificate: Issued) -> None:
    web = Web(answer())
    error = failure(web, tmp_path, certificate=certificate)
    assert error.result == "sts-webpki-invalid"
    assert web.requests == []


def test_a_server_that_never_ends(tmp_path: Path) -> None:
    error = failure(Web(answer("Content-Length: 100", length=False), hang=True), tmp_path, total=0.3)
    assert str(error) == f"{HOST}: no document within 0.3 s"


def test_the_next_address_is_tried(tmp_path: Path) -> None:
    assert fetch(Web(answer()), tmp_path, addresses=("127.0.0.2", "127.0.0.1")) == BODY
    error = failure(Web(answer()), tmp_path, addresses=("127.0.0.2", "127.0.0.3"))
    assert "127.0.0.3" in str(error)


def test_a_host_that_has_no_address_or_does_not_exist() -> None:
    def ask(resolver: FakeResolver) -> str:
        fetcher = HttpsFetcher(resolver, CA.client_context())
        with pytest.raises(FetchError) as caught:
            asyncio.run(fetcher.fetch(URL))
        return str(caught.value)

    resolver = FakeResolver()
    assert "does not exist" in ask(resolver)
    resolver.hosts[HOST] = []
    assert "has no address" in ask(resolver)
    resolver.failing = {HOST}
    assert "SERVFAIL" in ask(resolver)


def test_what_is_asked_of_the_web() -> None:
    context = web_context()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name == "TLSv1_2"
