"""Reasoning in Chat Completions: plain text under several names, OpenRouter's details, tags in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DETAILS = "openrouter"
"""Maker of sealed `reasoning_details`. The form is OpenRouter's; Vercel, Snowflake and doubleword have taken it over,
and each detail names in `format` whose model can read it (https://openrouter.ai/docs/use-cases/reasoning-tokens)."""

SIGNATURE = "gemini-compatible"
"""Maker of sealed thought signatures of Gemini's OpenAI-compatible endpoint."""


def text_of(said: dict[str, Any], details: Sequence[dict[str, Any]]) -> tuple[str, bool]:
    """The reasoning text of a delta, and whether it is a summary. Hosts say the same text under two or three names."""
    types = [detail.get("type") for detail in details]
    is_summary = "reasoning.summary" in types and "reasoning.text" not in types
    for name in ("reasoning_content", "reasoning"):
        text = said.get(name)
        if isinstance(text, str) and text:
            return text, is_summary
    texts = (detail.get("summary" if is_summary else "text") for detail in details)
    return "".join(text for text in texts if isinstance(text, str)), is_summary


class Details:
    """`reasoning_details` put together again: pieces of one detail share type and index, signatures come last."""

    def __init__(self) -> None:
        self._details: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._details)

    def feed(self, details: Sequence[dict[str, Any]]) -> None:
        for detail in details:
            last = self._details[-1] if self._details else None
            if last is not None and last.get("data") is None and _same(last, detail):
                for name, value in detail.items():
                    if name in ("text", "summary") and isinstance(value, str):
                        last[name] = (last.get(name) or "") + value
                    elif value not in (None, ""):
                        last[name] = value
            else:
                self._details.append({n: v for n, v in detail.items() if v not in (None, "")})

    def begins_part(self, details: Sequence[dict[str, Any]]) -> bool:
        """Whether the first of these is another detail than the last one so far."""
        return bool(details and self._details) and not _same(self._details[-1], details[0])

    def take(self) -> list[dict[str, Any]]:
        """The details since the last time."""
        details, self._details = self._details, []
        return details


def _same(last: dict[str, Any], detail: dict[str, Any]) -> bool:
    return last.get("type") == detail.get("type") and last.get("index") == detail.get("index")


class ThinkTags:
    """Splits `<think>reasoning</think>answer` that arrives in pieces; only a tag at the very beginning counts."""

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self) -> None:
        self._held = ""
        self._state = "before"

    def feed(self, text: str) -> tuple[str, str]:
        """The reasoning and the answer in `text`; what may be half a tag is held back."""
        held, thought = self._held + text, ""
        self._held = ""
        if self._state == "before":
            start = held.lstrip()
            if start.startswith(self._OPEN):
                self._state, held = "opened", start[len(self._OPEN) :]
            elif self._OPEN.startswith(start):
                self._held = held
                return "", ""
            else:
                self._state = "after"
        if self._state == "opened":
            held = held.lstrip("\n")
            if held:
                self._state = "inside"
        if self._state == "inside":
            thought, tag, held = held.partition(self._CLOSE)
            if tag:
                self._state = "closed"
            else:
                cut = _overlap(thought, self._CLOSE)
                self._held, thought = thought[len(thought) - cut :], thought[: len(thought) - cut]
        if self._state == "closed":
            held = held.lstrip("\n")
            if held:
                self._state = "after"
        return thought, held

    def flush(self) -> tuple[str, str]:
        """What is still held when the answer ends."""
        held, self._held = self._held, ""
        return (held, "") if self._state in ("opened", "inside") else ("", held)


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)
