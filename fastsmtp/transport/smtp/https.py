"""One small document by HTTPS: a GET of HTTP/1.1 without redirects, cookies or caches (RFC 8461 §3.3, RFC 9112)."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from itertools import chain, zip_longest
from urllib.parse import urlsplit

from fastsmtp.dns.base import DnsError, Resolver
from fastsmtp.transport.smtp.mta_sts import LARGEST, FetchError

TOTAL = 30.0
"""Seconds for all of it (RFC 8461 §3.3 suggests a minute; mail waits for this)."""
_EACH = 8.0
"""Seconds for one address to take the connection, TLS included."""
_MOST_ADDRESSES = 4
_HEAD = 16_384
"""Bytes of the status line and the fields."""
_LINE = 256
_MOST_INTERIM = 4
_END = b"\r\n\r\n"
_STATUS = re.compile(r"HTTP/1\.[01] ([1-9][0-9]{2})(?: |$)")


def web_context() -> ssl.SSLContext:
    """TLS as a browser would ask for: certificates of the system's authorities, and the host's name in them."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class HttpsFetcher:
    """A `Fetcher`. ``port`` is that of a URL without one, 443 but in tests; ``total`` the seconds for one document,
    ``kinds`` the media types it may have."""

    def __init__(
        self,
        resolver: Resolver,
        context: ssl.SSLContext,
        *,
        port: int = 443,
        total: float = TOTAL,
        kinds: tuple[str, ...] = ("text/plain",),
    ) -> None:
        self._resolver = resolver
        self._context = context
        self._port = port
        self._total = total
        self._kinds = kinds

    async def fetch(self, url: str) -> bytes:
        """See `Fetcher.fetch`."""
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        try:
            async with asyncio.timeout(self._total):
                reader, writer = await self._connect(host, parts.port or self._port)
                try:
                    return await _get(reader, writer, parts.netloc, path, self._kinds)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise _failed(f"{host}: no document within {self._total:g} s") from None
        except asyncio.IncompleteReadError:
            raise _failed(f"{host}: closed within the answer") from None
        except asyncio.LimitOverrunError:
            raise _failed(f"{host}: an answer with too long a line or head") from None
        except (OSError, ValueError) as error:
            raise _failed(f"{host}: {_words(error)}") from None

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            found = await self._resolver.addresses(host)
        except DnsError as error:
            raise _failed(str(error)) from None
        said = FetchError("sts-policy-fetch-error", f"{host} has no address")
        for address in _in_turn(found.v6, found.v4):
            try:
                async with asyncio.timeout(_EACH):
                    return await asyncio.open_connection(
                        address, port, ssl=self._context, server_hostname=host, limit=_HEAD
                    )
            except ssl.SSLCertVerificationError as error:
                said = FetchError("sts-webpki-invalid", f"{host}[{address}]: {error.verify_message}")
            except TimeoutError:
                said = _failed(f"{host}[{address}]: no connection within {_EACH:g} s")
            except OSError as error:
                said = _failed(f"{host}[{address}]: {_words(error)}")
        raise said


def _in_turn(v6: tuple[str, ...], v4: tuple[str, ...]) -> Iterator[str]:
    pairs = list(zip_longest(v6, v4))
    return iter([one for one in chain.from_iterable(pairs) if one is not None][:_MOST_ADDRESSES])


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str, kinds: tuple[str, ...]
) -> bytes:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: fastsmtp\r\nAccept: {', '.join(kinds)}\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
    writer.write(request.encode("ascii"))
    for _ in range(_MOST_INTERIM):
        status, fields = _head(await reader.readuntil(_END))
        if status >= 200:
            break
    # RFC 8461 §3.3: a redirect is not followed; so anything but 200 is no policy.
    if status != 200:
        raise ValueError(f"status {status}, not 200")
    kind = fields.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        # RFC 8461 §3.2: where strangers may put pages or pictures, they could put a policy too.
        raise ValueError(f"its media type is not {' or '.join(kinds)}")
    if fields.get("content-encoding", "identity").lower() != "identity":
        raise ValueError("a content encoding that was not asked for")
    if "transfer-encoding" in fields:
        if fields["transfer-encoding"].lower() != "chunked" or "content-length" in fields:
            raise ValueError("a transfer encoding that was not asked for")
        return await _chunked(reader)
    length = fields.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        # A body that ends with the connection could have been cut (RFC 9112 §9.8).
        raise ValueError("no length of the document")
    if len(length) > 9 or int(length) > LARGEST:
        raise ValueError(f"longer than {LARGEST} bytes")
    return await reader.readexactly(int(length))


def _head(data: bytes) -> tuple[int, dict[str, str]]:
    """Status and fields (RFC 9112 §4, §5), names in lower case. A field that stands twice is joined with a comma
    (RFC 9110 §5.3), which makes two lengths no number."""
    first, *lines = data.removesuffix(_END).decode("latin-1").split("\r\n")
    status = _STATUS.match(first)
    if status is None:
        raise ValueError("not an answer of HTTP/1.1")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError("a field that cannot be read")
        key, value = name.lower(), value.strip(" \t")
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return int(status[1]), fields


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    """RFC 9112 §7.1. What may follow the last chunk is not read."""
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        digits = line[:-2].partition(b";")[0].strip(b" \t")
        if len(line) > _LINE or not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits):
            raise ValueError("a chunk without a length")
        size = int(digits, 16)
        if size == 0:
            return bytes(body)
        if len(body) + size > LARGEST:
            raise ValueError(f"longer than {LARGEST} bytes")
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk without an end")


def _failed(text: str) -> FetchError:
    return FetchError("sts-policy-fetch-error", text)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
