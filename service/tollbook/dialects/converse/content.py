"""Items of the Responses API -> messages of Converse.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html. Roles alternate, so neighbours of
one role are one message; results of tools stand first in theirs. Blank text blocks are refused there and left out here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from tollbook.dialects import unsaid
from tollbook.errors import Unsupported
from tollbook.responses.seals import unseal
from tollbook.responses.tools import call_arguments, flat_name
from tollbook.responses.types import Item, Part
from tollbook.transport.wire import decode

from . import families, media

Block = dict[str, Any]

_CALL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")


class Gaps:
    """What the target has no words for: `notes` about tuning, `missing` content."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.missing: list[str] = []

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def settle(self, drop: bool) -> list[str]:
        """The notes; with missing content Unsupported is raised, unless it is to be dropped."""
        if self.missing and not drop:
            raise Unsupported(self.missing, "Bedrock Converse")
        return [*self.notes, *(f"{name}: dropped" for name in dict.fromkeys(self.missing))]


def call_id(identifier: Any) -> str:
    """The id of a call as Converse accepts it; another provider's may be longer or hold other characters."""
    text = str(identifier or "")
    return text if _CALL_ID.fullmatch(text) else "call_" + hashlib.sha256(text.encode()).hexdigest()[:32]


class Conversation:
    """The messages and the system prompt that a list of items makes."""

    def __init__(self, model: str, gaps: Gaps) -> None:
        self.messages: list[Block] = []
        self.system: list[Block] = []
        self.called: dict[str, None] = {}
        """Names of the tools that the history calls, in order."""
        self.has_tools = False
        self._model = model
        self._gaps = gaps
        self._documents = media.Names()

    def add(self, items: Iterable[Any]) -> None:
        for index, item in enumerate(items):
            self._item(item, f"input[{index}]")

    def begin(self, instructions: Any) -> None:
        """The request's `instructions`: text, or a list of messages."""
        if isinstance(instructions, list):
            for index, item in enumerate(instructions):
                told = {**item, "role": "system"} if isinstance(item, dict) else item
                self._item(told, f"instructions[{index}]")
        else:
            self.instruct(instructions)

    def instruct(self, text: Any, cache_control: Any = None) -> None:
        """A piece of the system prompt."""
        if isinstance(text, str) and text.strip():
            self.system += [{"text": text}, *cache_point(cache_control)]

    # ------------------------------------------------------------------------------------------------------- items

    def _item(self, item: Any, place: str) -> None:
        if not isinstance(item, dict):
            self._gaps.missing.append(place)
            return
        kind = str(item.get("type") or "message")
        if kind == "message":
            self._message(item, place)
        elif kind in ("function_call", "custom_tool_call"):
            self._call(item, place)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._result(item, place)
        elif kind == "reasoning":
            self._reasoning(item)
        elif kind == "code_interpreter_call" and str(item.get("container_id")).startswith("tooluse_"):
            self._nova_code(item)
        elif kind in unsaid.HOSTED:
            self._gaps.note(f"{kind}: left out")
        else:
            self._gaps.missing.append(f"{place}.type={kind}")

    def _message(self, item: Item, place: str) -> None:
        role, content = item.get("role"), item.get("content")
        parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content or []
        if not isinstance(parts, list):
            self._gaps.missing.append(f"{place}.content")
            return
        if role in ("system", "developer"):
            if self.messages:
                self._gaps.note(f"{place}.role: adapted (moved to the system prompt)")
            self._instructions(parts, place)
            return
        blocks = [b for i, part in enumerate(parts) for b in self._part(part, f"{place}.content[{i}]")]
        self._say("assistant" if role == "assistant" else "user", blocks)

    def _instructions(self, parts: list[Any], place: str) -> None:
        for index, part in enumerate(parts):
            if isinstance(part, dict) and part.get("type") in ("input_text", "output_text", "text"):
                self.instruct(part.get("text"), part.get("cache_control"))
            else:
                self._gaps.missing.append(_name(part, f"{place}.content[{index}]"))

    def _call(self, item: Item, place: str) -> None:
        name = flat_name(str(item.get("name") or ""), item.get("namespace"))
        arguments: Any = call_arguments(item)
        with suppress(ValueError):
            arguments = decode(str(arguments))
        if not isinstance(arguments, dict):
            self._gaps.note(f"{place}.arguments: adapted (they are no JSON object)")
            arguments = {"arguments": arguments}
        self.called[name] = None
        self._use({"toolUseId": call_id(item.get("call_id")), "name": name, "input": arguments})

    def _result(self, item: Item, place: str) -> None:
        output = item.get("output")
        if isinstance(output, list):
            blocks = [b for i, part in enumerate(output) for b in self._part(part, f"{place}.output[{i}]", result=True)]
            points = [b for b in blocks if "cachePoint" in b]
            blocks = [b for b in blocks if "cachePoint" not in b]
        else:
            blocks, points = [{"text": output if isinstance(output, str) else ""}], []
        result: Block = {"toolUseId": call_id(item.get("call_id")), "content": blocks or [{"text": ""}]}
        failed = item.get("is_error") is True or item.get("status") in ("incomplete", "failed")
        if failed and (families.is_claude(self._model) or families.is_nova(self._model)):
            result["status"] = "error"
        self.has_tools = True
        self._say("user", [{"toolResult": result}, *points])

    def _reasoning(self, item: Item) -> None:
        text = item.get("encrypted_content")
        content = unseal(families.maker(self._model), text) or unseal("bedrock", text) or {}
        if isinstance(content.get("signature"), str):
            words = _words(item.get("summary")) or _words(item.get("content"))
            thought = {"text": words, "signature": content["signature"]}
            self._say("assistant", [{"reasoningContent": {"reasoningText": thought}}])
        elif isinstance(content.get("data"), str):
            data = base64.b64encode(content["data"].encode()).decode()
            self._say("assistant", [{"reasoningContent": {"redactedContent": data}}])
        else:
            self._gaps.note("reasoning: foreign, left out")

    def _nova_code(self, item: Item) -> None:
        """A run of Nova's code interpreter goes back in Nova's own form: the container is the id of its tool use."""
        if "nova-2" not in self._model:
            self._gaps.note("code_interpreter_call: left out")
            return
        logs = [str(o.get("logs") or "") for o in _objects(item.get("outputs"))]
        failed = item.get("status") == "failed"
        answer = {
            "stdOut": logs[0] if logs else "",
            "stdErr": "".join(logs[1:]),
            "exitCode": int(failed),
            "isError": failed,
        }
        identifier = call_id(item["container_id"])
        self._use(
            {
                "toolUseId": identifier,
                "name": "nova_code_interpreter",
                "input": {"snippet": item.get("code") or ""},
                "type": "server_tool_use",
            }
        )
        result = {
            "toolUseId": identifier,
            "content": [{"json": answer}],
            "type": "nova_code_interpreter_result",
            "status": "error" if failed else "success",
        }
        self._say("assistant", [{"toolResult": result}])

    # ------------------------------------------------------------------------------------------------------ blocks

    def _use(self, use: Block) -> None:
        self.has_tools = True
        self._say("assistant", [{"toolUse": use}])

    def _say(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": []})
        content = self.messages[-1]["content"]
        if role == "user" and "toolResult" in blocks[0]:
            first = len(_leading(content))
            content[first:first] = blocks
        else:
            content += blocks

    def _part(self, part: Any, place: str, *, result: bool = False) -> list[Block]:
        block = self._block(part, result=result) if isinstance(part, dict) else None
        if block is None:
            if not (isinstance(part, dict) and _blank(part)):
                self._gaps.missing.append(_name(part, place))
            return []
        if unsaid.cites(part):
            self._gaps.note(unsaid.CITATIONS)
        if part.get("detail") not in (None, "auto"):
            self._gaps.note(f"{place}.detail: dropped")
        return [block, *cache_point(part.get("cache_control"))]

    def _block(self, part: Part, *, result: bool) -> Block | None:
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text", "refusal"):
            text = part.get("refusal" if kind == "refusal" else "text")
            return {"text": text} if isinstance(text, str) and (result or text.strip()) else None
        if kind == "input_image":
            return media.image(part)
        if kind == "input_file":
            return media.file(part, self._documents)
        if kind == "input_audio" and not result:
            return media.audio(part)
        if kind == "search_result":
            return _search_result(part)
        if kind == "guarded_text" and not result:
            qualifiers = {"qualifiers": part["qualifiers"]} if part.get("qualifiers") else {}
            return {"guardContent": {"text": {"text": str(part.get("text") or ""), **qualifiers}}}
        return None


def cache_point(control: Any) -> list[Block]:
    """A point after the block that carries Anthropic's `cache_control`."""
    if not isinstance(control, dict):
        return []
    ttl = {"ttl": control["ttl"]} if control.get("ttl") in ("5m", "1h") else {}
    return [{"cachePoint": {"type": "default", **ttl}}]


def _search_result(part: Part) -> Block:
    """A search result in Anthropic's form, which Converse takes over: it makes a tool's result citable."""
    texts = [{"text": str(c.get("text") or "")} for c in _objects(part.get("content"))]
    found: Block = {"source": str(part.get("source") or ""), "title": str(part.get("title") or ""), "content": texts}
    if isinstance(part.get("citations"), dict):
        found["citations"] = {"enabled": bool(part["citations"].get("enabled"))}
    return {"searchResult": found}


def _words(parts: Any) -> str:
    return "".join(str(part.get("text") or "") for part in _objects(parts))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _leading(content: list[Block]) -> list[Block]:
    """The tool results (and their cache points) that a message begins with."""
    for index, block in enumerate(content):
        if "toolResult" not in block and ("cachePoint" not in block or index == 0):
            return content[:index]
    return content


def _blank(part: Part) -> bool:
    return part.get("type") in ("input_text", "output_text", "text", "refusal")


def _name(part: Any, place: str) -> str:
    """Where and what a part is, as an error names it."""
    if not isinstance(part, dict):
        return place
    for field in ("file_id", "image_url", "file_url"):
        if part.get(field):
            return f"{place}.{field}"
    return f"{place}.type={part.get('type')}"
