"""A Responses request -> the body of POST /v1/messages."""

from __future__ import annotations

from typing import Any

from tollbook.dialects import Written, unsaid
from tollbook.responses.types import Request

from .claude import Claude, claude
from .conversation import Conversation, conversation
from .media import Block, text
from .remarks import Remarks
from .schema import ANSWER_TOOL, closed
from .shape import mapping, sequence, string
from .thinking import Thinking, thinking
from .tools import Toolbox, toolbox

# Read here or in the modules beside.
_READ = frozenset(
    {
        "input",
        "instructions",
        "max_output_tokens",
        "model",
        "parallel_tool_calls",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "stop",
        "stop_sequences",
        "stream",
        "temperature",
        "text",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user",
        "anthropic_beta",
        "betas",
        "cache_control",
        "container",
        "context_management",
        "mcp_servers",
        "output_config",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)

# The gateway's own business.
_OURS = frozenset(
    {
        "background",
        "client_metadata",
        "conversation",
        "include",
        "litellm_metadata",
        "metadata",
        "previous_response_id",
        "store",
        "stream_options",
        "tags",
    }
)

# Anthropic's own parameters that pass as they are.
_PASSED = frozenset({"cache_control", "inference_geo", "speed", "fallbacks"})

_JSON_ONLY = "Answer with one JSON object and nothing else."

_NOT_CACHED = ("thinking", "redacted_thinking")

_COMPACTION_BETA = "compact-2026-01-12"
_BINDING_BETA = "thinking-binding-controls-2026-08-01"


def write(request: Request, model: str, *, drop: bool = False) -> Written:
    """The body for `model`; raises Unsupported naming all content that Messages has no words for, unless `drop`."""
    takes = claude(model)
    remarks = Remarks(drop)
    told = conversation(request, remarks, system_turns=takes.system_turns)
    box = toolbox(request, takes, remarks)
    output_format = _output_format(request, takes, told, box, remarks)
    thoughts = _thinking(request, takes, told, box, remarks)
    if request.get("prompt"):
        remarks.unsupported("prompt")
    if unsaid.wants_logprobs(request):
        remarks.dropped(f"include.{unsaid.LOGPROBS}")
    remarks.settle()

    body: dict[str, Any] = {"model": model, "max_tokens": thoughts.max_tokens}
    _cache(request, told, remarks)
    if told.system:
        body["system"] = _plain(told.system)
    body["messages"] = [{"role": turn["role"], "content": _plain(turn["content"])} for turn in told.turns]
    if box.tools:
        body["tools"] = box.tools
    if box.choice is not None:
        body["tool_choice"] = box.choice
    servers = [*box.mcp_servers, *sequence(request.get("mcp_servers"))]
    if servers:
        body["mcp_servers"] = servers
    if thoughts.field is not None:
        body["thinking"] = thoughts.field
    config: dict[str, Any] = dict(mapping(request.get("output_config")))
    if thoughts.effort is not None:
        config.setdefault("effort", thoughts.effort)
    if output_format is not None:
        config.setdefault("format", output_format)
    if config:
        body["output_config"] = config
    _tuning(request, takes, thoughts, body, remarks)
    container = request.get("container") or box.container or told.container
    if container:
        body["container"] = container
    for flag in [*sequence(request.get("betas")), *string(request.get("anthropic_beta")).split(",")]:
        if string(flag).strip():
            remarks.beta(flag.strip())
    if request.get("stream"):
        body["stream"] = True
    headers = {"anthropic-beta": ",".join(remarks.betas)} if remarks.betas else {}
    return Written(body, remarks.notes, headers)


def _thinking(request: Request, model: Claude, told: Conversation, box: Toolbox, remarks: Remarks) -> Thinking:
    obstacle = ""
    if box.forced:
        obstacle = "a tool is forced, and both together are refused"
    elif told.unthought_loop:
        obstacle = "this turn was begun without"
    thoughts = thinking(request, model, remarks, obstacle=obstacle)
    if model.bound_thinking and told.thought:
        if thoughts.field is not None and thoughts.field.get("type") not in ("adaptive", "enabled"):
            # Thinking that was bound to a conversation is refused where thinking is off.
            told.forget_thinking()
            remarks.left_out("reasoning", "not with thinking off")
        else:
            # Instructions and tools may change between our requests; what no longer fits is ignored, not refused.
            field = thoughts.field or {"type": "adaptive"}
            field.setdefault("block_binding", {"prefix_mismatch_behavior": "drop_block"})
            thoughts.field = field
            remarks.beta(_BINDING_BETA)
    return thoughts


def _output_format(
    request: Request, model: Claude, told: Conversation, box: Toolbox, remarks: Remarks
) -> dict[str, Any] | None:
    """`text.format`: native where the model has structured outputs, else a hidden tool whose arguments are the answer."""
    settings = mapping(request.get("text"))
    if settings.get("verbosity") not in (None, "medium"):
        remarks.dropped("text.verbosity")
    wanted = mapping(settings.get("format"))
    if wanted.get("type") == "json_object":
        remarks.adapted("text.format", "an instruction")
        told.system.append({"type": "text", "text": _JSON_ONLY})
        return None
    if wanted.get("type") != "json_schema":
        return None
    schema = mapping(wanted.get("schema")) or {"type": "object"}
    if model.schemas:
        changed: set[str] = set()
        schema = closed(unsaid.described(schema, wanted.get("description")), changed)
        if changed:
            remarks.adapted("text.format.schema", ", ".join(sorted(changed)))
        return {"type": "json_schema", "schema": schema}
    remarks.adapted("text.format", "a tool that takes the answer")
    description = wanted.get("description") or "Give your final answer by calling this tool."
    only = not box.tools or (box.choice or {}).get("type") == "none"
    box.tools.append({"name": ANSWER_TOOL, "description": description, "input_schema": schema})
    if only:
        box.choice = {"type": "tool", "name": ANSWER_TOOL}
    elif not box.forced:
        box.choice = {**(box.choice or {}), "type": "any"}
    return None


def _tuning(request: Request, model: Claude, thoughts: Thinking, body: dict[str, Any], remarks: Remarks) -> None:
    _sampling(request, model, thoughts, body, remarks)
    stops = request.get("stop_sequences") or request.get("stop")
    if stops:
        body["stop_sequences"] = [stops] if isinstance(stops, str) else stops
    user = request.get("safety_identifier") or request.get("user")
    if user:
        body["metadata"] = {"user_id": user}
    tier = request.get("service_tier")
    if tier in ("auto", "priority"):
        body["service_tier"] = "auto"
    elif tier in ("default", "standard_only"):
        body["service_tier"] = "standard_only"
    elif tier is not None:
        remarks.dropped("service_tier", f"no tier {tier!r}")
    management = request.get("context_management")
    if isinstance(management, dict):
        body["context_management"] = management
    elif management:
        body["context_management"] = {"edits": [_compaction(edit, remarks) for edit in sequence(management)]}
    for name, value in request.items():
        if value is None or name in _OURS:
            continue
        if name in _PASSED:
            body[name] = value
        elif name not in _READ and not (name == "truncation" and value == "disabled"):
            remarks.dropped(name)


def _sampling(request: Request, model: Claude, thoughts: Thinking, body: dict[str, Any], remarks: Remarks) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/extended-thinking, "feature compatibility"."""
    names = ("temperature", "top_p", "top_k")
    given = {name: request[name] for name in names if isinstance(request.get(name), (int, float))}
    if model.sampling == "none":
        for name in given:
            remarks.dropped(name, "not on this model")
        return
    if thoughts.on:
        # With thinking, temperature is 1, top_k is not set and top_p is between 0.95 and 1.
        refused = {"temperature": given.get("temperature") != 1, "top_k": True, "top_p": given.get("top_p", 1) < 0.95}
        for name in [n for n in given if refused[n]]:
            remarks.dropped(name, "not together with thinking")
            del given[name]
    if given.get("temperature", 0) > 1:
        remarks.adapted("temperature", "1, the highest")
        given["temperature"] = 1
    if model.sampling == "one" and "temperature" in given and "top_p" in given:
        remarks.dropped("top_p", "not together with temperature on this model")
        del given["top_p"]
    body.update(given)


def _compaction(edit: Any, remarks: Remarks) -> Any:
    """OpenAI's `{"type": "compaction", "compact_threshold": n}` as Anthropic's edit; anything else as it is.

    https://platform.claude.com/docs/en/build-with-claude/compaction
    """
    if not isinstance(edit, dict) or edit.get("type") != "compaction":
        return edit
    remarks.beta(_COMPACTION_BETA)
    written: dict[str, Any] = {"type": "compact_20260112"}
    if isinstance(edit.get("compact_threshold"), int):
        written["trigger"] = {"type": "input_tokens", "value": edit["compact_threshold"]}
    return written


def _cache(request: Request, told: Conversation, remarks: Remarks) -> None:
    """`prompt_cache_key` asks for a cached prompt; here that is a breakpoint behind the last block.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching. A client that sets breakpoints itself knows better.
    """
    retention = request.get("prompt_cache_retention")
    if not request.get("prompt_cache_key"):
        if retention is not None:
            remarks.dropped("prompt_cache_retention")
        return
    blocks: list[Block] = [*told.system, *(b for turn in told.turns for b in turn["content"])]
    tools = request.get("tools") or ()
    if request.get("cache_control") or any("cache_control" in b for b in (*blocks, *tools)):
        remarks.dropped("prompt_cache_key", "the request has its own breakpoints")
        return
    last = next((b for b in reversed(blocks) if b["type"] not in _NOT_CACHED), None)
    if last is None:
        return
    last["cache_control"] = {"type": "ephemeral", "ttl": "1h"} if retention == "24h" else {"type": "ephemeral"}
    remarks.adapted("prompt_cache_key", "a cache breakpoint behind the last block")


def _plain(blocks: list[Block]) -> str | list[Block]:
    """A lone text as a string, as people write it; anything else as blocks."""
    if len(blocks) == 1 and blocks[0] == text(blocks[0].get("text")):
        return str(blocks[0]["text"])
    return blocks
