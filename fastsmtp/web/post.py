"""One POST request (RFC 9112), each on a connection of its own; of the response only the status counts."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

_HEAD = 16_384
_MOST_INTERIM = 4
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: |\r)")
_PORTS = {"http": 80, "https": 443}


class PostError(Exception):
    """It was not taken; one line that says why."""


async def post(
    url: str,
    body: bytes,
    fields: Mapping[str, str],
    *,
    timeout: float,
    context: Callable[[], ssl.SSLContext],
) -> None:
    """Post JSON to ``url``; returns when it was answered 2xx. Redirects are not followed: what is signed is for
    this URL alone. Raises `PostError`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    tls = context() if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls else None, limit=_HEAD
            )
            try:
                writer.write(_request(parts.netloc, parts.path, parts.query, fields, len(body)) + body)
                await writer.drain()
                status = await _status(reader)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise PostError(f"no answer within {timeout:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise PostError(f"its certificate is not good: {error.verify_message}") from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        raise PostError("what it answered is not HTTP/1.1") from None
    except OSError as error:
        raise PostError(error.strerror or type(error).__name__) from None
    if not 200 <= status < 300:
        raise PostError(f"it answered with status {status}")


def _request(netloc: str, path: str, query: str, fields: Mapping[str, str], length: int) -> bytes:
    target = (path or "/") + (f"?{query}" if query else "")
    more = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return (
        f"POST {target} HTTP/1.1\r\nHost: {netloc}\r\nUser-Agent: fastsmtp\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    ).encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    for _ in range(_MOST_INTERIM):
        found = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
        if found is None:
            break
        if (status := int(found[1])) >= 200:
            return status
    raise ValueError
