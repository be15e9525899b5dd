"""What a recording says, derived from its bytes alone.

`said(recording)` is the expectation that a gateway's answer is held against. It shares no code with the product: each
provider's format is read here a second time, as plainly as its documentation puts it. Where a recording is ambiguous,
the oracle says less (a field that is None is not compared) rather than guess.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Stop = Literal["stop", "tool_calls", "length", "content_filter", "refusal", "error", "queued"]


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of a tool that the client runs. `arguments` is the parsed JSON, or the text where it is none."""

    name: str
    arguments: Any


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What the provider reported. `input` contains the cached and cache-writing tokens, `output` the reasoning ones.

    `cached` is None where the report contradicts itself (more cached than there was input).
    """

    input: int
    output: int
    cached: int | None = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error answer (`status` is the HTTP one) or an error inside a stream (`status` None)."""

    kind: str
    message: str
    status: int | None = None


@dataclass(frozen=True, kw_only=True)
class Said:
    text: str = ""
    """All visible text, joined in order."""
    reasoning: str = ""
    """All reasoning that is shown (raw or summarised), joined in order."""
    calls: tuple[ToolCall, ...] = ()
    citations: frozenset[str] = frozenset()
    """URLs, or titles of sources without one, that an answer's annotations must name."""
    stop: Stop = "stop"
    refusal: str | None = None
    """The words of a refusal; "" when the model refused without any."""
    tokens: Tokens | None = None
    hosted: Mapping[str, int] = field(default_factory=dict)
    """Tool calls that the provider ran itself, by sort: web_search, code, file_search, mcp."""
    failure: Failure | None = None
    truncated: bool = False
    """The recording itself stops before the answer's end."""


def said(recording: Any) -> Said:
    """What this recording says."""
    from . import (
        oracle_anthropic,
        oracle_bedrock,
        oracle_chat,
        oracle_cohere,
        oracle_error,
        oracle_gemini,
        oracle_responses,
    )

    if recording.status >= 400:
        return oracle_error.said(recording)
    api = recording.api
    if api == "openai.chat":
        found = oracle_chat.said(recording)
    elif api == "openai.responses":
        found = oracle_responses.said(recording)
    elif api.startswith(("anthropic.", "vertex.anthropic.")):
        found = oracle_anthropic.said(recording)
    elif api.startswith(("gemini.", "vertex.")):
        found = oracle_gemini.said(recording)
    elif api.startswith("bedrock.converse"):
        found = oracle_bedrock.said(recording)
    elif api.startswith("bedrock.invoke"):
        found = oracle_bedrock.invoked(recording)
    elif api == "cohere.v2.chat":
        found = oracle_cohere.said(recording)
    else:
        raise ValueError(f"no oracle for {api}")
    return settled(found)


def settled(found: Said) -> Said:
    """The stop reason as a client of the Responses API can see it.

    Responses has no word for "stopped in order to call a tool": whether an answer that ended well holds calls says it.
    """
    stop = found.stop
    if found.failure is not None or found.truncated:
        stop = "error"
    elif stop in ("stop", "tool_calls", "refusal"):
        stop = "refusal" if found.refusal is not None else "tool_calls" if found.calls else "stop"
    return replace(found, stop=stop)


def call(name: str, arguments: Any) -> ToolCall:
    """A call whose arguments came as JSON text or as a value. Nothing at all, and null, are no arguments: `{}`."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except ValueError:
            return ToolCall(name=name, arguments=arguments)
    return ToolCall(name=name, arguments={} if arguments is None else arguments)


def number(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0


def tally(sorts: Iterable[str]) -> dict[str, int]:
    return dict(Counter(sorts))
