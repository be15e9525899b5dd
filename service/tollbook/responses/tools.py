"""Tools as a language without custom tools and namespaces knows them, and the way back.

A custom tool (free text) becomes a function with one string, a function in a namespace gets a flat name. The `Draft`
turns calls of them back, so dialects see plain functions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tollbook.transport.wire import decode, encode

from .types import Item, Request

CUSTOM_INPUT = "input"
"""Name of the one string argument that stands for a custom tool's free text."""


@dataclass(frozen=True, slots=True)
class Function:
    """A tool that the client runs, as every provider understands it: `parameters` is a JSON schema of an object.

    `strict` is None when the client said nothing.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool | None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a flat function name was in the client's request."""

    name: str
    namespace: str | None
    custom: bool


def flat_name(name: str, namespace: str | None) -> str:
    """`crm` and `find` -> `crm__find`: letters, digits, `_` and `-` only, as every provider demands."""
    return f"{namespace}__{name}" if namespace else name


def functions(request: Request) -> Iterator[tuple[Function, Origin]]:
    """Every tool of the request that the client runs itself; hosted tools are left to the dialect."""
    for tool in request.get("tools") or ():
        yield from _functions(tool, None)


def _functions(tool: dict[str, Any], namespace: str | None) -> Iterator[tuple[Function, Origin]]:
    kind, name = tool.get("type"), str(tool.get("name") or "")
    if kind == "function":
        parameters = tool.get("parameters") or {"type": "object", "properties": {}}
        function = Function(flat_name(name, namespace), tool.get("description") or "", parameters, tool.get("strict"))
        yield function, Origin(name, namespace, custom=False)
    elif kind == "custom":
        description = tool.get("description") or ""
        form = tool.get("format") or {}
        if form.get("type") == "grammar":
            description += (
                f"\n\nThe input must follow this {form.get('syntax', '')} grammar:\n{form.get('definition', '')}"
            )
        parameters = {
            "type": "object",
            "properties": {CUSTOM_INPUT: {"type": "string"}},
            "required": [CUSTOM_INPUT],
            "additionalProperties": False,
        }
        yield (
            Function(flat_name(name, namespace), description.strip(), parameters, None),
            Origin(name, namespace, custom=True),
        )
    elif kind == "namespace":
        for inner in tool.get("tools") or ():
            yield from _functions(inner, name)


def hosted(request: Request) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every tool that the provider would run, with its index in `tools`."""
    for index, tool in enumerate(request.get("tools") or ()):
        if tool.get("type") not in ("function", "custom", "namespace"):
            yield index, tool


def origins(request: Request) -> dict[str, Origin]:
    """Flat name -> what it was, for every function that is not simply itself."""
    return {f.name: o for f, o in functions(request) if o.custom or o.namespace}


def allowed(request: Request) -> set[str] | None:
    """Flat names that `tool_choice: {type: allowed_tools}` permits, or None when all are."""
    choice = request.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    return {flat_name(str(t.get("name") or ""), t.get("namespace")) for t in choice.get("tools") or ()}


def call_arguments(item: Item) -> str:
    """The JSON arguments text of a call item in the history, a custom call's free text wrapped."""
    if item.get("type") == "custom_tool_call":
        return encode({CUSTOM_INPUT: item.get("input") or ""}).decode()
    return item.get("arguments") or "{}"


def free_text(arguments: str) -> str:
    """The free text in the arguments of a function that stands for a custom tool; as it came, if it is not that JSON."""
    try:
        value = decode(arguments)
    except ValueError:
        return arguments
    if isinstance(value, dict):
        text = value.get(CUSTOM_INPUT)
        if isinstance(text, str):
            return text
    return value if isinstance(value, str) else arguments
