"""Reasoning effort -> thinking: https://platform.claude.com/docs/en/build-with-claude/effort and .../extended-thinking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tollbook.responses.types import Request

from .claude import Claude
from .remarks import Remarks
from .shape import mapping

SMALLEST_BUDGET = 1024
"""Tokens; less is refused."""

# Thinking tokens for each effort, for models that take a budget and no effort.
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}

_ORDER = ("minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(slots=True)
class Thinking:
    """What the body says: `thinking`, `output_config.effort`, `max_tokens`."""

    max_tokens: int
    field: dict[str, Any] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        """Whether the request asks for thinking; sampling is restricted then."""
        return self.field is not None and self.field.get("type") in ("enabled", "adaptive", "between_tools")


def thinking(request: Request, model: Claude, remarks: Remarks, *, obstacle: str = "") -> Thinking:
    """How this request makes this model think.

    `obstacle` says why thinking by budget is impossible for this conversation ("" when it is not).
    """
    limit = request.get("max_output_tokens")
    max_tokens = limit if isinstance(limit, int) and limit > 0 else model.max_output
    native = request.get("thinking")
    if isinstance(native, dict):
        return _native(native, max_tokens, limited=limit is not None, remarks=remarks)
    reasoning = mapping(request.get("reasoning"))
    for name in sorted(reasoning.keys() - {"effort", "summary", "generate_summary"}):
        if reasoning[name] is not None:
            remarks.dropped(f"reasoning.{name}")
    effort, summary = reasoning.get("effort"), reasoning.get("summary") or reasoning.get("generate_summary")
    wants_summary = summary not in (None, "none")
    if effort is None and not wants_summary:
        return Thinking(max_tokens)
    if effort == "none":
        return _off(model, max_tokens, remarks)
    if effort is not None and effort not in _ORDER:
        remarks.dropped("reasoning.effort", f"{effort!r} is unknown")
        effort = None
    if model.thinking == "none":
        remarks.dropped("reasoning", "this model does not think")
        return Thinking(max_tokens)
    if model.thinking == "adaptive":
        field: dict[str, Any] = {"type": "adaptive"}
        if wants_summary:
            field["display"] = "summarized"  # newer models show nothing unless asked
        return Thinking(max_tokens, field, _nearest(effort, model.efforts, remarks) if effort else None)
    if obstacle:
        remarks.dropped("reasoning", obstacle)
        return Thinking(max_tokens)
    return _budget(effort or "medium", max_tokens, limited=limit is not None, remarks=remarks)


def _off(model: Claude, max_tokens: int, remarks: Remarks) -> Thinking:
    if model.unasked == "on":
        return Thinking(max_tokens, {"type": "disabled"})
    if model.unasked == "between_tools":
        remarks.adapted("reasoning.effort", "between_tools, the least that this model does")
        return Thinking(max_tokens, {"type": "between_tools"})
    if model.unasked == "always":
        remarks.adapted("reasoning.effort", "low, the least that this model does")
        return Thinking(max_tokens, None, "low")
    return Thinking(max_tokens)


def _nearest(effort: str, efforts: tuple[str, ...], remarks: Remarks) -> str:
    """The effort itself, or the next one that is not more; the least where there is none."""
    if effort in efforts:
        return effort
    lower = [e for e in efforts if _ORDER.index(e) < _ORDER.index(effort)]
    chosen = lower[-1] if lower else efforts[0]
    remarks.adapted("reasoning.effort", chosen)
    return chosen


def _budget(effort: str, max_tokens: int, *, limited: bool, remarks: Remarks) -> Thinking:
    """A budget within the limit. The limit counts thinking and answer, here as in Responses, and must be more."""
    budget = min(_BUDGETS[effort], max(SMALLEST_BUDGET, max_tokens // 2))
    remarks.adapted("reasoning.effort", f"budget of {budget} tokens")
    if budget >= max_tokens:
        max_tokens += budget
        if limited:
            remarks.adapted("max_output_tokens", f"{max_tokens}, to leave room beside the smallest budget")
    return Thinking(max_tokens, {"type": "enabled", "budget_tokens": budget})


def _native(field: dict[str, Any], max_tokens: int, *, limited: bool, remarks: Remarks) -> Thinking:
    """Anthropic's own parameter, as the client wrote it; only a limit that it forbids is raised."""
    budget = field.get("budget_tokens")
    if isinstance(budget, int) and budget >= max_tokens:
        max_tokens += budget
        if limited:
            remarks.adapted("max_output_tokens", f"{max_tokens}, more than thinking.budget_tokens")
    return Thinking(max_tokens, dict(field))
