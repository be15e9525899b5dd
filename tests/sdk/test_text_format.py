"""`text_format`: classes in, objects out."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, ValidationError

import tollbook
from tollbook.text_format import strict

from .loopback import deployment, provider


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Wheel(BaseModel):
    size: int = 20
    spokes: list[int] | None = None


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Bicycle(BaseModel):
    """Two wheels."""

    name: str = Field(description="what it is called", default="x")
    front: Wheel = Field(description="the one that steers")
    rear: Wheel
    colour: Colour
    basket: Cat | Dog = Field(discriminator="kind")
    twin: Bicycle | None = None


def objects(node: Any) -> list[dict[str, Any]]:
    """Every object schema within a schema."""
    if isinstance(node, list):
        return [found for each in node for found in objects(each)]
    if not isinstance(node, dict):
        return []
    own = [node] if isinstance(node.get("properties"), dict) else []
    return own + [found for each in node.values() for found in objects(each)]


def test_every_object_is_closed_and_every_property_required() -> None:
    schema = strict(Bicycle.model_json_schema())

    Draft202012Validator.check_schema(schema)
    found = objects(schema)
    assert len(found) >= 5
    for each in found:
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])
    assert '"default"' not in str(schema).replace("'", '"')
    assert "oneOf" not in str(schema)
    assert "discriminator" not in str(schema)


def test_a_reference_stands_alone() -> None:
    properties = strict(Bicycle.model_json_schema())["$defs"]["Bicycle"]["properties"]

    assert properties["rear"] == {"$ref": "#/$defs/Wheel"}
    assert properties["front"]["description"] == "the one that steers"
    assert properties["front"]["required"] == ["size", "spokes"]
    assert "$ref" not in properties["front"]


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    class Odd(BaseModel):
        default: int
        properties: str
        required: bool

    schema = strict(Odd.model_json_schema())

    assert schema["required"] == ["default", "properties", "required"]
    assert schema["properties"]["default"]["type"] == "integer"


def test_a_class_becomes_a_strict_format_and_the_answer_an_object() -> None:
    with (
        provider(words=['{"size": 28, ', '"spokes": [1]}']) as upstream,
        tollbook.Router([deployment(upstream.url)], store=None) as router,
    ):
        response = router.responses(model="gpt", input="a wheel", text_format=Wheel, text={"verbosity": "low"})
        parsed = response.output_parsed

    assert parsed == Wheel(size=28, spokes=[1])
    sent = upstream.bodies[0]["text"]
    assert sent["verbosity"] == "low"
    assert {**sent["format"], "schema": {}} == {"type": "json_schema", "name": "Wheel", "schema": {}, "strict": True}
    assert sent["format"]["schema"] == strict(Wheel.model_json_schema())


def test_a_stream_ends_with_the_object() -> None:
    with (
        provider(words=['{"size": 28, ', '"spokes": null}']) as upstream,
        tollbook.Router([deployment(upstream.url)], store=None) as router,
    ):
        stream = router.responses(model="gpt", input="a wheel", text_format=Wheel, stream=True)
        assert stream.response is None
        *_, last = stream

    assert isinstance(last, tollbook.ResponseEvent)
    assert stream.response is last.response
    assert last.response.output_parsed == Wheel(size=28)


def test_an_answer_that_does_not_fit_is_told_when_it_is_asked_for() -> None:
    """The response was paid: it is there whatever the model wrote."""
    with provider(words=["not JSON"]) as upstream, tollbook.Router([deployment(upstream.url)], store=None) as router:
        response = router.responses(model="gpt", input="a wheel", text_format=Wheel)

    assert response.output_text == "not JSON"
    with pytest.raises(ValidationError):
        _ = response.output_parsed


def test_it_works_with_providers_that_have_another_language() -> None:
    class Said(BaseModel):
        words: str
        count: int

    parsed = tollbook.responses(model="simulated/echo", input="hello", text_format=Said).output_parsed

    assert parsed == Said(words="hello", count=42)


def test_a_format_may_be_given_as_the_api_or_chat_has_it() -> None:
    schema = {"type": "object", "properties": {}}
    flat = {"type": "json_schema", "name": "n", "schema": schema}
    with provider() as upstream, tollbook.Router([deployment(upstream.url)], store=None) as router:
        for given in (flat, {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}):
            response = router.responses(model="gpt", input="x", text_format=given)
            assert response.output_parsed is None

    assert [body["text"]["format"] for body in upstream.bodies] == [flat, flat]


@pytest.mark.parametrize("wrong", [int, "json", 5, Wheel(size=1)])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(tollbook.InvalidRequest, match="text_format"):
        tollbook.responses(model="simulated/echo", input="x", text_format=wrong)


def test_two_formats_are_refused() -> None:
    with pytest.raises(tollbook.InvalidRequest, match="exclude each other"):
        tollbook.responses(
            model="simulated/echo", input="x", text_format=Wheel, text={"format": {"type": "json_object"}}
        )
