"""`text_format`: a Pydantic class -> the JSON schema that the model must follow.

Strict schemas are a subset: every object is closed, every property required, no defaults
(https://platform.openai.com/docs/guides/structured-outputs#supported-schemas). Pydantic itself is never imported here: the
class brings its own methods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import InvalidRequest

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 64


def apply(request: dict[str, Any], text_format: Any) -> Callable[[str], Any] | None:
    """Write `text.format` into the request; answers what turns the answer's text into an object, if anything does.

    Raises InvalidRequest for something that is neither a Pydantic class nor a format, or when the request has one already.
    """
    if text_format is None:
        return None
    text = request.get("text") or {}
    if not isinstance(text, dict) or text.get("format"):
        raise InvalidRequest("'text_format' and 'text.format' exclude each other.", param="text_format")
    parse = None
    if isinstance(text_format, Mapping):
        chosen = _flat(text_format)
    elif isinstance(text_format, type) and callable(describe := getattr(text_format, "model_json_schema", None)):
        chosen = {
            "type": "json_schema",
            "name": (_NAME.sub("_", text_format.__name__) or "answer")[:_LONGEST_NAME],
            "schema": strict(describe()),
            "strict": True,
        }
        parse = getattr(text_format, "model_validate_json", None)
    else:
        raise InvalidRequest(
            "Invalid value for 'text_format': expected a Pydantic class or a format such as"
            ' {"type": "json_schema", "name": ..., "schema": ...}.',
            param="text_format",
            code="invalid_type",
        )
    request["text"] = {**text, "format": chosen}
    return parse


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Chat Completions nests name, schema and strict under `json_schema`, Responses does not
    (https://platform.openai.com/docs/guides/migrate-to-responses)."""
    inner = given.get("json_schema")
    outer = {name: value for name, value in given.items() if name != "json_schema"}
    return {**outer, **inner} if isinstance(inner, Mapping) else outer


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema in the strict subset, as far as it can be said there: maps with free keys stay as they are, and the
    provider says what it thinks of them."""
    closed: dict[str, Any] = _strict(schema, schema)
    return closed


def _strict(node: Any, root: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_strict(each, root) for each in node]
    if not isinstance(node, Mapping):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        # A reference stands alone in the subset; what stands beside it (a description) is put into a copy of its target.
        beside = {name: value for name, value in node.items() if name not in ("$ref", "default")}
        return _strict({**_target(reference, root), **beside}, root) if beside else {"$ref": reference}
    if isinstance(alone := node.get("allOf"), list) and len(alone) == 1:
        return _strict({**{name: value for name, value in node.items() if name != "allOf"}, **alone[0]}, root)
    found: dict[str, Any] = {}
    for name, value in node.items():
        match name:
            case "default" | "discriminator":
                continue
            case "properties" | "$defs" | "definitions" if isinstance(value, Mapping):
                found[name] = {key: _strict(each, root) for key, each in value.items()}
            case "oneOf":
                found["anyOf"] = _strict(value, root)
            case "items" | "anyOf" | "allOf" | "prefixItems" | "additionalProperties" | "not":
                found[name] = _strict(value, root)
            case _:
                found[name] = value
    if found.get("type") == "object" or "properties" in found:
        found.setdefault("additionalProperties", False)
        if "properties" in found:
            found["required"] = list(found["properties"])
    return found


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a local reference (`#/$defs/Name`, RFC 6901) points at; nothing when it points nowhere."""
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else {}
