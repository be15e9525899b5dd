"""Gemini generateContent -> Responses (https://ai.google.dev/api/generate-content). Either spelling of names is understood."""

from __future__ import annotations

import json
from typing import Any

from .express import Inexpressible, Item, Part, Request, Turn, data_url, effort_of, file, function, image, schema_format
from .spelling import camel


def request(body: Request, turn: Turn) -> Request:
    body = camel(body)
    config = body.get("generationConfig") or {}
    if (config.get("candidateCount") or 1) > 1:
        raise Inexpressible("candidateCount > 1: a Response has one answer")
    if "AUDIO" in (config.get("responseModalities") or []):
        raise Inexpressible("responseModalities AUDIO: Responses gives no audio")
    for name in ("cachedContent", "modelArmorConfig"):
        if body.get(name):
            raise Inexpressible(f"{name}: a resource of Google's, which Responses cannot name")
    found: Request = {"input": _contents(body["contents"], turn)}
    system = (body.get("systemInstruction") or {}).get("parts") or []
    system = [system] if isinstance(system, dict) else system
    if any(part.get("text") for part in system):
        found["instructions"] = "\n\n".join(part["text"] for part in system)
    for theirs, ours in {"maxOutputTokens": "max_output_tokens", "temperature": "temperature", "topP": "top_p"}.items():
        if config.get(theirs) is not None:
            found[ours] = config[theirs]
    for theirs, ours in {"topK": "top_k", "stopSequences": "stop", "seed": "seed"}.items():
        if config.get(theirs) is not None:
            found[ours] = config[theirs]
    if config.get("responseLogprobs"):
        found["include"] = ["message.output_text.logprobs"]
        found["top_logprobs"] = config["logprobs"]
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if schema:
        found["text"] = schema_format(schema)
    elif config.get("responseMimeType") == "application/json":
        found["text"] = {"format": {"type": "json_object"}}
    thinking = config.get("thinkingConfig") or {}
    reasoning: dict[str, Any] = {}
    if "thinkingBudget" in thinking:
        reasoning["effort"] = "none" if thinking["thinkingBudget"] == 0 else effort_of(thinking["thinkingBudget"])
    if "thinkingLevel" in thinking:
        reasoning["effort"] = thinking["thinkingLevel"].lower()
    if thinking.get("includeThoughts"):
        reasoning["summary"] = "auto"
    if reasoning:
        found["reasoning"] = reasoning
    tools = [tool for group in body.get("tools") or [] for tool in _tools(group)]
    if tools:
        found["tools"] = tools
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling:
        found["tool_choice"] = _choice(calling, [t["name"] for t in tools if t["type"] == "function"])
    return found


def _choice(calling: dict[str, Any], declared: list[str]) -> Any:
    mode = {"ANY": "required", "AUTO": "auto", "NONE": "none"}[calling.get("mode", "AUTO")]
    names = calling.get("allowedFunctionNames") or []
    if mode == "required" and len(names) == 1:
        return {"type": "function", "name": names[0]}
    if names and set(names) != set(declared):
        return {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": n} for n in names]}
    return mode


def _contents(contents: Any, turn: Turn) -> list[Item]:
    items: list[Item] = []
    waiting: list[Item] = []
    for content in contents:
        if content.get("role") == "model":
            answer = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}
            output = turn(answer)
            items += output
            waiting = [item for item in output if item["type"] == "function_call"]
            continue
        parts: list[Part] = []
        for part in content.get("parts") or []:
            response = part.get("functionResponse")
            if response is None:
                parts.append(_part(part))
                continue
            asked = next((c for c in waiting if response.get("id") and c["call_id"] == response["id"]), None)
            asked = asked or next((c for c in waiting if c["name"] == response["name"]), None)
            if asked is None:
                raise Inexpressible("a functionResponse to no call in the history: an output needs the id of its call")
            waiting.remove(asked)
            if parts:
                items.append({"role": "user", "content": parts})
                parts = []
            items.append({"type": "function_call_output", "call_id": asked["call_id"], "output": _output(response)})
        if parts:
            items.append({"role": "user", "content": parts})
    return items


def _output(response: dict[str, Any]) -> Any:
    text = json.dumps(response["response"], ensure_ascii=False)
    if not response.get("parts"):
        return text
    return [{"type": "input_text", "text": text}, *[_part(part) for part in response["parts"]]]


def _part(part: dict[str, Any]) -> Part:
    if "text" in part:
        return {"type": "input_text", "text": part["text"]}
    inline, linked = part.get("inlineData"), part.get("fileData") or {}
    if inline is None and not linked:
        raise Inexpressible(f"a part with {sorted(part)}: Responses has no such input")
    kind = (inline or linked).get("mimeType") or ""
    if kind.startswith("video/"):
        raise Inexpressible("video: Responses has no such input")
    if inline is not None:
        url = data_url(kind, inline["data"])
        if kind.startswith("audio/"):
            form = kind.removeprefix("audio/").removeprefix("x-")
            return {"type": "input_audio", "input_audio": {"data": inline["data"], "format": form}}
        return image(url) if kind.startswith("image/") else file(file_data=url, filename="file.pdf")
    if kind.startswith("audio/"):
        raise Inexpressible("audio by URI: Responses takes audio as data only")
    return image(linked["fileUri"]) if kind.startswith("image/") else file(file_url=linked["fileUri"])


def _tools(group: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, value in group.items():
        if value is None:
            continue
        if name == "functionDeclarations":
            for declared in value:
                schema = declared.get("parametersJsonSchema") or declared.get("parameters")
                found.append(function(declared["name"], declared.get("description"), schema))
        elif name == "googleSearch":
            found.append({"type": "web_search"})
        elif name == "codeExecution":
            found.append({"type": "code_interpreter", "container": {"type": "auto"}})
        elif name == "fileSearch":
            found.append({"type": "file_search", "vector_store_ids": value["fileSearchStoreNames"]})
        else:
            raise Inexpressible(f"the tool {name}: Responses has no such hosted tool")
    return found
