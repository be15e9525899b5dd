"""What each Claude takes: data and rules of the documentation, known by the version in the model's name.

Names come from several places and all mean the same models: `claude-3-5-sonnet-20240620`, `claude-sonnet-4-5`,
`claude-opus-4-1@20250805` (Vertex AI), `us.anthropic.claude-haiku-4-5-20251001-v1:0` (Bedrock).
https://platform.claude.com/docs/en/about-claude/models/overview
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

_FAMILY_FIRST = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>\d{1,2})(?:[.-](?P<minor>\d{1,2}))?(?!\d)")
_VERSION_FIRST = re.compile(r"claude-(?P<major>\d{1,2})(?:[.-](?P<minor>\d{1,2}))?-(?P<family>[a-z]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claude:
    """What one model takes."""

    thinking: Literal["none", "budget", "adaptive"]
    """How it is told to think: not at all, with `budget_tokens`, or adaptively with an effort.

    https://platform.claude.com/docs/en/build-with-claude/extended-thinking: from 4.6 on adaptive, from 4.7 on only so.
    """
    unasked: Literal["off", "on", "between_tools", "always"]
    """What it does without `thinking`. "on" can be disabled, "between_tools" only lowered to that, "always" not even so.

    https://platform.claude.com/docs/en/models/opus-5-5/migration-guide and the guides of its siblings.
    """
    efforts: tuple[str, ...]
    """Values of `output_config.effort`, least first: https://platform.claude.com/docs/en/build-with-claude/effort."""
    sampling: Literal["both", "one", "none"]
    """Whether temperature and top_p may stand together (up to Opus 4), only one of them (from Opus 4.1 on), or no
    sampling parameter at all (from Opus 4.7 on)."""
    forced_tools: bool
    """Whether `tool_choice` may be `any` or `tool`; the 5.5 generation but Haiku, and Fable and Mythos 5.1, refuse it."""
    schemas: bool
    """Whether `output_config.format` and strict tools exist:
    https://platform.claude.com/docs/en/build-with-claude/structured-outputs."""
    system_turns: bool
    """Whether a system message may stand in the conversation, right behind a user's turn:
    https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages."""
    max_output: int
    """Tokens to allow when the client set no limit: the most the model gives. From 3.7 up to 4.1 it is less, because
    these refuse a prompt that does not fit into the context window together with the limit."""
    bound_thinking: bool
    """Whether a thinking block is good only after the very conversation that it was made in:
    https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks."""


UNKNOWN = Claude(
    thinking="budget",
    unasked="off",
    efforts=(),
    sampling="both",
    forced_tools=True,
    schemas=False,
    system_turns=False,
    max_output=8192,
    bound_thinking=False,
)
"""A name that tells nothing (an ARN, another maker's model behind this API): what was there from the beginning."""


@lru_cache(maxsize=512)
def claude(model: str) -> Claude:
    """What the model of this name takes."""
    name = model.lower()
    found = _FAMILY_FIRST.search(name) or _VERSION_FIRST.search(name)
    if found is not None:
        family, version = found["family"], (int(found["major"]), int(found["minor"] or 0))
    elif "claude-mythos" in name:
        family, version = "mythos", (5, 0)
    else:
        return UNKNOWN
    apart = family in ("fable", "mythos")
    without_sampling = version >= (4, 7) or apart
    return Claude(
        thinking="none" if version < (3, 7) else "budget" if version < (4, 6) else "adaptive",
        unasked=_unasked(family, version),
        efforts=_efforts(version),
        sampling="none" if without_sampling else "one" if version >= (4, 1) else "both",
        forced_tools=not (version >= (5, 1) if apart else version >= (5, 5) and family != "haiku"),
        schemas=version >= (4, 5) or (family, version) == ("opus", (4, 1)),
        system_turns=version >= (4, 8),
        max_output=_max_output(family, version),
        bound_thinking=version >= (5, 1) if apart else version >= (5, 5),
    )


def _unasked(family: str, version: tuple[int, int]) -> Literal["off", "on", "between_tools", "always"]:
    if family in ("fable", "mythos") or (family == "opus" and version >= (5, 5)):
        return "always"
    if family == "sonnet" and version >= (5, 5):
        return "between_tools"
    return "on" if version >= (5, 0) else "off"


def _efforts(version: tuple[int, int]) -> tuple[str, ...]:
    if version < (4, 6):
        return ()
    return ("low", "medium", "high", "max") if version < (4, 7) else ("low", "medium", "high", "xhigh", "max")


def _max_output(family: str, version: tuple[int, int]) -> int:
    if version < (3, 5):
        return 4096
    if version < (3, 7):
        return 8192
    if version < (4, 5):
        return 32000
    return 64000 if version < (4, 6) or (family, version) == ("sonnet", (4, 6)) else 128000
