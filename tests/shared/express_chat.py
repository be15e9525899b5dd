"""Chat Completions -> Responses (https://platform.openai.com/docs/guides/migrate-to-responses)."""

from __future__ import annotations

from typing import Any

from .express import Inexpressible, Item, Part, Request, Turn, effort_of, file, function, image

# Fields whose meaning is the same under the same name, and those that Responses lacks: clients send them as extra fields.
_SAME = (
    "temperature", "top_p", "parallel_tool_calls", "user", "service_tier", "prompt_cache_key", "top_logprobs", "metadata",
    "stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "top_k", "min_p", "repetition_penalty",
    "thinking", "provider", "plugins", "enable_thinking", "clear_thinking", "reasoning_format", "random_seed", "usage",
)  # fmt: skip


def request(body: Request, turn: Turn) -> Request:
    if (body.get("n") or 1) > 1:
        raise Inexpressible("n > 1: a Response has one answer")
    if body.get("functions") or any(m["role"] == "function" for m in body["messages"]):
        raise Inexpressible("functions and function_call: the form before tools, which Responses never had")
    if "audio" in (body.get("modalities") or []):
        raise Inexpressible("modalities audio: Responses gives no audio")
    found: Request = {"input": [item for message in body["messages"] for item in _message(message, turn)]}
    for name in ("model", *_SAME):
        if body.get(name) is not None:
            found[name] = body[name]
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None:
        found["max_output_tokens"] = limit
    if body.get("logprobs"):
        found["include"] = ["message.output_text.logprobs"]
    if body.get("reasoning_effort"):
        found["reasoning"] = {"effort": body["reasoning_effort"]}
    elif body.get("reasoning"):
        found["reasoning"] = _reasoning(body["reasoning"])
    if body.get("response_format"):
        found["text"] = {"format": _format(body["response_format"])}
    if body.get("tools"):
        found["tools"] = [_tool(tool) for tool in body["tools"]]
    if body.get("web_search_options") is not None:
        found["tools"] = [*found.get("tools", []), {"type": "web_search", **body["web_search_options"]}]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        found["tool_choice"] = {"type": "function", "name": choice["function"]["name"]}
    elif choice:
        found["tool_choice"] = "required" if choice == "any" else choice
    return found


def _reasoning(wanted: dict[str, Any]) -> dict[str, Any]:
    """OpenRouter's object: https://openrouter.ai/docs/use-cases/reasoning-tokens."""
    if "max_tokens" in wanted:
        return {"effort": effort_of(wanted["max_tokens"])}
    return {"effort": "medium"} if wanted.get("enabled") else wanted


def _message(message: dict[str, Any], turn: Turn) -> list[Item]:
    role = message["role"]
    if role == "tool":
        output = message.get("content")
        if isinstance(output, list):
            output = [_part(part) for part in output]
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": output or ""}]
    if role == "assistant":
        answer = {"index": 0, "message": message, "finish_reason": "stop"}
        return turn({"object": "chat.completion", "choices": [answer]})
    content = message.get("content")
    item: Item = {"type": "message", "role": role, "content": content or ""}
    if isinstance(content, list):
        item["content"] = [_part(part) for part in content]
    return [item]


def _part(part: Part) -> Part:
    kind = part.get("type")
    more: dict[str, Any] = {name: part[name] for name in ("cache_control", "prompt_cache_breakpoint") if name in part}
    if kind == "text":
        return {"type": "input_text", "text": part["text"], **more}
    if kind == "image_url":
        url = part["image_url"]
        if isinstance(url, str):
            return image(url, **more)
        detail = {"detail": url["detail"]} if url.get("detail") else {}
        return image(url["url"], **detail, **more)
    if kind == "file":
        return file(**part["file"], **more)
    if kind == "input_audio":
        sound = part["input_audio"]
        return {
            "type": "input_audio",
            "input_audio": sound if isinstance(sound, dict) else {"data": sound, "format": "mp3"},
        }
    raise Inexpressible(f"a content part of type {kind}: Responses has no such input")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if "function" not in tool:
        return tool
    inner = tool["function"]
    found = function(inner["name"], inner.get("description"), inner.get("parameters"), inner.get("strict"))
    if "cache_control" in tool:
        found["cache_control"] = tool["cache_control"]
    return found


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    if wanted["type"] == "json_schema":
        return {"type": "json_schema", **wanted["json_schema"]}
    return wanted
