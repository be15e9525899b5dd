"""How hosts of Chat Completions differ, as data. A new host is a row of these, not code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SAMPLING = frozenset(
    {"stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "modalities", "audio", "prediction"}
)
"""Chat Completions parameters that the Responses API lacks; a client sends them as extra fields."""

HOST_SAMPLING = SAMPLING | {"user", "top_k", "top_a", "min_p", "typical_p", "repetition_penalty", "thinking"}
"""The same where open models are served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """One host's way of speaking Chat Completions. The defaults fit an unknown host that serves open models."""

    host: str = "The Chat Completions API"
    """Its name in messages for people."""
    maker: str = "chat"
    """Its name on sealed reasoning: only the same host gets it back."""
    max_tokens: str = "max_tokens"
    """The field for `max_output_tokens`."""
    developer: bool = False
    """Whether it knows the role `developer`; elsewhere that is a `system` message."""
    alternates: bool = False
    """Whether it refuses two turns of one role in a row (chat templates of open models); they are merged."""
    stream_options: bool = True
    """Whether `stream_options.include_usage` may be sent."""
    parallel_tool_calls: bool = True
    """Whether it knows the parameter `parallel_tool_calls`."""
    json_schema: bool = True
    """Whether `response_format` takes a schema; elsewhere JSON mode is asked for and the schema is told in words."""
    effort: Literal["effort", "object", "thinking", "switch", "template", "none"] = "effort"
    """How `reasoning.effort` is said: `reasoning_effort`; `reasoning: {effort}`; `thinking: {type}` beside
    `reasoning_effort`; `enable_thinking`; `chat_template_kwargs.enable_thinking`; not at all."""
    efforts: tuple[str, ...] = ()
    """The efforts it knows; the nearest is taken. Empty: whatever the client says, the host judges."""
    returns_reasoning: Literal["", "reasoning_content", "reasoning", "parts", "tags"] = ""
    """Where it wants its own earlier reasoning text in assistant messages; "" where it must not be sent."""
    reasoning_details: bool = False
    """Whether it takes `reasoning_details` back (https://openrouter.ai/docs/use-cases/reasoning-tokens)."""
    think_tags: bool = False
    """Whether the text begins with `<think>...</think>` that is reasoning, not answer."""
    cache_control: bool = False
    """Whether content parts and tools may carry Anthropic's `cache_control`."""
    file: Literal["", "file", "file_url", "document_url"] = "file"
    """The kind of part for documents; "" where there is none."""
    file_urls: bool = False
    """Whether it fetches documents by URL itself."""
    file_ids: bool = False
    """Whether files can be named by an id of its own Files API."""
    audio: Literal["", "object", "base64"] = "object"
    """Whether `input_audio` is `{data, format}`, just the base64, or unknown."""
    web_search: Literal["", "options", "openrouter"] = ""
    """How a hosted web search is asked for: `web_search_options`, or OpenRouter's server tool."""
    own_tools: str = ""
    """Prefix of tool types that are the host's own and pass untouched ("openrouter:")."""
    passes: frozenset[str] = HOST_SAMPLING
    """Further parameters it knows by the same name."""


OPENAI = Manner(
    host="OpenAI Chat Completions",
    max_tokens="max_completion_tokens",
    developer=True,
    file_ids=True,
    web_search="options",
    passes=SAMPLING
    | {
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "service_tier",
        "verbosity",
        "web_search_options",
        "moderation",
    },
)
"""https://platform.openai.com/docs/api-reference/chat/create"""
