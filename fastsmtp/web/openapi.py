"""The description of the API (OpenAPI 3.1), made from the operations and their types."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from fastsmtp import __version__
from fastsmtp.web.operation import Operation, repeatable
from fastsmtp.web.problem import MEDIA_TYPE, ProblemBody

_REFERENCE = "#/components/schemas/{name}"
_ABOUT = {
    400: "What came is not JSON.",
    401: "A token or password is missing, or wrong.",
    403: "Not from this network, not in clear, or without this right.",
    404: "There is no such thing.",
    409: "It cannot be done as things stand.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "A value is not what it should be.",
    429: "Too much at once, or too often in vain; see Retry-After.",
    500: "A defect of the server; its log says where.",
    503: "Not now; see Retry-After.",
}


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document."""
    types: list[Any] = [ProblemBody]
    for one in operations:
        types += [form for form in (one.query, one.body, one.answer) if form is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    known = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known, components)
    for name in {_name(one.query) for one in operations if one.query is not None}:
        components.pop(name, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fastsmtp",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Metrics, administration and sending of a fastsmtp server. What goes wrong is told as in "
            "RFC 9457.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "One of `[[http.tokens]]`."},
                "account": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Login and password of an account.",
                },
            },
        },
    }


def _operation(one: Operation, known: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.group],
        "summary": one.summary,
        "responses": _responses(one, known),
    }
    if one.about:
        made["description"] = one.about
    security: dict[Any, list[Any]] = {
        None: [],
        "admin": [{"token": []}],
        "send": [{"token": []}, {"account": []}],
    }
    made["security"] = security[one.right]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", one.path)
    ]
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in one.headers.items()
    ]
    if one.query is not None:
        parameters += _query(one.query, components)
    if parameters:
        made["parameters"] = parameters
    if one.body is not None or one.media:
        content: dict[str, Any] = (
            {} if one.body is None else {"application/json": {"schema": known[_key(one.body)]}}
        )
        content |= {media: {} for media in one.media}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _query(form: type[msgspec.Struct], components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[_name(form)]
    made = []
    for field in msgspec.structs.fields(form):
        name = field.encode_name
        shown = dict(schema["properties"][name])
        one = {"name": name, "in": "query", "required": field.required}
        if "description" in shown:
            one["description"] = shown.pop("description")
        one["schema"] = shown
        if repeatable(field.type):
            one |= {"style": "form", "explode": True}
        made.append(one)
    return made


def _responses(one: Operation, known: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done." if one.status != 202 else "Taken, and on stable storage."}
    if one.answer is not None:
        good["content"] = {one.answer_type: {"schema": known[_key(one.answer)]}}
    elif one.answer_type != "application/json":
        good["content"] = {one.answer_type: {"schema": {"type": "string"}}}
    problem = {MEDIA_TYPE: {"schema": known[_key(ProblemBody)]}}
    statuses = {403, 503, *one.errors}
    if one.right is not None:
        statuses |= {401, 500}
    if one.query is not None or one.body is not None:
        statuses |= {422}
    if one.body is not None or one.media:
        statuses |= {400, 413, 415}
    return {
        str(one.status): good,
        **{str(status): {"description": _ABOUT[status], "content": problem} for status in sorted(statuses)},
    }


def _key(form: Any) -> Any:
    return form if isinstance(form, type) else repr(form)


def _name(form: Any) -> str:
    return str(form.__name__)
