"""What the families of models behind the one Converse API do differently.

A model is known by the words in its id: `us.anthropic.claude-sonnet-4-5-20250929-v1:0`. Behind the ARN of an application
inference profile, a custom or an imported model nothing is known, and nothing particular is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tollbook.dialects.messages.claude import Claude, claude

SMALLEST_BUDGET = 1024
"""Tokens (https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html)."""

# Thinking tokens per effort, for models that take a budget and no effort.
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}

_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")

_ANSWER = 4096
"""Tokens left for the answer when a budget is set and the client gave no limit."""

_WITHOUT_SCHEMAS = (
    "amazon.",
    "meta.",
    "cohere.",
    "ai21.",
    "writer.",
    "deepseek.r1",
    "mistral.mistral-7b",
    "mistral.mixtral",
    "mistral.pixtral",
    "mistral.mistral-large-24",
    "mistral.mistral-small-24",
)


@dataclass(slots=True)
class Thinking:
    """How a model is told to think."""

    fields: dict[str, Any] = field(default_factory=dict)
    """Into `additionalModelRequestFields`."""
    effort: str | None = None
    """Into `outputConfig.effort`."""
    max_tokens: int | None = None
    """The output limit that this needs, where the client gave none."""
    note: str | None = None
    """What became of the effort that was asked for."""
    forbids: frozenset[str] = frozenset()
    """Members of `inferenceConfig` that are refused together with it."""
    budgeted: bool = False
    """Whether the turn that goes on must have begun with a thought of this model."""
    on: bool = False


def maker(model: str) -> str:
    """Who can read the signatures of this model's reasoning: Claude's are good on every platform that has Claude."""
    return "anthropic" if is_claude(model) else "bedrock"


def is_claude(model: str) -> bool:
    return "anthropic." in model or "claude" in model


def is_nova(model: str) -> bool:
    return "amazon.nova" in model


def is_opaque(model: str) -> bool:
    """Whether the id is an ARN that does not name the model."""
    return "arn:" in model and "." not in model.rpartition("/")[2]


def takes_schemas(model: str) -> bool:
    """Whether `outputConfig.textFormat` and strict tools exist for the model.

    https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html: newer Claude and the open-weight models.
    """
    if is_claude(model):
        return claude(model).schemas
    return not is_opaque(model) and not any(family in model for family in _WITHOUT_SCHEMAS)


def takes(model: str) -> Literal["both", "one", "none"]:
    """Whether temperature and top_p are accepted together, one at a time, or not at all."""
    return claude(model).sampling if is_claude(model) else "both"


def forced(model: str) -> Literal["named", "any", "none"]:
    """How far a model can be forced to call tools.

    API reference, ToolChoice: `tool` is "only supported by Anthropic Claude 3 and Amazon Nova models"; guide, supported
    models: Llama and others take no choice, which their refusal says better than we could.
    """
    if is_claude(model):
        return "named" if claude(model).forced_tools else "none"
    return "named" if is_nova(model) or is_opaque(model) else "any"


def answers_by_tool(model: str) -> bool:
    """Whether a JSON schema is best put to the model as a tool that it must call."""
    return not takes_schemas(model) and (is_claude(model) or is_nova(model) or "mistral." in model)


def summarizes(model: str) -> bool:
    """Whether a summary of its reasoning can be asked for: of the others some show all of it, Nova nothing."""
    return is_claude(model) and claude(model).thinking != "none"


def thinking(model: str, effort: str | None, *, summary: bool, max_tokens: int | None) -> Thinking | None:
    """How to ask this model for this much reasoning; None when it has no way to be asked. Without an effort Claude thinks
    as much as it sees fit."""
    if effort not in (None, "none") and effort not in _EFFORTS:
        return None
    if is_claude(model):
        return _claude(claude(model), effort, summary, max_tokens)
    if effort is None:
        return None
    if "nova-2" in model:
        return _nova(effort)
    if "gpt-oss" in model:
        return _flat("low" if effort == "none" else effort, asked=effort)
    if "openai." in model:
        return Thinking({"reasoning": {"effort": effort}}, on=effort != "none")
    if "deepseek.v3" in model or "moonshot" in model:
        # Off unless asked for, or not to be turned off: there is nothing to say either way.
        return Thinking() if effort == "none" else _flat(effort, asked=effort)
    return None


def _claude(model: Claude, effort: str | None, summary: bool, max_tokens: int | None) -> Thinking | None:
    if model.thinking == "none":
        return Thinking() if effort == "none" else None
    if effort == "none":
        return _off(model)
    if model.thinking == "adaptive":
        # Newer models show nothing of it unless asked (https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking).
        display = {"display": "summarized"} if summary else {}
        if effort is None:
            return Thinking({"thinking": {"type": "adaptive", **display}}, on=True)
        level = _nearest(effort, model.efforts)
        note = None if level == effort else f"adapted ({level})"
        return Thinking({"thinking": {"type": "adaptive", **display}}, effort=level, note=note, on=True)
    budget, limit = _BUDGETS[effort or "medium"], None
    if max_tokens is None:
        limit = budget + _ANSWER
    elif max_tokens <= SMALLEST_BUDGET:
        return Thinking(note=f"dropped (max_output_tokens is not above {SMALLEST_BUDGET})")
    else:
        # The budget counts into the limit, and the client's limit is not ours to raise.
        budget = min(budget, max(SMALLEST_BUDGET, max_tokens // 2))
    return Thinking(
        {"thinking": {"type": "enabled", "budget_tokens": budget}},
        max_tokens=limit,
        note=f"adapted (budget of {budget} tokens)",
        # With thinking neither temperature nor top_k may be changed, and top_p only from 0.95 on: the same page.
        forbids=frozenset({"temperature", "topP"}),
        budgeted=True,
        on=True,
    )


def _off(model: Claude) -> Thinking:
    if model.unasked == "on":
        return Thinking({"thinking": {"type": "disabled"}})
    if model.unasked == "between_tools":
        return Thinking(
            {"thinking": {"type": "between_tools"}}, note="adapted (between_tools, the least of this model)"
        )
    if model.unasked == "always":
        return Thinking(effort="low", note="adapted (low, the least of this model)")
    return Thinking()


def _nova(effort: str) -> Thinking:
    """https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html"""
    if effort == "none":
        return Thinking({"reasoningConfig": {"type": "disabled"}})
    level = _nearest(effort, ("low", "medium", "high"))
    return Thinking(
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}},
        note=None if level == effort else f"adapted ({level})",
        forbids=frozenset({"temperature", "topP", "maxTokens"}) if level == "high" else frozenset(),
        on=True,
    )


def _flat(effort: str, *, asked: str) -> Thinking:
    level = _nearest(effort, ("low", "medium", "high"))
    note = None if level == asked else f"adapted ({level})"
    return Thinking({"reasoning_effort": level}, note=note, on=True)


def _nearest(effort: str, efforts: tuple[str, ...]) -> str:
    """The effort itself, or the next one that is not more; the least where there is none."""
    rank = _EFFORTS.index(effort)
    lower = [e for e in efforts if _EFFORTS.index(e) <= rank]
    return lower[-1] if lower else efforts[0]
