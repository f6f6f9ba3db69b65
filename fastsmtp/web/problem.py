"""Why a request was not carried out, as the client is told (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from msgspec import Struct

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request with ``status``; ``detail`` is one line: what, and how to mend it. ``headers`` and ``more``
    members go with it."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.more = more or {}

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }


class ProblemBody(Struct, kw_only=True):
    """A problem as it is sent (RFC 9457): ``detail`` says what is wrong, and how to mend it."""

    type: str
    title: str
    status: int
    detail: str


def later(detail: str, seconds: int = 5) -> Problem:
    """The same request may succeed in so many seconds."""
    return Problem(503, detail, headers={"Retry-After": str(seconds)})
