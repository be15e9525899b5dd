"""The body of POST /responses, checked as far as the gateway itself relies on it.

Unknown fields and values stay: providers add them monthly, and a gateway that validates more than it uses breaks clients.
"""

from __future__ import annotations

from typing import Any

from tollbook.errors import InvalidRequest, TooLarge
from tollbook.transport.wire import decode_strict

from .types import Item, Request

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "model": ((str,), "a string"),
    "input": ((str, list), "a string or a list of items"),
    "instructions": ((str, list), "a string"),
    "previous_response_id": ((str,), "a string"),
    "stream": ((bool,), "a boolean"),
    "store": ((bool,), "a boolean"),
    "background": ((bool,), "a boolean"),
    "metadata": ((dict,), "an object"),
    "tools": ((list,), "a list"),
    "include": ((list,), "a list"),
    "text": ((dict,), "an object"),
    "reasoning": ((dict,), "an object"),
    "prompt": ((dict,), "an object"),
    "stream_options": ((dict,), "an object"),
    "conversation": ((str, dict), "a string or an object"),
    "tool_choice": ((str, dict), "a string or an object"),
    "max_output_tokens": ((int,), "an integer"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "top_logprobs": ((int,), "an integer"),
    "parallel_tool_calls": ((bool,), "a boolean"),
    "user": ((str,), "a string"),
    "safety_identifier": ((str,), "a string"),
    "prompt_cache_key": ((str,), "a string"),
    "service_tier": ((str,), "a string"),
    "truncation": ((str,), "a string"),
}

_TEXT = ((str,), "a string")
_INSIDE: dict[str, tuple[tuple[type, ...], str]] = {
    "type": _TEXT,
    "role": _TEXT,
    "id": _TEXT,
    "call_id": _TEXT,
    "name": _TEXT,
    "text": _TEXT,
    "arguments": _TEXT,
    "mode": _TEXT,
    "effort": _TEXT,
    "content": ((str, list), "a string or a list"),
    "summary": ((str, list), "a list"),
    "tools": ((list,), "a list"),
    "format": ((dict,), "an object"),
    "schema": ((dict,), "an object"),
}
"""Fields of items, parts, tools and formats that dialects read without looking twice."""

_CHECKED = ("input", "instructions", "tools", "tool_choice", "text", "reasoning")
_DESCENDED = frozenset({"content", "summary", "output", "tools", "format"})
"""Where objects hold others of the same kind. Schemas, arguments and metadata are the client's own business."""

DEEPEST = 64
"""Levels of nesting that a body may have; real requests stay far below, recursion in schemas included."""


def parse(body: bytes, *, largest: int) -> Request:
    """The request in these bytes. Raises InvalidRequest, TooLarge (`largest` in bytes) with OpenAI's shape."""
    if len(body) > largest:
        raise TooLarge(f"The request body has {len(body)} bytes; at most {largest} are accepted.")
    if not body.strip():
        raise InvalidRequest("The request body is empty; a JSON object was expected.", code="invalid_json")
    try:
        request = decode_strict(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from None
    return check(request)


def check(request: Any) -> Request:
    """The same request, if what the gateway relies on has the right types. Raises InvalidRequest naming the parameter."""
    if not isinstance(request, dict):
        raise InvalidRequest("The request must be a JSON object.", code="invalid_type")
    if _deeper_than(request, DEEPEST):
        raise InvalidRequest(f"The request is nested more than {DEEPEST} levels deep.", code="invalid_json")
    for name, (types, wanted) in _TYPES.items():
        value = request.get(name)
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            raise _wrong(name, wanted, value)
    if not request.get("model") and not request.get("prompt"):
        raise InvalidRequest("Missing required parameter: 'model'.", param="model", code="missing_required_parameter")
    if request.get("input") is None and not request.get("prompt") and not request.get("previous_response_id"):
        raise InvalidRequest("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if request.get("conversation") and request.get("previous_response_id"):
        raise InvalidRequest(
            "'conversation' and 'previous_response_id' exclude each other.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    for name in _CHECKED:
        _check_inside(request.get(name), name)
    return request


def _check_inside(value: Any, path: str) -> None:
    """Lists hold objects only, and the fields of `_INSIDE` have their types. Raises InvalidRequest naming the place."""
    if type(value) is list:
        for index, inner in enumerate(value):
            if type(inner) is not dict:
                raise _wrong(f"{path}[{index}]", "an object", inner)
            _check_inside(inner, f"{path}[{index}]")
    elif type(value) is dict:
        for name, inner in value.items():
            if inner is None:
                continue
            expected = _INSIDE.get(name)
            if name == "arguments" and value.get("type") == "tool_search_call":
                continue  # the one call whose arguments are an object, not its JSON
            if expected is not None and not isinstance(inner, expected[0]):
                raise _wrong(f"{path}.{name}", expected[1], inner)
            if name in _DESCENDED:
                _check_inside(inner, f"{path}.{name}")


def _wrong(param: str, expected: str, value: Any) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid type for '{param}': expected {expected}, got {_kind(value)}.", param=param, code="invalid_type"
    )


def items(request: Request) -> list[Item]:
    """The input as a list of items: a plain string is one user message."""
    value = request.get("input")
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return list(value)


def _kind(value: Any) -> str:
    names = {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")


def _deeper_than(value: Any, levels: int) -> bool:
    """Whether a value is nested deeper; breadth first, so that its own depth costs no stack."""
    layer = [value]
    for _ in range(levels):
        layer = [
            child
            for node in layer
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not layer:
            return False
    return True
