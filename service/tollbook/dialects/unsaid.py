"""What no other API has words for: members of function tools, calls that a provider ran itself, citations of the history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tollbook.responses.types import Request

# What `responses.tools.functions` carries over for each type.
_CARRIED: Mapping[str, frozenset[str]] = {
    "function": frozenset({"type", "name", "description", "parameters", "strict"}),
    "custom": frozenset({"type", "name", "description", "format"}),
    "namespace": frozenset({"type", "name", "tools"}),
}

HOSTED = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "tool_search_call",
        "tool_search_output",
    }
)
"""Items of tools that a provider ran. What they found is in the text that followed; to another provider they mean nothing.
A `compaction` is not among them: it holds the conversation itself."""

LOGPROBS = "message.output_text.logprobs"
"""The one value of `include` that changes what a provider is asked for; the gateway itself sees to the others."""

CITATIONS = "annotations: left out (the text is sent without them)"
"""The note for citations in the history, which are no part of what the model said."""


def members(request: Request, known: Iterable[str] = ()) -> Iterator[str]:
    """Notes on members of the client's own tools that stay behind, such as `defer_loading`; `known` ones are taken."""
    for index, tool in enumerate(request.get("tools") or ()):
        yield from _members(tool, f"tools[{index}]", frozenset(known))


def _members(tool: Mapping[str, Any], where: str, known: frozenset[str]) -> Iterator[str]:
    carried = _CARRIED.get(str(tool.get("type")))
    if carried is None:
        return
    for name, value in tool.items():
        if value and name not in carried and name not in known:
            yield f"{where}.{name}: dropped"
    inner = tool.get("tools")
    for index, each in enumerate(inner if isinstance(inner, list) else ()):
        if isinstance(each, dict):
            yield from _members(each, f"{where}.tools[{index}]", known)


def wants_logprobs(request: Request) -> bool:
    """Whether `include` asks for log probabilities."""
    return LOGPROBS in (request.get("include") or ())


def cites(part: Mapping[str, Any]) -> bool:
    """Whether a part of the history has citations."""
    annotations = part.get("annotations")
    return isinstance(annotations, list) and bool(annotations)


def described(schema: Mapping[str, Any], description: Any) -> dict[str, Any]:
    """The schema with a description of `text.format`, where the target has no place of its own for it."""
    if isinstance(description, str) and description and "description" not in schema:
        return {**schema, "description": description}
    return dict(schema)
