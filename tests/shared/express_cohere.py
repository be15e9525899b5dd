"""Cohere v2 Chat -> Responses (https://docs.cohere.com/reference/chat)."""

from __future__ import annotations

from typing import Any

from .express import Inexpressible, Item, Part, Request, Turn, function, image, schema_format


def request(body: Request, turn: Turn) -> Request:
    found: Request = {"input": [item for message in body["messages"] for item in _message(message, turn)]}
    for theirs, ours in {
        "model": "model",
        "temperature": "temperature",
        "p": "top_p",
        "max_tokens": "max_output_tokens",
        "stop_sequences": "stop",
        "seed": "seed",
    }.items():
        if body.get(theirs) is not None:
            found[ours] = body[theirs]
    if (body.get("thinking") or {}).get("type") == "enabled":
        found["reasoning"] = {"effort": "high"}
    form = body.get("response_format") or {}
    if form.get("json_schema"):
        found["text"] = schema_format(form["json_schema"])
    if body.get("tools"):
        found["tools"] = [
            function(t["function"]["name"], t["function"].get("description"), t["function"].get("parameters"))
            for t in body["tools"]
        ]
    return found


def _message(message: dict[str, Any], turn: Turn) -> list[Item]:
    content = message.get("content")
    if message["role"] == "assistant":
        return turn({"message": message, "finish_reason": "COMPLETE"})
    if message["role"] == "tool":
        output = content if isinstance(content, str) else [_part(part) for part in content or []]
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": output}]
    return [
        {"role": message["role"], "content": content if isinstance(content, str) else [_part(p) for p in content or []]}
    ]


def _part(part: dict[str, Any]) -> Part:
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    if part["type"] == "image_url":
        return image(part["image_url"]["url"])
    raise Inexpressible(f"a {part['type']} part: Responses has no such input")
