"""Items of the Responses API -> messages of Chat Completions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tollbook.dialects import unsaid
from tollbook.responses.seals import unseal
from tollbook.responses.tools import call_arguments, flat_name
from tollbook.responses.types import Item, Part

from .manner import Manner
from .reasoning import DETAILS, SIGNATURE

_ROLES = frozenset({"user", "system", "developer", "assistant"})
_FORMATS = {"mp3": "mp3", "mpeg": "mp3", "wav": "wav", "x-wav": "wav"}

Message = dict[str, Any]


class History:
    """Messages in the making. `refused` names content without an equivalent, `notes` what was left out or changed.

    Reasoning, text and calls of one turn are one assistant message. Images and files that a tool gave back follow in a
    user message after the tool messages, because those hold text only.
    """

    def __init__(self, manner: Manner) -> None:
        self.messages: list[Message] = []
        self.refused: list[str] = []
        self.notes: list[str] = []
        self._manner = manner
        self._attached: list[Part] = []
        self._signatures: dict[str, str] = {}
        self._has_spoken = False
        """Whether the assistant message that is going on has its text already."""

    def system(self, instructions: Any) -> None:
        """`instructions`: text, or items that come before the input."""
        if isinstance(instructions, str) and instructions:
            self._say("system", instructions)
        elif isinstance(instructions, list):
            self.items(instructions, "instructions")

    def items(self, items: Iterable[Any], place: str = "input") -> None:
        for index, item in enumerate(items):
            path = f"{place}[{index}]"
            if not isinstance(item, dict):
                self.refused.append(path)
                continue
            kind = item.get("type") or "message"
            if kind not in ("function_call_output", "custom_tool_call_output"):
                self._attach()
            match kind:
                case "message":
                    self._message(item, path)
                case "function_call" | "custom_tool_call":
                    self._call(item)
                case "function_call_output" | "custom_tool_call_output":
                    self._output(item, path)
                case "reasoning":
                    self._reasoning(item)
                case _ if kind in unsaid.HOSTED:
                    self.notes.append(f"{kind}: left out")
                case _:
                    self.refused.append(f"{path}.type={kind}")
        self._attach()

    # ---------------------------------------------------------------------------------------------------- the items

    def _message(self, item: Item, path: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            self.refused.append(f"{path}.role={role}")
            return
        content = item.get("content")
        if role == "assistant":
            self._spoken(content, path)
            return
        if role == "developer" and not self._manner.developer:
            role = "system"
        self._say(role, content if isinstance(content, str) else self.parts(content, f"{path}.content"))

    def _spoken(self, content: Any, path: str) -> None:
        """What the model said: text parts in one string, because few hosts take parts from an assistant."""
        texts, refusals = [], []
        for index, part in enumerate([content] if isinstance(content, str) else content or ()):
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                texts.append(part["text"])
                if unsaid.cites(part):
                    self.notes.append(unsaid.CITATIONS)
            elif isinstance(part, dict) and isinstance(part.get("refusal"), str):
                refusals.append(part["refusal"])
            else:
                self.refused.append(f"{path}.content[{index}]")
        message = self.turn(speaks=True)
        if refusals and self._manner.developer:
            message["refusal"] = "".join(refusals)
        else:
            texts += refusals
        if texts or not refusals:
            self._add(message, "".join(texts))

    def _call(self, item: Item) -> None:
        call_id = str(item.get("call_id") or item.get("id") or "")
        name = flat_name(str(item.get("name") or ""), item.get("namespace"))
        call: dict[str, Any] = {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": call_arguments(item)},
        }
        if call_id in self._signatures:
            call["extra_content"] = {"google": {"thought_signature": self._signatures[call_id]}}
        self.turn().setdefault("tool_calls", []).append(call)

    def _output(self, item: Item, path: str) -> None:
        call_id, output = str(item.get("call_id") or ""), item.get("output")
        if isinstance(output, list):
            parts = self.parts(output, f"{path}.output")
            texts = [p for p in parts if p["type"] == "text"]
            attached = [p for p in parts if p["type"] != "text"]
            if attached:
                self.notes.append(f"{item['type']}.output: adapted (attachments follow in a user message)")
                self._attached.append({"type": "text", "text": f"Attachments of the tool call {call_id}:"})
                self._attached += attached
            output = _plain(texts) if texts or not attached else "The attachments follow in the next user message."
        elif not isinstance(output, str):
            output = ""
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": output})

    def _attach(self) -> None:
        if self._attached:
            attached, self._attached = self._attached, []
            self._say("user", attached)

    def _reasoning(self, item: Item) -> None:
        """Reasoning goes back to its maker, where the maker wants it; anybody else's is left out."""
        manner, sealed = self._manner, item.get("encrypted_content")
        details, signature, own = unseal(DETAILS, sealed), unseal(SIGNATURE, sealed), unseal(manner.maker, sealed)
        if details is not None and manner.reasoning_details:
            self.turn().setdefault("reasoning_details", []).extend(details.get("details") or ())
        elif signature is not None and manner.maker == SIGNATURE:
            self._signed(signature)
        elif own is not None and manner.returns_reasoning and isinstance(own.get("text"), str):
            self.thought(own["text"], own)
        else:
            self.notes.append("reasoning: foreign, left out")

    def _signed(self, signature: dict[str, Any]) -> None:
        call_id, value = signature.get("call_id"), str(signature.get("signature") or "")
        if isinstance(call_id, str):
            self._signatures[call_id] = value
        else:
            self.turn()["extra_content"] = {"google": {"thought_signature": value}}

    def thought(self, text: str, sealed: dict[str, Any]) -> None:  # noqa: ARG002 - for hosts that seal more than text
        """The host's own earlier reasoning."""
        message, name = self.turn(), self._manner.returns_reasoning
        if name == "tags":
            self._add(message, f"<think>\n{text}\n</think>\n")
        elif name == "parts":
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
            message["content"] = [*_parted(message.get("content", [])), thinking]
        else:
            message[name] = message.get(name, "") + text

    # ------------------------------------------------------------------------------------------------- the messages

    def turn(self, *, speaks: bool = False) -> Message:
        """The assistant message that is going on; a new one when somebody else spoke, or it `speaks` a second time."""
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != "assistant" or (speaks and self._has_spoken):
            last = {"role": "assistant"}
            self.messages.append(last)
            self._has_spoken = False
        self._has_spoken = self._has_spoken or speaks
        return last

    def _add(self, message: Message, text: str) -> None:
        content = message.get("content", "")
        if isinstance(content, list):
            content.append({"type": "text", "text": text})
        else:
            message["content"] = content + text

    def _say(self, role: str, content: str | list[Part]) -> None:
        last = self.messages[-1] if self.messages else None
        if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
            content = content[0]["text"]
        if self._manner.alternates and last is not None and last["role"] == role:
            if isinstance(last["content"], str) and isinstance(content, str):
                last["content"] += "\n\n" + content
            else:
                last["content"] = _parted(last["content"]) + _parted(content)
            return
        self.messages.append({"role": role, "content": content})

    # ------------------------------------------------------------------------------------------------------ content

    def parts(self, content: Any, path: str) -> list[Part]:
        """Parts of a user's message or of a tool's output."""
        found: list[Part] = []
        for index, part in enumerate(content if isinstance(content, list) else ()):
            place = f"{path}[{index}]"
            written = self._part(part, place) if isinstance(part, dict) else None
            if isinstance(part, str):
                written = {"type": "text", "text": part}
            if written is None:
                if not any(name.startswith(place) for name in self.refused):
                    kind = part.get("type") if isinstance(part, dict) else None
                    self.refused.append(f"{place}.type={kind}" if kind else place)
                continue
            if isinstance(part, dict):
                self._cached(part, written)
            found.append(written)
        return found

    def _cached(self, part: Part, written: Part) -> None:
        """Marks of explicit prompt caching stay on their part where the host knows them."""
        for name in ("cache_control", "prompt_cache_breakpoint"):
            if part.get(name) is not None:
                if self._manner.cache_control if name == "cache_control" else self._manner.file_ids:
                    written[name] = part[name]
                else:
                    self.notes.append(f"{name}: dropped")

    def _part(self, part: Part, place: str) -> Part | None:
        """One part in the host's form; None, with the name in `refused`, for what it cannot say."""
        kind, manner = part.get("type"), self._manner
        if kind in ("input_text", "output_text", "text", "summary_text", "reasoning_text"):
            return {"type": "text", "text": str(part.get("text") or "")}
        if kind == "refusal":
            return {"type": "text", "text": str(part.get("refusal") or "")}
        if kind in ("input_image", "computer_screenshot"):
            url = part.get("image_url")
            if not isinstance(url, str):
                self.refused.append(f"{place}.file_id" if part.get("file_id") else f"{place}.image_url")
                return None
            image: dict[str, Any] = {"url": url}
            if part.get("detail") is not None:
                image["detail"] = part["detail"]
            return {"type": "image_url", "image_url": image}
        if kind == "input_audio" and manner.audio and isinstance(part.get("input_audio"), dict):
            audio = part["input_audio"]
            return {"type": kind, "input_audio": audio if manner.audio == "object" else audio.get("data")}
        if kind == "input_video" and manner.file and isinstance(part.get("video_url"), (str, dict)):
            url = part["video_url"]
            return {"type": "video_url", "video_url": {"url": url} if isinstance(url, str) else url}
        return self._file(part, place) if kind == "input_file" and manner.file else None

    def _file(self, part: Part, place: str) -> Part | None:
        manner, data, url, name = self._manner, part.get("file_data"), part.get("file_url"), part.get("filename")
        if isinstance(data, str):
            if not data.startswith("data:"):
                data = f"data:{_media_type(name)};base64,{data}"
            form = data.partition(";")[0].removeprefix("data:audio/")
            if form in _FORMATS and manner.audio:  # audio by another name
                return self._part(
                    {
                        "type": "input_audio",
                        "input_audio": {"data": data.partition(",")[2], "format": _FORMATS[form]},
                    },
                    place,
                )
        elif isinstance(url, str) and manner.file_urls:
            data = url
        elif isinstance(part.get("file_id"), str) and manner.file_ids:
            return {"type": "file", "file": {"file_id": part["file_id"]}}
        else:
            self.refused.append(f"{place}.file_id" if part.get("file_id") else f"{place}.file_url")
            return None
        if manner.file == "file_url":
            given = {"url": data if not data.startswith("data:") else data.partition(",")[2]}
            return {"type": "file_url", "file_url": given, **({"file_name": name} if name else {})}
        if manner.file == "document_url":
            return {"type": "document_url", "document_url": data, **({"document_name": name} if name else {})}
        return {"type": "file", "file": {"filename": name or "file", "file_data": data}}


def _plain(texts: list[Part]) -> str | list[Part]:
    """One text as a string, several as parts."""
    if all(part.keys() == {"type", "text"} for part in texts) and len(texts) < 2:
        return "".join(part["text"] for part in texts)
    return texts


def _parted(content: str | list[Part]) -> list[Part]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _media_type(name: Any) -> str:
    ending = name.rpartition(".")[2].lower() if isinstance(name, str) and "." in name else "pdf"
    return {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "csv": "text/csv"}.get(
        ending, f"application/{ending}"
    )
