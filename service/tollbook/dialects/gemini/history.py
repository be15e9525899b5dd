"""The history of a conversation: items -> `contents` and `systemInstruction`.

https://ai.google.dev/api/caching#Content. A turn of the model is one content with all its parts in order; results of
functions are one content of the user's. Adjacent contents of one role are allowed and stay apart, except the model's.
"""

from __future__ import annotations

from typing import Any

from tollbook.dialects import unsaid
from tollbook.errors import InvalidRequest
from tollbook.responses.tools import call_arguments, flat_name
from tollbook.responses.types import Item, Part
from tollbook.transport.wire import decode

from . import generations, signatures
from .media import inline, media

MADE_CALL = "call_gemini_"
"""How the id of a call begins that Gemini gave without one; such an id is not sent back."""

_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})


class History:
    """Turns items into contents. `unsupported` names content without an equivalent, `notes` what was left out."""

    def __init__(self, items: list[Item], model: str) -> None:
        self.contents: list[dict[str, Any]] = []
        self.system: list[Part] = []
        self.unsupported: list[str] = []
        self.notes: list[str] = []
        self.server_side = False
        """Whether parts of server-side tools are in it."""

        self._items = items
        self._multimodal_results = generations.version(model) >= (3, 0)
        self._results: list[Part] | None = None
        self._shown: list[Part] = []
        self._turn = 0
        self._stand_ins = 0
        self._names: dict[str, str] = {}
        self._seals = [signatures.unseal(i) if i.get("type") == "reasoning" else None for i in items]
        self._call_signatures = {
            str(s.get("call_id")): signature
            for s in self._seals
            if s and s.get("for") == "call" and (signature := signatures.signature_of(s))
        }
        for index, item in enumerate(items):
            self._item(index, item, f"input[{index}]")
        self._show()
        if self._multimodal_results:
            self._sign_foreign_calls()

    def _item(self, index: int, item: Item, where: str) -> None:
        kind = str(item.get("type") or "message")
        if kind not in ("function_call_output", "custom_tool_call_output"):
            self._show()
        if kind == "message":
            self._message(index, item, where)
        elif kind == "reasoning":
            self._reasoning(index, item)
        elif kind in ("function_call", "custom_tool_call"):
            self._call(item, where)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._result(item, where)
        elif kind == "image_generation_call":
            self._image(index, item)
        elif kind in unsaid.HOSTED:
            # Sealed parts of the same turn say what it did; a call of somebody else's tool has no place here.
            if self._stand_ins:
                self._stand_ins -= 1
            elif not self._sealed_later(index):
                self.notes.append(f"{kind}: left out")
        else:
            self.unsupported.append(f"{where}.type={kind}")

    # ------------------------------------------------------------------------------------------------------ messages

    def _message(self, index: int, item: Item, where: str) -> None:
        role = item.get("role") or "user"
        content = item.get("content")
        if role in ("system", "developer"):
            if self.contents:
                self.notes.append(f"{where}.role: adapted (moved to the system instruction)")
            self.system += self._parts(content, f"{where}.content", texts_only=True)
        elif role == "assistant":
            self._answer(index, content, where)
        elif role == "user":
            self._content("user", self._parts(content, f"{where}.content"))
        else:
            self.unsupported.append(f"{where}.role={role}")

    def _answer(self, index: int, content: Any, where: str) -> None:
        marks = self._marks(index)
        parts = self._parts(content, f"{where}.content")
        if marks and all(part.keys() == {"text"} for part in parts):
            parts = signatures.signed_text("".join(part["text"] for part in parts), marks)
        self._model().extend(part for part in parts if part.get("text") != "" or "thoughtSignature" in part)

    def _marks(self, index: int) -> list[tuple[str, Any]]:
        """Signatures of the message at `index`: in the seal right before it, and in those right after."""
        marks = []
        before = self._seals[index - 1] if index else None
        if before and before.get("for") == "text":
            marks.append((signatures.signature_of(before), before.get("span")))
        for after in self._seals[index + 1 :]:
            if after is None or after.get("for") != "said":
                break
            marks.append((signatures.signature_of(after), after.get("span")))
        return [(signature, span) for signature, span in marks if signature]

    def _parts(self, content: Any, where: str, *, texts_only: bool = False) -> list[Part]:
        if isinstance(content, str):
            return [{"text": content}]
        parts: list[Part] = []
        for index, part in enumerate(content if isinstance(content, list) else ()):
            place = f"{where}[{index}]"
            kind = str(part.get("type")) if isinstance(part, dict) else "none"
            if kind in _TEXTS:
                parts.append({"text": str(part.get("text") or "")})
                if unsaid.cites(part):
                    self.notes.append(unsaid.CITATIONS)
            elif kind == "refusal":
                parts.append({"text": str(part.get("refusal") or "")})
            elif kind == "output_audio" and isinstance(part.get("data"), str) and not texts_only:
                parts.append(inline(str(part.get("mime_type") or "audio/wav"), part["data"]))
            elif kind in ("input_image", "input_file", "input_audio") and not texts_only:
                made = media(part)
                if made is not None:
                    parts.append(made)
                else:
                    self.unsupported.append(f"{place}.{_source(part)}")
                if part.get("detail") not in (None, "auto"):
                    self.notes.append(f"{place}.detail: dropped")
            else:
                self.unsupported.append(f"{place}.type={kind}")
            if isinstance(part, dict) and part.get("cache_control") is not None:
                self.notes.append(f"{place}.cache_control: dropped")
        return parts

    # ------------------------------------------------------------------------------------------ reasoning, images

    def _reasoning(self, index: int, item: Item) -> None:
        content = self._seals[index]
        if content is None:
            self.notes.append("reasoning: foreign, left out")
            return
        summary = item.get("summary")
        summary = summary if isinstance(summary, list) else []
        thought = "".join(str(part.get("text") or "") for part in summary if isinstance(part, dict))
        if thought:
            part: Part = {"text": thought, "thought": True}
            signature = signatures.signature_of(content)
            if content.get("for") == "thought" and signature:
                part["thoughtSignature"] = signature
            self._model().append(part)
        elif content.get("for") == "thought" and (signature := signatures.signature_of(content)):
            self._model().append({"text": "", "thought": True, "thoughtSignature": signature})
        parts = content.get("parts")
        if content.get("for") == "parts" and isinstance(parts, list):
            self._model().extend(part for part in parts if isinstance(part, dict))
            self.server_side = self.server_side or any("toolCall" in part for part in parts if isinstance(part, dict))
        elif content.get("for") in ("text", "said") and not self._marks_message(index, content):
            self._model().extend(signatures.signed_text("", [(signatures.signature_of(content) or "", None)]))

    def _marks_message(self, index: int, content: dict[str, Any]) -> bool:
        """Whether the message is there that the seal at `index` speaks of; it may have been empty, or be gone."""
        if content.get("for") == "text":
            return _is_answer(self._items[index + 1]) if index + 1 < len(self._items) else False
        while index and (before := self._seals[index - 1]) and before.get("for") == "said":
            index -= 1
        return index > 0 and _is_answer(self._items[index - 1])

    def _sealed_later(self, index: int) -> bool:
        """Whether the parts that stand for the hosted call at `index` come in the next seal, which closes their run."""
        for offset, item in enumerate(self._items[index + 1 :], index + 1):
            content = self._seals[offset]
            if content is not None and content.get("for") == "parts":
                items = content.get("items")
                self._stand_ins = items - 1 if isinstance(items, int) and items > 0 else 0
                return True
            if str(item.get("type")) not in unsaid.HOSTED:
                return False
        return False

    def _image(self, index: int, item: Item) -> None:
        result = item.get("result")
        if not isinstance(result, str) or not result:
            self.notes.append("image_generation_call: left out")
            return
        part = inline(f"image/{item.get('output_format') or 'png'}", result)
        before = self._seals[index - 1] if index else None
        if before and before.get("for") == "image" and (signature := signatures.signature_of(before)):
            part["thoughtSignature"] = signature
        self._model().append(part)

    # ------------------------------------------------------------------------------------------------ calls, results

    def _call(self, item: Item, where: str) -> None:
        name = flat_name(str(item.get("name") or ""), item.get("namespace"))
        call_id = str(item.get("call_id") or "")
        self._names[call_id] = name
        try:
            arguments = decode(str(call_arguments(item)))
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            # The call was cut by a limit; Gemini takes only objects.
            self.notes.append(f"{where}.arguments: dropped (not a JSON object)")
            arguments = {}
        part: Part = {"functionCall": {"name": name, "args": arguments, **_identified(call_id)}}
        if call_id in self._call_signatures:
            part["thoughtSignature"] = self._call_signatures[call_id]
        self._model().append(part)

    def _result(self, item: Item, where: str) -> None:
        call_id = str(item.get("call_id") or "")
        name = self._names.get(call_id)
        if name is None:
            raise InvalidRequest(f"No tool call found for the output with call_id {call_id!r}.", param=where)
        output = item.get("output")
        texts: list[str] = []
        shown: list[Part] = []
        for part in [{"text": output}] if isinstance(output, str) else self._parts(output, f"{where}.output"):
            if "text" in part:
                texts.append(part["text"])
            else:
                shown.append(part)
        result: dict[str, Any] = {"name": name, "response": _response("\n".join(texts)), **_identified(call_id)}
        if self._multimodal_results:
            if shown:
                result["parts"] = shown
        else:
            self._shown += shown
        if self._results is None:
            self._results = []
            self.contents.append({"role": "user", "parts": self._results})
        self._results.append({"functionResponse": result})

    def _show(self) -> None:
        """End the results. Images in them follow as the user's, where functionResponse has no parts (before Gemini 3)."""
        self._results = None
        if self._shown:
            self.contents.append({"role": "user", "parts": self._shown})
            self._shown = []

    # ------------------------------------------------------------------------------------------------------ contents

    def _content(self, role: str, parts: list[Part]) -> None:
        if parts:
            self.contents.append({"role": role, "parts": parts})
            self._turn = len(self.contents)

    def _model(self) -> list[Part]:
        if not self.contents or self.contents[-1]["role"] != "model":
            self.contents.append({"role": "model", "parts": []})
        parts: list[Part] = self.contents[-1]["parts"]
        return parts

    def _sign_foreign_calls(self) -> None:
        """Gemini 3 checks the first call of each step of the present turn, and only there."""
        for content in self.contents[self._turn :]:
            first = next((part for part in content["parts"] if "functionCall" in part), None)
            if first is not None and "thoughtSignature" not in first:
                first["thoughtSignature"] = signatures.UNSIGNED


def _is_answer(item: Item) -> bool:
    return (item.get("type") or "message") == "message" and item.get("role") == "assistant"


def _identified(call_id: str) -> dict[str, str]:
    return {"id": call_id} if call_id and not call_id.startswith(MADE_CALL) else {}


def _response(text: str) -> dict[str, Any]:
    """A functionResponse is an object; without the keys "output" and "error" the whole of it is what the function said
    (https://ai.google.dev/api/caching#FunctionResponse), so only other texts and objects need to be wrapped."""
    try:
        value = decode(text)
    except ValueError:
        return {"output": text}
    if not isinstance(value, dict):
        return {"output": text}
    return {"output": value} if "output" in value and len(value) > 1 else value


def _source(part: Part) -> str:
    """Which field of a media part holds what Gemini cannot read."""
    names = ("file_id", "image_url", "file_url", "file_data", "input_audio")
    return next((name for name in names if part.get(name)), "type=" + str(part.get("type")))
