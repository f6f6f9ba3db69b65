"""What can be asked, as data: the routes are made from it, and the description of the API."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar, get_origin

import msgspec
from msgspec import Struct

from fastsmtp.web.access import Client, User
from fastsmtp.web.problem import Problem
from fastsmtp.web.settings import Right

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

T = TypeVar("T")


class Asked(Struct, frozen=True):
    """One request. ``path`` has what stands in the path's braces, ``query`` and ``body`` are of the operation's
    types; an operation without a type for the body reads ``pieces`` itself, ``length`` octets, None where that was
    not said. ``user`` is there where the operation needs a right."""

    client: Client
    user: User | None
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]
    length: int | None


class Answer(Struct, frozen=True):
    """A response of another kind than the operation's usual one: ``body`` in octets."""

    body: bytes
    status: int = 200
    type: str = "application/json"
    headers: Mapping[str, str] = {}


class Operation(Struct, frozen=True, kw_only=True):
    """``name`` is its operationId; ``summary`` one line of Markdown, ``about`` more. ``query`` is a struct of the
    query's members, ``body`` and ``answer`` are types of JSON; without an answer it is ``status`` alone.
    ``media``: further media types that the body may have, ``errors`` statuses besides those that all have."""

    method: Method
    path: str
    name: str
    group: str
    summary: str
    handler: Callable[[Asked], Awaitable[Any]]
    about: str = ""
    right: Right | None = "admin"
    query: type[Struct] | None = None
    body: Any = None
    media: tuple[str, ...] = ()
    answer: Any = None
    answer_type: str = "application/json"
    status: int = 200
    errors: tuple[int, ...] = ()
    headers: Mapping[str, str] = {}


def read_query(form: type[Struct] | None, given: Mapping[str, list[str]]) -> Any:
    """The members of a query as a ``form``. Raises `Problem`."""
    if form is None:
        if given:
            raise Problem(422, f"{_first(given)}: nothing is asked by a query here")
        return None
    values: dict[str, Any] = {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(form)}
    for name, texts in given.items():
        field = fields.get(name)
        if field is None:
            raise Problem(
                422, f"{_shown(name)}: no such member of the query; known here are {', '.join(fields)}"
            )
        if repeatable(field.type):
            values[name] = texts
        elif len(texts) > 1:
            raise Problem(422, f"{name}: it stands twice in the query")
        else:
            values[name] = texts[0]
    try:
        return msgspec.convert(values, form, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, f"query: {error}") from None


def repeatable(annotation: Any) -> bool:
    """Whether a member of this type may stand several times in a query."""
    while get_origin(annotation) is not None and hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    return get_origin(annotation) is tuple


def read_body(form: Any, data: bytes) -> Any:
    """The JSON ``data`` as a ``form``. Raises `Problem`, which never repeats what a value was."""
    try:
        return msgspec.json.decode(data, type=form)
    except msgspec.ValidationError as error:
        raise Problem(422, f"body: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"body: not JSON: {error}") from None


def _first(given: Mapping[str, list[str]]) -> str:
    return _shown(next(iter(given)))


def _shown(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in name[:60])
