"""The application: requests to operations, and whatever goes wrong to an answer (Starlette)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fastsmtp.defects import describe
from fastsmtp.web.access import Access, Client
from fastsmtp.web.bodies import SMALL, too_large, whole
from fastsmtp.web.openapi import describe as describe_api
from fastsmtp.web.operation import Answer, Asked, Operation, read_body, read_query
from fastsmtp.web.problem import MEDIA_TYPE, Problem

PIECE_TIME = 30.0
"""Seconds for the next piece of a body."""
TOTAL_TIME = 600.0
"""Seconds for a whole request."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_TOO_SLOW = Problem(408, "the request took too long to come", headers={"Connection": "close"})

Counted = Callable[[int], object]


def loopback(ip: str) -> bool:
    """Whether a client is on this machine."""
    return ip.startswith("127.") or ip in ("::1", "::ffff:127.0.0.1")


class App:
    """Serves ``operations``. ``event`` takes lines for the log, ``counted`` the status of each answer."""

    def __init__(
        self,
        operations: Sequence[Operation],
        access: Access,
        *,
        event: Callable[[str], object],
        counted: Counted,
    ) -> None:
        self._access = access
        self._event = event
        self._counted = counted
        self._description = msgspec.json.format(msgspec.json.encode(describe_api(operations)), indent=2)
        routes = [Route("/openapi.json", self._guarded(self._openapi), methods=["GET"])]
        by_path: dict[str, dict[str, Operation]] = {}
        for one in operations:
            by_path.setdefault(one.path, {})[one.method] = one
        routes += [
            Route(path, self._guarded(self._dispatch(methods)), methods=list(methods))
            for path, methods in by_path.items()
        ]
        self.asgi: ASGIApp = Starlette(
            routes=routes,
            exception_handlers={HTTPException: self._no_route, Exception: self._no_route},
        )
        self.asgi.router.redirect_slashes = False

    async def _openapi(self, request: Request, client: Client) -> Answer:
        return Answer(self._description)

    def _dispatch(self, methods: Mapping[str, Operation]) -> "_Handler":
        async def handle(request: Request, client: Client) -> Answer:
            method = "GET" if request.method == "HEAD" else request.method
            return await self._carry_out(methods[method], request, client)

        return handle

    async def _carry_out(self, one: Operation, request: Request, client: Client) -> Answer:
        user = None
        if one.right is not None:
            user = await self._access.user(client, request.headers.get("authorization", ""), one.right)
        names = dict.fromkeys(request.query_params.keys())
        query = read_query(one.query, {name: request.query_params.getlist(name) for name in names})
        length = _length(request)
        pieces = _pieces(request)
        body = None
        if one.body is not None and not one.media:
            body = await self._json(one, request, pieces, length)
        asked = Asked(client, user, request.path_params, query, body, request.headers, pieces, length)
        answer = await one.handler(asked)
        if isinstance(answer, Answer):
            return answer
        return Answer(b"" if answer is None else msgspec.json.encode(answer), one.status)

    async def _json(
        self, one: Operation, request: Request, pieces: AsyncIterator[bytes], length: int | None
    ) -> Any:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A form of a web page cannot send this type: what a browser is made to post is refused.
        if kind != "application/json":
            raise Problem(415, "expected Content-Type application/json")
        if length is not None and length > SMALL:
            raise too_large(SMALL)
        return read_body(one.body, await whole(pieces, SMALL))

    def _guarded(self, handle: "_Handler") -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            ip = request.client.host if request.client is not None else ""
            tls = request.scope["scheme"] == "https"
            client = Client(ip, tls, tls or loopback(ip))
            try:
                if not self._access.admits(ip):
                    raise Problem(403, "not from your address; see http.networks")
                async with asyncio.timeout(TOTAL_TIME):
                    answer = await handle(request, client)
            except Problem as problem:
                answer = _problem(problem)
            except TimeoutError:
                answer = _problem(_TOO_SLOW)
            except ClientDisconnect:
                answer = _problem(Problem(400, "the request ended within its body"))
            except Exception as error:
                self._event(
                    f"http: {request.method} {_path(request)}: {describe(error)}; the request was given up"
                )
                answer = _problem(Problem(500, "a defect of the server; its log says where"))
            return self._response(request, answer)

        return endpoint

    def _response(self, request: Request, answer: Answer) -> Response:
        self._counted(answer.status)
        headers = {**_HEADERS, **answer.headers}
        length = _said_length(request)
        if answer.status >= 400 and (length is None or length > SMALL // 16):
            headers["Connection"] = "close"  # what is still to come is not read
        response = Response(answer.body, answer.status, headers)
        if answer.body:
            response.headers["Content-Type"] = answer.type
        return response

    async def _no_route(self, request: Request, error: Exception) -> Response:
        """Nothing is asked by this path, or not by this method."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        words = {
            404: "nothing is asked by this path; /openapi.json describes what is",
            405: "not by this method",
        }
        return self._response(
            request,
            _problem(
                Problem(status, words.get(status, "the request cannot be carried out"), headers=headers)
            ),
        )


_Handler = Callable[[Request, Client], Any]


def _problem(problem: Problem) -> Answer:
    return Answer(msgspec.json.encode(problem.body()), problem.status, MEDIA_TYPE, problem.headers)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body. Raises `Problem` when it comes too slowly."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(PIECE_TIME):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _TOO_SLOW from None
        if piece:
            yield piece


def _said_length(request: Request) -> int | None:
    """Octets of the body by its header fields; None: it is not said."""
    if "transfer-encoding" in request.headers:
        return None
    text = request.headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _length(request: Request) -> int | None:
    length = _said_length(request)
    if length is None and "transfer-encoding" not in request.headers:
        raise Problem(400, "Content-Length is no number")
    return length


def _path(request: Request) -> str:
    path: str = request.scope["path"]
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in path[:200])
