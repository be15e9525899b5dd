"""Bedrock Converse -> Responses (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html)."""

from __future__ import annotations

import json
from typing import Any

from .express import Inexpressible, Item, Part, Request, Turn, data_url, effort_of, file, function, image, schema_format

_MIME = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "csv": "text/csv", "html": "text/html"}

_HOSTED: dict[str, dict[str, Any]] = {
    "nova_code_interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "nova_grounding": {"type": "web_search"},
}


def request(body: Request, turn: Turn) -> Request:
    if body.get("guardrailConfig"):
        raise Inexpressible("guardrailConfig: a resource of Amazon's, which Responses cannot name")
    found: Request = {"input": [item for message in body.get("messages") or [] for item in _message(message, turn)]}
    system = body.get("system") or []
    parts = _parts(system)
    if parts:
        found["input"] = [{"role": "system", "content": parts}, *found["input"]]
    config = body.get("inferenceConfig") or {}
    for theirs, ours in {
        "maxTokens": "max_output_tokens",
        "temperature": "temperature",
        "topP": "top_p",
        "stopSequences": "stop",
    }.items():
        if config.get(theirs) not in (None, []):
            found[ours] = config[theirs]
    more = body.get("additionalModelRequestFields") or {}
    thinking = more.get("thinking") or more.get("reasoning_config") or {}
    reasoning: dict[str, Any] = {}
    if thinking.get("type") == "enabled":
        reasoning["effort"] = effort_of(thinking["budget_tokens"])
    elif thinking.get("type") == "adaptive":
        reasoning["effort"] = "high"
    if thinking.get("display") == "summarized":
        reasoning["summary"] = "auto"
    if reasoning:
        found["reasoning"] = reasoning
    form = (body.get("outputConfig") or {}).get("textFormat")
    if form:
        wanted = form["structure"]["jsonSchema"]
        described = {"description": wanted["description"]} if wanted.get("description") else {}
        found["text"] = schema_format(json.loads(wanted["schema"]), wanted.get("name") or "answer", **described)
    tools = [_tool(tool) for tool in (body.get("toolConfig") or {}).get("tools") or [] if "cachePoint" not in tool]
    if tools:
        found["tools"] = tools
    choice = (body.get("toolConfig") or {}).get("toolChoice") or {}
    if "any" in choice:
        found["tool_choice"] = "required"
    elif "tool" in choice:
        found["tool_choice"] = {"type": "function", "name": choice["tool"]["name"]}
    elif "auto" in choice:
        found["tool_choice"] = "auto"
    return found


def _message(message: dict[str, Any], turn: Turn) -> list[Item]:
    content = message["content"]
    if message["role"] == "assistant":
        return turn({"output": {"message": message}, "stopReason": "end_turn"})
    items: list[Item] = []
    waiting: list[dict[str, Any]] = []
    for block in content:
        if "toolResult" in block:
            if waiting:
                items.append({"role": "user", "content": _parts(waiting)})
                waiting = []
            result = block["toolResult"]
            output = _parts(result["content"])
            texts = [part["text"] for part in output if part["type"] == "input_text"]
            items.append(
                {
                    "type": "function_call_output",
                    "call_id": result["toolUseId"],
                    "output": texts[0] if len(output) == len(texts) == 1 else output,
                }
            )
        else:
            waiting.append(block)
    if waiting:
        items.append({"role": "user", "content": _parts(waiting)})
    return items


def _parts(blocks: list[dict[str, Any]]) -> list[Part]:
    """Content blocks as parts. A cache point is a mark on the part before it, as Anthropic has it."""
    parts: list[Part] = []
    for block in blocks:
        if "cachePoint" in block and parts:
            parts[-1]["cache_control"] = {"type": "ephemeral"}
        else:
            parts.append(_part(block))
    return parts


def _part(block: dict[str, Any]) -> Part:
    if "text" in block:
        return {"type": "input_text", "text": block["text"]}
    if "json" in block:
        return {"type": "input_text", "text": json.dumps(block["json"], ensure_ascii=False)}
    if "image" in block and "bytes" in block["image"]["source"]:
        return image(data_url(f"image/{block['image']['format']}", block["image"]["source"]["bytes"]))
    if "document" in block and "bytes" in block["document"]["source"]:
        document = block["document"]
        form = document.get("format", "txt")
        return file(file_data=data_url(_MIME[form], document["source"]["bytes"]), filename=f"{document['name']}.{form}")
    what = next(iter(block))
    source = block[what].get("source")
    where = ", ".join(source) if isinstance(source, dict) else "no bytes"
    raise Inexpressible(f"a {what} block ({where}): Responses has no such input")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if "systemTool" in tool:
        return _HOSTED[tool["systemTool"]["name"]]
    spec = tool["toolSpec"]
    return function(
        spec["name"], spec.get("description"), (spec.get("inputSchema") or {}).get("json"), spec.get("strict")
    )
