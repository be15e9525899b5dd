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
            raise InvalidRequest(
                f"Invalid type for '{name}': expected {wanted}, got {_kind(value)}.", param=name, code="invalid_type"
            )
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
    for name in ("input", "tools"):
        values = request.get(name)
        if isinstance(values, list):
            for index, value in enumerate(values):
                if not isinstance(value, dict):
                    raise InvalidRequest(
                        f"Invalid type for '{name}[{index}]': expected an object, got {_kind(value)}.",
                        param=f"{name}[{index}]",
                        code="invalid_type",
                    )
    for index, item in enumerate(request["input"] if isinstance(request.get("input"), list) else ()):
        content = item.get("content")
        if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
            raise InvalidRequest(
                f"Invalid type for 'input[{index}].content': expected a list of objects.",
                param=f"input[{index}].content",
                code="invalid_type",
            )
    return request


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
