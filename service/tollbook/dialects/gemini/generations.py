"""What the generations of Gemini differ in.

https://ai.google.dev/gemini-api/docs/thinking and https://ai.google.dev/gemini-api/docs/openai#thinking
"""

from __future__ import annotations

import re
from typing import Any

_VERSION = re.compile(r"gemini-(\d+)(?:[.-](\d))?(?![\d])")
_NEWEST = (99, 0)


def version(model: str) -> tuple[int, int]:
    """(2, 5) for "gemini-2.5-flash"; (0, 0) for another family. A Gemini alias without a number is the newest one."""
    found = _VERSION.search(model)
    if found:
        return int(found[1]), int(found[2] or 0)
    return _NEWEST if "gemini" in model or model.isdigit() else (0, 0)


# The documented table for OpenAI's `reasoning_effort` on Gemini 2.5.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LARGEST_PRO_BUDGET = 32768
_SMALLEST_PRO_BUDGET = 128
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_WANTED = {"none": 0, "minimal": 0, "low": 1, "medium": 2, "high": 3, "xhigh": 3, "max": 3}


def thinking(model: str, effort: Any, notes: list[str]) -> dict[str, Any]:
    """`thinkingBudget` or `thinkingLevel` for a `reasoning.effort`; empty where the model does not think."""
    generation = version(model)
    if effort is None:
        return {}
    if generation < (2, 5) or effort not in _WANTED:
        notes.append("reasoning.effort: dropped")
        return {}
    if generation < (3, 0):
        return _budget(model, effort, notes)
    # Thinking cannot be switched off from Gemini 3 on; the lowest level is the nearest there is.
    levels = _levels(model, generation)
    wanted = _LEVELS[_WANTED[effort]]
    level = wanted if wanted in levels else levels[0] if wanted == "MINIMAL" else "HIGH"
    if level.lower() != effort:
        notes.append(f"reasoning.effort: adapted (level {level.lower()})")
    return {"thinkingLevel": level}


def _budget(model: str, effort: str, notes: list[str]) -> dict[str, Any]:
    pro = "pro" in model
    if effort == "none":
        if not pro:
            return {"thinkingBudget": 0}
        budget = _SMALLEST_PRO_BUDGET  # "cannot be turned off for Gemini 2.5 Pro"
    else:
        budget = _LARGEST_PRO_BUDGET if pro and effort in ("xhigh", "max") else _BUDGETS[effort]
    notes.append(f"reasoning.effort: adapted ({budget} tokens)")
    return {"thinkingBudget": budget}


def _levels(model: str, generation: tuple[int, int]) -> tuple[str, ...]:
    """The levels a model knows: table "thinking_level" of
    https://cloud.google.com/vertex-ai/generative-ai/docs/thinking."""
    if "pro" in model:
        return ("LOW", "HIGH") if generation == (3, 0) else ("LOW", "MEDIUM", "HIGH")
    return _LEVELS if generation < (3, 7) else _LEVELS[1:]
