"""Anthropic Messages -> Responses (https://docs.claude.com/en/api/messages)."""

from __future__ import annotations

from typing import Any

from .express import Inexpressible, Item, Part, Request, Turn, data_url, effort_of, file, function, image, schema_format

_EXTRA = ("top_k", "stop_sequences", "context_management", "container", "cache_control")


def request(body: Request, turn: Turn) -> Request:
    if "messages" not in body or ("anthropic_version" not in body and "inferenceConfig" in body):
        raise Inexpressible("a body format of InvokeModel that is not Messages")
    found: Request = {"input": [item for message in body["messages"] for item in _message(message, turn)]}
    for name in ("model", "temperature", "top_p", *_EXTRA):
        if body.get(name) is not None:
            found[name] = body[name]
    if body.get("max_tokens") is not None:
        found["max_output_tokens"] = body["max_tokens"]
    system = body.get("system")
    if isinstance(system, str):
        found["instructions"] = system
    elif system:
        found["input"] = [{"role": "system", "content": [_part(block) for block in system]}, *found["input"]]
    if (body.get("metadata") or {}).get("user_id"):
        found["safety_identifier"] = body["metadata"]["user_id"]
    if body.get("service_tier"):
        found["service_tier"] = "default" if body["service_tier"] == "standard_only" else body["service_tier"]
    _thinking(body, found)
    form = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if form:
        if "schema" not in form:
            raise Inexpressible("a format without a schema: the request was wrong on purpose")
        found["text"] = schema_format(form["schema"])
    tools = [_tool(tool) for tool in body.get("tools") or []] + [_server(s) for s in body.get("mcp_servers") or []]
    if tools:
        found["tools"] = tools
    choice = body.get("tool_choice") or {}
    if choice:
        found["tool_choice"] = {"any": "required", "tool": {"type": "function", "name": choice.get("name")}}.get(
            choice["type"], choice["type"]
        )
    if "disable_parallel_tool_use" in choice:
        found["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    return found


def _thinking(body: Request, found: Request) -> None:
    thinking = body.get("thinking") or {}
    effort = (body.get("output_config") or {}).get("effort")
    reasoning = {}
    if effort:
        reasoning["effort"] = effort
    elif thinking.get("type") == "enabled":
        reasoning["effort"] = effort_of(thinking["budget_tokens"])
    elif thinking.get("type") == "disabled":
        reasoning["effort"] = "none"
    elif thinking.get("type") == "adaptive":
        reasoning["effort"] = "high"
    if thinking.get("display") == "summarized":
        reasoning["summary"] = "auto"
    if reasoning:
        found["reasoning"] = reasoning


def _message(message: dict[str, Any], turn: Turn) -> list[Item]:
    content = message["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if message["role"] == "assistant":
        return turn(
            {"type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn", "usage": {}}
        )
    items: list[Item] = []
    parts: list[Part] = []
    for block in content:
        if block["type"] == "tool_result":
            if parts:
                items.append({"role": message["role"], "content": parts})
                parts = []
            output = {"type": "function_call_output", "call_id": block["tool_use_id"], "output": _output(block)}
            items.append(output | ({"cache_control": block["cache_control"]} if "cache_control" in block else {}))
        else:
            parts.append(_part(block))
    if parts:
        items.append({"role": message["role"], "content": parts})
    return items


def _output(block: dict[str, Any]) -> Any:
    content = block.get("content") or ""
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(block: dict[str, Any]) -> Part:
    kind = block["type"]
    more = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
    if kind == "text":
        return {"type": "input_text", "text": block["text"], **more}
    source = block.get("source") or {}
    if kind == "image":
        return image(
            source["url"] if source["type"] == "url" else data_url(source["media_type"], source["data"]), **more
        )
    if kind == "document":
        name = block.get("title")
        if source["type"] == "url":
            return file(file_url=source["url"], filename=name, **more)
        if source["type"] == "base64":
            return file(file_data=data_url(source["media_type"], source["data"]), filename=name, **more)
    raise Inexpressible(f"a {kind} block ({source.get('type', 'no source')}): Responses has no such input")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = tool.get("type", "custom")
    if kind == "custom":
        found = function(tool["name"], tool.get("description"), tool.get("input_schema"), tool.get("strict"))
        for name in ("cache_control", "defer_loading"):
            if name in tool:
                found[name] = tool[name]
        return found
    if kind.startswith("web_search_"):
        return {"type": "web_search"}
    if kind.startswith("code_execution_"):
        return {"type": "code_interpreter", "container": {"type": "auto"}}
    if kind.startswith("computer_"):
        raise Inexpressible("Anthropic's computer tool: its actions are not those of Responses' computer tool")
    return tool


def _server(server: dict[str, Any]) -> dict[str, Any]:
    found = {
        "type": "mcp",
        "server_label": server["name"],
        "server_url": server["url"],
        "require_approval": "never",
    }
    allowed = (server.get("tool_configuration") or {}).get("allowed_tools")
    if allowed:
        found["allowed_tools"] = allowed
    return found
