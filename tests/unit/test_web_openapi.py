"""The description of an operation, made from its types."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from openapi_spec_validator import validate

from fastsmtp.web.openapi import describe
from fastsmtp.web.operation import Asked, Operation


class Wanted(Struct, frozen=True, kw_only=True):
    """What is asked for."""

    colour: Annotated[str, Meta(description="of the shirt")]
    size: tuple[str, ...] = ()


class Shirt(Struct, frozen=True, kw_only=True):
    """A shirt."""

    colour: str


async def handler(asked: Asked) -> None:
    """Never called."""


def described(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document of one operation, and what it says of that."""
    given: dict[str, Any] = {
        "method": "GET",
        "path": "/shirts/{name}",
        "name": "shirts",
        "group": "shop",
        "summary": "Shirts",
        "handler": handler,
    }
    operation = Operation(**(given | fields))
    document = msgspec.json.decode(msgspec.json.encode(describe([operation])))
    validate(document)
    return document, document["paths"][operation.path][operation.method.lower()]


def test_parameters_are_those_of_path_headers_and_query() -> None:
    document, shown = described(query=Wanted, headers={"Key": "which one"})
    found = {one["name"]: (one["in"], one["required"]) for one in shown["parameters"]}
    assert found == {
        "name": ("path", True),
        "Key": ("header", False),
        "colour": ("query", True),
        "size": ("query", False),
    }
    colour, size = shown["parameters"][2:]
    assert (colour["description"], colour["schema"]) == ("of the shirt", {"type": "string"})
    assert "explode" not in colour
    assert (size["style"], size["explode"]) == ("form", True)
    assert "Wanted" not in document["components"]["schemas"]


def test_bodies_and_answers_refer_to_their_types() -> None:
    document, shown = described(
        method="POST", body=Shirt, answer=list[Shirt], media=("message/rfc822",), status=202
    )
    shirt = {"$ref": "#/components/schemas/Shirt"}
    content = shown["requestBody"]["content"]
    assert content == {"application/json": {"schema": shirt}, "message/rfc822": {}}
    good = shown["responses"]["202"]
    assert good["content"]["application/json"]["schema"] == {"type": "array", "items": shirt}
    assert document["components"]["schemas"]["Shirt"]["required"] == ["colour"]


def test_statuses_follow_from_what_is_asked() -> None:
    assert set(described(right=None)[1]["responses"]) == {"200", "403", "503"}
    assert set(described(errors=(404,))[1]["responses"]) == {"200", "401", "403", "404", "500", "503"}
    more = set(described(method="POST", body=Shirt)[1]["responses"])
    assert more == {"200", "400", "401", "403", "413", "415", "422", "500", "503"}


def test_who_may_ask() -> None:
    assert described(right=None)[1]["security"] == []
    assert described(right="admin")[1]["security"] == [{"token": []}]
    assert described(right="send")[1]["security"] == [{"token": []}, {"account": []}]
