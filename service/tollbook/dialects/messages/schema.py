"""Answers in JSON: a schema as structured outputs take it, and the hidden tool for models without them.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from typing import Any

ANSWER_TOOL = "respond_with_json"
"""Name of the hidden tool whose arguments are the answer."""

# Keywords that are refused. They become part of the description, so that the model still knows them.
_REFUSED = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
_OF_SCHEMAS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf")


def closed(schema: Any, changed: set[str]) -> Any:
    """The schema with closed objects and without refused keywords; what was changed is added to `changed`."""
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    described: list[str] = []
    for key, value in schema.items():
        if key in _REFUSED or (key == "minItems" and value not in (0, 1)):
            described.append(f"{key}: {value}")
            changed.add(key)
        elif key in _OF_SCHEMAS and isinstance(value, dict):
            result[key] = {name: closed(inner, changed) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list):
            result[key] = [closed(inner, changed) for inner in value]
        elif key == "items":
            result[key] = closed(value, changed)
        else:
            result[key] = value
    kind = schema.get("type")
    if (kind == "object" or (isinstance(kind, list) and "object" in kind)) and "additionalProperties" not in schema:
        result["additionalProperties"] = False
        changed.add("additionalProperties")
    if described:
        result["description"] = "\n".join([*filter(None, [schema.get("description")]), f"{{{', '.join(described)}}}"])
    return result
