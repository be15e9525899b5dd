"""Two ways of writing the same request, as the providers document them, made one before requests are compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

# Whose keys are the user's own, not the API's.
_FOREIGN = ("args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema")


def camel(value: Any) -> Any:
    """Google's JSON takes snake_case for camelCase (proto3 JSON mapping); keys inside schemas and arguments are left."""
    if isinstance(value, list):
        return [camel(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, inner in value.items():
        name = re.sub(r"_([a-z])", lambda m: m[1].upper(), key)
        found[name] = inner if name in _FOREIGN else camel(inner)
    return found


def spelled(api: str, body: Any) -> Any:
    """The body in one spelling."""
    body = json.loads(json.dumps(body))
    if api.startswith(("anthropic.", "vertex.anthropic.", "bedrock.invoke")):
        return _anthropic(body)
    if api.startswith(("gemini.", "vertex.")):
        return _gemini(body)
    if api.startswith("bedrock.converse"):
        return _converse(body)
    if api == "openai.chat":
        return _chat(body)
    if api == "cohere.v2.chat":
        return _cohere(body)
    return body


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _texts(content: Any) -> Any:
    """A string is short for one text block. A content of nothing is none."""
    return [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []


def _together(messages: list[Any], same: Callable[[Any], Any] = lambda m: m["role"]) -> list[Any]:
    """Consecutive turns of one role are one turn: both APIs join them themselves."""
    found: list[Any] = []
    for message in messages:
        if found and same(found[-1]) == same(message):
            found[-1] = {**found[-1], "content": [*found[-1]["content"], *message["content"]]}
        else:
            found.append(dict(message))
    return found


def _anthropic(body: Any) -> Any:
    body = _without_nulls(body)
    if "system" in body:
        body["system"] = _texts(body["system"])
    for message in body.get("messages") or []:
        message["content"] = _texts(message["content"])
        for block in message["content"]:
            if block.get("type") == "tool_result":
                block["content"] = _texts(block.get("content"))
                if block.get("is_error") is False:
                    del block["is_error"]  # the default
            if block.get("caller") == {"type": "direct"}:
                del block["caller"]  # the default
        if message["role"] == "assistant":
            message["content"] = _joined(message["content"])
    body["messages"] = _together(body.get("messages") or [])
    for tool in body.get("tools") or []:
        if tool.get("type") == "custom":
            del tool["type"]  # the default
        if not tool.get("description", "absent"):
            del tool["description"]
    if not body.get("tools", "absent"):
        del body["tools"]
    if body.get("stream") is False:
        del body["stream"]
    if (body.get("tool_choice") or {}).get("disable_parallel_tool_use") is False:
        del body["tool_choice"]["disable_parallel_tool_use"]  # the default
    if body.get("tool_choice") == {"type": "auto"}:
        del body["tool_choice"]  # the default
    if "output_format" in body:
        body.setdefault("output_config", {})["format"] = body.pop("output_format")  # its name while it was a beta
    return body


def _joined(blocks: list[Any]) -> list[Any]:
    """Adjacent text blocks of the model say the same as one; it cuts them where a citation begins."""
    found: list[Any] = []
    for block in blocks:
        if found and found[-1].get("type") == block.get("type") == "text" and "cache_control" not in found[-1]:
            found[-1] = {**block, "text": found[-1]["text"] + block["text"]}
            found[-1].pop("citations", None)
        else:
            found.append({name: value for name, value in block.items() if name != "citations"})
    return found


_TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}


def _schema(value: Any) -> Any:
    """Google's Schema spells its types in capitals; JSON Schema does not."""
    if isinstance(value, dict):
        return {
            key: inner.lower() if key == "type" and isinstance(inner, str) and inner in _TYPES else _schema(inner)
            for key, inner in value.items()
        }
    return [_schema(inner) for inner in value] if isinstance(value, list) else value


def _gemini(body: Any) -> Any:
    body = _without_nulls(camel(body))
    system = body.get("systemInstruction")
    if system is not None:
        parts = system.get("parts") or []
        text = [part["text"] for part in ([parts] if isinstance(parts, dict) else parts) if part.get("text")]
        body["systemInstruction"] = "\n\n".join(text)  # its role is ignored
        if not text:
            del body["systemInstruction"]
    for content in body.get("contents") or []:
        content.setdefault("role", "user")
        for part in content.get("parts") or []:
            if part.get("thought") is False:
                del part["thought"]  # the default
            if "thoughtSignature" in part:
                part["thoughtSignature"] = part["thoughtSignature"].replace("-", "+").replace("_", "/")
                if part.keys() == {"thoughtSignature"}:
                    part["text"] = ""
            for name in ("functionCall", "functionResponse"):
                (part.get(name) or {}).pop("id", None)  # optional; calls are matched by name and order
    body["contents"] = [
        {"role": c["role"], "parts": _joined_parts(c["content"]) if c["role"] == "model" else c["content"]}
        for c in _together([{"role": c["role"], "content": c.get("parts") or []} for c in body.get("contents") or []])
    ]
    declared = []
    for group in body.get("tools") or []:
        for function in group.pop("functionDeclarations", []):
            schema = function.pop("parametersJsonSchema", None) or function.pop("parameters", None)
            if not function.get("description"):
                function.pop("description", None)
            declared.append({**function, "parameters": _schema(schema)})
    body["tools"] = [g for g in body.get("tools") or [] if g] + (
        [{"functionDeclarations": declared}] if declared else []
    )
    if not body["tools"]:
        del body["tools"]
    config = body.get("generationConfig") or {}
    schema = config.pop("responseJsonSchema", None) or config.pop("responseSchema", None)
    if schema:
        config["responseSchema"] = _schema(schema)
    thinking = config.get("thinkingConfig") or {}
    if "thinkingLevel" in thinking:
        thinking["thinkingLevel"] = thinking["thinkingLevel"].lower()
    if config.get("responseModalities") == ["TEXT"]:
        del config["responseModalities"]  # the default
    if "generationConfig" in body and not config:
        del body["generationConfig"]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig")
    names = [function["name"] for function in declared]
    if calling and sorted(calling.get("allowedFunctionNames", [])) == sorted(names):
        del calling["allowedFunctionNames"]  # all of them
    if calling == {"mode": "AUTO"}:
        del body["toolConfig"]["functionCallingConfig"]  # the default
    if not body.get("toolConfig", "absent"):
        del body["toolConfig"]
    return body


def _joined_parts(parts: list[Any]) -> list[Any]:
    """A streamed turn that was sent back in the pieces it came in is one text."""
    found: list[Any] = []
    for part in parts:
        if found and found[-1].keys() == part.keys() == {"text"}:
            found[-1] = {"text": found[-1]["text"] + part["text"]}
        elif part.get("text") != "" or len(part) > 1:
            found.append(part)
    return found


def _converse(body: Any) -> Any:
    body = _without_nulls(body)
    for message in body.get("messages") or []:
        for block in message["content"]:
            result = block.get("toolResult") or {}
            if result.get("status") == "success":
                del result["status"]  # the default
            for inner in result.get("content") or []:
                if "json" in inner:
                    inner["text"] = json.dumps(inner.pop("json"), ensure_ascii=False)  # the model reads text either way
        if message["role"] == "assistant":
            message["content"] = _joined_parts(message["content"])
    body["messages"] = _together(body.get("messages") or [])
    config = body.get("inferenceConfig")
    if config is not None:
        if config.get("stopSequences") == []:
            del config["stopSequences"]
        if not config:
            del body["inferenceConfig"]
    for name in ("system", "additionalModelRequestFields", "requestMetadata"):
        if name in body and not body[name]:
            del body[name]
    more = body.get("additionalModelRequestFields") or {}
    if "reasoning_config" in more:
        more["thinking"] = more.pop("reasoning_config")  # Bedrock's first name for it
    if (body.get("toolConfig") or {}).get("toolChoice") == {"auto": {}}:
        del body["toolConfig"]["toolChoice"]  # the default
    form = (((body.get("outputConfig") or {}).get("textFormat") or {}).get("structure") or {}).get("jsonSchema")
    if form:
        form["schema"] = json.loads(form["schema"])
    return body


def _chat(body: Any) -> Any:
    body = _without_nulls(body)
    for message in body.get("messages") or []:
        content = message.get("content")
        if isinstance(content, list) and [p.get("type") for p in content] == ["text"] and len(content[0]) == 2:
            message["content"] = content[0]["text"]
        if message.get("content") in ("", []):
            del message["content"]
        for part in message.get("content") if isinstance(message.get("content"), list) else []:
            if isinstance(part.get("image_url"), str):
                part["image_url"] = {"url": part["image_url"]}
            if part.get("image_url", {}).get("detail") == "auto":
                del part["image_url"]["detail"]  # the default
        for name, default in (("annotations", []), ("prefix", False), ("reasoning_content", "")):
            if message.get(name) == default:
                del message[name]
        if message["role"] == "tool":
            message.pop("name", None)  # the call's id says it
        for call in message.get("tool_calls") or []:
            call["function"]["arguments"] = _json(call["function"]["arguments"]) or {}
            call.pop("index", None)  # of the stream it came in
    if "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")  # one limit, two names: a fact about the host
    for name in ("tools", "stop"):
        if body.get(name) == []:
            del body[name]
    for tool in body.get("tools") or []:
        function = tool.get("function") or {}
        tool.setdefault("type", "function")
        if not function.get("description", "absent"):
            del function["description"]
        if function.get("strict") is False:
            del function["strict"]  # the default
        if function.get("parameters", {}) == {"type": "object", "properties": {}}:
            function.pop("parameters", None)  # no parameters
    if body.get("tool_choice") == "any":
        body["tool_choice"] = "required"  # Mistral's word
    if body.get("tool_choice") == "auto":
        del body["tool_choice"]  # the default
    usual: dict[str, Any] = {"n": 1, "modalities": ["text"], "top_logprobs": 0}
    for name, value in usual.items():
        if body.get(name) == value:
            del body[name]
    if body.get("stream") is False:
        del body["stream"]
    return body


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if text else {}
    except (TypeError, ValueError):
        return text


def _cohere(body: Any) -> Any:
    body = _without_nulls(body)
    for message in body.get("messages") or []:
        if message.get("content") is not None:
            message["content"] = _texts(message["content"])
        if message.get("content") in ([], [{"type": "text", "text": ""}]):
            del message["content"]
        for call in message.get("tool_calls") or []:
            call["function"]["arguments"] = _json(call["function"]["arguments"])
    if body.get("stream") is False:
        del body["stream"]
    return body
