"""Items -> system prompt and alternating turns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tollbook.dialects import unsaid
from tollbook.responses.request import items
from tollbook.responses.seals import unseal
from tollbook.responses.tools import call_arguments, flat_name
from tollbook.responses.types import Item, Part, Request
from tollbook.transport.wire import decode

from .media import Block, block, marked, text
from .remarks import Remarks
from .shape import mappings, string

MAKER = "anthropic"
"""Who seals: a signature of Claude is good wherever Claude runs."""

_THINKING = ("thinking", "redacted_thinking")

# Blocks that are only accepted together with a beta flag.
_BETAS = {
    "compaction": "compact-2026-01-12",
    "mcp_tool_use": "mcp-client-2025-11-20",
    "mcp_tool_result": "mcp-client-2025-11-20",
}

_ID = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(slots=True)
class Conversation:
    """The history in their words."""

    remarks: Remarks
    system_turns: bool = False
    system: list[Block] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    container: str | None = None
    """The container in which a program waits for its tool's result."""
    _callers: dict[str, Any] = field(default_factory=dict)
    _hosted: list[str] = field(default_factory=list)
    _later: list[tuple[str, list[Block]]] = field(default_factory=list)
    """System messages in the conversation, until their place is known."""

    @property
    def thought(self) -> bool:
        """Whether there are thinking blocks."""
        return any(b["type"] in _THINKING for turn in self.turns for b in turn["content"])

    @property
    def unthought_loop(self) -> bool:
        """Whether tool results answer a turn that began without thinking.

        With `budget_tokens` the API wants such a turn to begin with thinking, and thinking cannot begin in the middle
        of it (https://platform.claude.com/docs/en/build-with-claude/extended-thinking, "toggling thinking modes").
        """
        turns = [turn for turn in self.turns if turn["role"] != "system"]
        if len(turns) < 2 or not any(b["type"] == "tool_result" for b in turns[-1]["content"]):
            return False
        return turns[-2]["content"][0]["type"] not in _THINKING

    def forget_thinking(self) -> None:
        """Takes the thinking blocks out."""
        for turn in self.turns:
            turn["content"] = [b for b in turn["content"] if b["type"] not in _THINKING]
        self.turns = [turn for turn in self.turns if turn["content"]]

    def add(self, item: Item, where: str) -> None:
        """The next item of the history."""
        kind = string(item.get("type")) or ("message" if "role" in item else "")
        if kind not in unsaid.HOSTED and kind != "reasoning":
            self._settle_hosted()
        match kind:
            case "message":
                self._message(item, where)
            case "function_call" | "custom_tool_call":
                self._call(item, where)
            case "function_call_output" | "custom_tool_call_output":
                self._output(item, where)
            case "reasoning":
                self._reasoning(item)
            case _ if kind in unsaid.HOSTED:
                self._hosted.append(f"{where}.type={kind}")
            case _:
                self.remarks.unsupported(f"{where}.type={kind}")

    def finish(self) -> None:
        """No more items: results come first in their turn, as the API demands, and every hosted call is accounted for."""
        self._settle_hosted()
        self._place_system()
        for turn in self.turns:
            turn["content"].sort(key=lambda b: b["type"] != "tool_result" and turn["role"] == "user")

    # ------------------------------------------------------------------------------------------------ kinds of items

    def _message(self, item: Item, where: str) -> None:
        role, content = item.get("role"), item.get("content")
        if role in ("system", "developer"):
            blocks = self._blocks(content, where)
            for b in blocks:
                if b["type"] != "text":
                    self.remarks.unsupported(f"{where}.content.type={b['type']}")
            blocks = [b for b in blocks if b["type"] == "text"]
            if self.turns:
                self._later.append((where, blocks))
            else:
                self.system.extend(blocks)
        elif role in ("user", "assistant"):
            self._say(role, self._blocks(content, where))
        else:
            self.remarks.unsupported(f"{where}.role={role}")

    def _blocks(self, content: Any, where: str) -> list[Block]:
        if isinstance(content, str):
            whole = text(content)
            return [whole] if whole else []
        found: list[Block] = []
        for index, part in enumerate(mappings(content)):
            if part.get("type") == "output_text" and mappings(part.get("annotations")):
                cited = _cited(part)
                if not any("citations" in one for one in cited):
                    self.remarks.note(unsaid.CITATIONS)
                found.extend(cited)
            elif (one := block(part, f"{where}.content[{index}]", self.remarks)) is not None:
                found.append(one)
        return found

    def _call(self, item: Item, where: str) -> None:
        arguments: Any = call_arguments(item)
        try:
            value = decode(arguments) if isinstance(arguments, str) else arguments
        except ValueError:
            value = None
        if not isinstance(value, dict):
            # An answer that was cut off can hold half a call; its turn must stay in the history.
            self.remarks.adapted(f"{where}.arguments", "not a JSON object, sent as its text")
            value = {"arguments": arguments}
        call_id = _identifier(item)
        use: Block = {
            "type": "tool_use",
            "id": call_id,
            "name": flat_name(string(item.get("name")), string(item.get("namespace"))),
            "input": value,
        }
        if call_id in self._callers:
            use["caller"] = self._callers[call_id]
        marked(use, item)
        self._say("assistant", [use])

    def _output(self, item: Item, where: str) -> None:
        output = item.get("output")
        result: Block = {"type": "tool_result", "tool_use_id": _identifier(item)}
        if isinstance(output, list):
            parts = enumerate(mappings(output))
            found = [block(part, f"{where}.output[{index}]", self.remarks) for index, part in parts]
            result["content"] = [b for b in found if b is not None]
        elif output is not None:
            result["content"] = output if isinstance(output, str) else str(output)
        if isinstance(item.get("is_error"), bool):
            result["is_error"] = item["is_error"]
        marked(result, item)
        self._say("user", [result])

    def _reasoning(self, item: Item) -> None:
        content = unseal(MAKER, item.get("encrypted_content"))
        if content is None:
            self._settle_hosted()
            self.remarks.left_out("reasoning", "foreign")
            return
        if isinstance(content.get("blocks"), list):
            blocks = [b for b in mappings(content["blocks"]) if isinstance(b.get("type"), str)]
            for b in blocks:
                if b["type"] in _BETAS:
                    self.remarks.beta(_BETAS[b["type"]])
            self._hosted.clear()  # these calls are in the seal, exactly
            self._say("assistant", blocks)
        self._settle_hosted()
        if "signature" in content:
            thought = "".join(string(part.get("text")) for part in mappings(item.get("summary")))
            self._say("assistant", [{"type": "thinking", "thinking": thought, "signature": content["signature"]}])
        if "data" in content:
            self._say("assistant", [{"type": "redacted_thinking", "data": content["data"]}])
        if isinstance(content.get("callers"), dict):
            self._callers.update(content["callers"])
        if isinstance(content.get("container"), str):
            self.container = content["container"]

    def _settle_hosted(self) -> None:
        for name in self._hosted:
            self.remarks.left_out(name, "of another provider")
        self._hosted.clear()

    def _place_system(self) -> None:
        """A system message in the conversation stands behind the user's turn, where the model takes that at all."""
        blocks = [b for _, found in self._later for b in found]
        if blocks and self.system_turns and self.turns[-1]["role"] == "user":
            self.turns.append({"role": "system", "content": blocks})
        elif blocks:
            self.system.extend(blocks)
            for where, _ in self._later:
                self.remarks.adapted(f"{where}.role", "moved to the system prompt")
        self._later.clear()

    def _say(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if role == "assistant":
            self._place_system()
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"].extend(blocks)
        else:
            self.turns.append({"role": role, "content": blocks})


def conversation(request: Request, remarks: Remarks, *, system_turns: bool = False) -> Conversation:
    """Instructions first, then the items in their order. `system_turns`: system messages may stand among them."""
    told = Conversation(remarks, system_turns)
    instructions = request.get("instructions")
    if isinstance(instructions, str):
        if (opening := text(instructions)) is not None:
            told.system.append(opening)
    else:
        for index, item in enumerate(mappings(instructions)):
            told.add({**item, "role": "system"}, f"instructions[{index}]")
    for index, item in enumerate(items(request)):
        told.add(item, f"input[{index}]")
    told.finish()
    return told


def _identifier(item: Item) -> str:
    """The call's id with nothing but what Anthropic accepts in one; other providers use dots and colons."""
    return _ID.sub("_", str(item.get("call_id") or item.get("id") or ""))


def _cited(part: Part) -> list[Block]:
    """The text cut at its citations, as Anthropic gave it: each cited stretch is a block with its citations.

    The reader keeps a citation whole in `annotation["citation"]`. Where a client changed the text, the places no longer
    fit; then the text goes without them.
    """
    whole = string(part.get("text"))
    spans: dict[tuple[int, int], list[Any]] = {}
    for annotation in mappings(part["annotations"]):
        place = (annotation.get("start_index"), annotation.get("end_index"))
        if isinstance(annotation.get("citation"), dict) and isinstance(place[0], int) and isinstance(place[1], int):
            spans.setdefault((place[0], place[1]), []).append(annotation["citation"])
    pieces: list[tuple[str, list[Any]]] = []
    at = 0
    for (start, end), citations in sorted(spans.items()):
        if not at <= start < end <= len(whole):
            pieces, at = [], 0
            break
        pieces += [(whole[at:start], []), (whole[start:end], citations)]
        at = end
    pieces.append((whole[at:], []))
    found: list[Block] = []
    for piece, citations in pieces:
        if citations:
            found.append({"type": "text", "text": piece, "citations": citations})
        elif piece.strip() or not found:
            found.extend(filter(None, [text(piece)]))
        else:
            found[-1]["text"] += piece  # a block of white space alone would be refused
    if found:
        marked(found[-1], part)
    return found
