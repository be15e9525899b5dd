"""What Anthropic's own tools did, as output items of the Responses API.

    web_search                    web_search_call, action search
    web_fetch                     web_search_call, action open_page
    code execution, bash, files   code_interpreter_call
    MCP tools                     mcp_call
    anything else (advisor ...)   no item: Responses has no word for it

https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools. The blocks themselves go back sealed.
"""

from __future__ import annotations

from typing import Any

from tollbook.responses.types import Item
from tollbook.transport.wire import encode

from .media import Block
from .shape import mapping, mappings, string

_WEB = ("web_search", "web_fetch")
_CODE = ("code_execution", "bash_code_execution", "text_editor_code_execution")


def opening(use: Block) -> Item | None:
    """The item for a tool use that has just begun, or None where there is no such item."""
    name = str(use.get("name") or "")
    if use.get("type") == "mcp_tool_use":
        label = str(use.get("server_name") or "")
        return {"type": "mcp_call", "server_label": label, "name": name, "arguments": "", "output": None, "error": None}
    if name == "web_search":
        return {"type": "web_search_call", "action": {"type": "search", "query": "", "sources": []}}
    if name == "web_fetch":
        return {"type": "web_search_call", "action": {"type": "open_page", "url": ""}}
    if name in _CODE:
        return {"type": "code_interpreter_call", "container_id": "", "code": "", "outputs": []}
    return None


def closing(use: Block, result: Block | None, container: str) -> dict[str, Any]:
    """What the finished item says; without a result it is incomplete."""
    inputs = mapping(use.get("input"))
    content = (result or {}).get("content")
    code = _error_code(result)
    changes: dict[str, Any]
    if use.get("name") in _WEB and use.get("type") != "mcp_tool_use":
        changes = {"action": _action(use, inputs, content)}
    elif use.get("name") in _CODE and use.get("type") != "mcp_tool_use":
        source = inputs.get("code") if isinstance(inputs.get("code"), str) else inputs.get("command")
        if use.get("name") == "text_editor_code_execution" or not isinstance(source, str):
            source = _json(inputs) if inputs else ""
        changes = {"container_id": container, "code": source, "outputs": _outputs(content, code)}
    else:
        text = _text(content)
        changes = {"arguments": _json(inputs)}
        changes |= {"error": text or code} if code else {"output": text if result is not None else None}
    if result is None:
        changes["status"] = "incomplete"
    elif code and "error" not in changes:
        changes["status"] = "failed"
    return changes


def use_of(result: Block) -> Block:
    """A stand-in for the tool use of a result that answers an earlier turn (a program that had waited for a tool)."""
    kind = str(result.get("type") or "")
    name = kind.removesuffix("_tool_result")
    return {"type": "mcp_tool_use" if name == "mcp" else "server_tool_use", "name": name, "input": {}}


def _action(use: Block, inputs: dict[str, Any], content: Any) -> dict[str, Any]:
    if use.get("name") == "web_fetch":
        return {"type": "open_page", "url": str(inputs.get("url") or "")}
    sources = [{"type": "url", "url": r["url"]} for r in mappings(content) if isinstance(r.get("url"), str)]
    return {"type": "search", "query": str(inputs.get("query") or ""), "sources": sources}


def _outputs(content: Any, code: str) -> list[dict[str, Any]]:
    """What the program printed and the files that it left."""
    outputs: list[dict[str, Any]] = []
    inner = mapping(content)
    printed = string(inner.get("stdout")) + string(inner.get("stderr")) or string(inner.get("content"))
    if printed or code:
        outputs.append({"type": "logs", "logs": printed or code})
    ids = [f["file_id"] for f in mappings(inner.get("content")) if isinstance(f.get("file_id"), str)]
    if ids:
        outputs.append({"type": "files", "files": [{"file_id": file_id} for file_id in ids]})
    return outputs


def _error_code(result: Block | None) -> str:
    """Why the tool failed, or ""."""
    if result is None:
        return ""
    code = string(mapping(result.get("content")).get("error_code"))
    if code:
        return code
    return "error" if result.get("is_error") is True else ""


def _text(content: Any) -> str:
    """The visible text of a result; its JSON where there is none."""
    if isinstance(content, str):
        return content
    texts = [b["text"] for b in mappings(content) or [mapping(content)] if isinstance(b.get("text"), str)]
    if texts:
        return "\n".join(texts)
    return _json(content) if content else ""


def _json(value: Any) -> str:
    return encode(value).decode()
