"""Call -> attributes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal, TypeAlias

from tollbook.call import Attempt, Call
from tollbook.config import TelemetrySettings
from tollbook.errors import UpstreamError

from . import costs, names

Value: TypeAlias = str | int | float | bool | tuple[str, ...]
Attributes: TypeAlias = dict[str, Value]

_MOST_TAGS = 8
_LONGEST = 512
"""Characters of a value that comes from outside, such as an id."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How attributes are told, where there is a choice; see `TelemetrySettings`."""

    cost_attributes: tuple[str, ...] = ("gen_ai.usage.cost",)
    cache_write_names: Literal["new", "old", "both"] = "both"
    inference_span: Literal["full", "no_usage", "off"] = "full"
    tags: tuple[str, ...] | None = None
    """Names of tags that may be told; None tells the first eight."""

    @classmethod
    def of(cls, settings: TelemetrySettings) -> Manner:
        return cls(settings.cost_attributes, settings.cache_write_names, settings.inference_span, settings.tags or None)


def provider_name(provider: str) -> str:
    """The convention's name for one of our providers."""
    return names.PROVIDERS.get(provider, provider)


def inference(call: Call, manner: Manner) -> Attributes:
    """Everything about a finished create: request, response, tokens by kind, cost by line, routing, timing."""
    found: Attributes = {
        names.OPERATION: names.OPERATIONS[call.operation],
        names.REQUEST_MODEL: call.model,
        names.OUTCOME: call.outcome or "failed",
        names.ATTEMPTS: len(call.attempts),
        names.RETRIES: sum(a.reason == "retry" for a in call.attempts),
        names.API_TYPE: "responses",
        names.LAYER: "gateway",
        names.CALL_ID: call.id,
    }
    prompt, version = call.prompt or (None, None)
    optional: tuple[tuple[str, Value | None], ...] = (
        (names.REQUEST_STREAM, call.stream or None),
        (names.REQUEST_MAX_TOKENS, call.max_output_tokens),
        (names.REQUEST_TEMPERATURE, call.temperature),
        (names.REQUEST_TOP_P, call.top_p),
        (names.REQUEST_REASONING, call.reasoning_effort),
        (names.REQUEST_TIER, call.requested_tier if call.requested_tier != "auto" else None),
        (names.PREVIOUS_RESPONSE, _short(call.previous_response_id)),
        (names.CONVERSATION_ID, _short(call.conversation_id)),
        (names.PROMPT_NAME, _short(prompt)),
        (names.PROMPT_VERSION, _short(version)),
        (names.COMPACTED, _compacted(call) or None),
        (names.OUTPUT_TYPE, call.output_type),
        (names.RESPONSE_ID, call.response_id),
        (names.SESSION_ID, call.session_id),
        (names.KEY_ID, call.key_id or None),
        (names.TEAM, call.team),
        (names.USER_HASH, user_hash(call)),
        (names.POLICY, call.policy),
        (names.CONTINUITY, call.continuity),
        (names.NOTES, tuple(call.notes) or None),
        (names.ERROR_TYPE, error_type(call)),
        (names.FINISH_REASONS, (finish_reason(call),) if call.attempts else None),
    )
    found.update((name, value) for name, value in optional if value is not None)
    found.update(_tuning(call.request))
    found.update(tags(call, manner.tags))
    attempt = call.attempt
    if attempt is not None:
        found.update(_answer(call, attempt))
        if manner.inference_span == "full":
            found.update(_usage(attempt, manner.cache_write_names))
            found.update(costs.told(call, manner.cost_attributes))
    return found


def _answer(call: Call, attempt: Attempt) -> Attributes:
    found: Attributes = {
        names.PROVIDER: provider_name(attempt.provider),
        names.DEPLOYMENT: attempt.deployment,
        names.SERVER_ADDRESS: attempt.host,
        names.SERVER_PORT: attempt.port,
        names.USAGE_SOURCE: attempt.usage.source,
    }
    if attempt.served_model:
        found[names.RESPONSE_MODEL] = attempt.served_model[:_LONGEST]
    if attempt.service_tier:
        found[names.RESPONSE_TIER] = attempt.service_tier
    if call.stream:
        if call.first_output:
            found[names.TIME_TO_FIRST_CHUNK] = (call.first_output - call.started) / 1e9
        found[names.STREAM_CHUNKS] = call.events
        found[names.STREAM_BYTES] = call.bytes_out
        found[names.LONGEST_GAP] = call.longest_gap / 1e9
    fallbacks = sum(a.reason == "fallback" for a in call.attempts)
    if fallbacks:
        found[names.FALLBACKS] = fallbacks
        found[names.FALLBACK_FROM] = call.attempts[0].model
        found[names.REQUESTED_MODEL] = call.model
    found[names.OVERHEAD] = overhead(call) * 1000
    return found


def _usage(attempt: Attempt, cache_write_names: str) -> Attributes:
    """Tokens. Input and output are totals; all others are parts of them, never to be added (GenAI conventions)."""
    usage = attempt.usage
    if usage.source == "none":
        return {}
    written = usage.cache_write + usage.cache_write_1h
    found: Attributes = {
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
        names.CACHE_READ_TOKENS: usage.cache_read + usage.cache_read_audio,
        names.REASONING_TOKENS: usage.reasoning,
        names.CACHE_HIT: bool(usage.cache_read or usage.cache_read_audio),
    }
    if cache_write_names != "old":
        found[names.CACHE_WRITE_TOKENS] = written
    if cache_write_names != "new":
        found[names.CACHE_WRITE_TOKENS_OLD] = written
    modal = (
        (names.AUDIO_INPUT_TOKENS, usage.input_audio + usage.cache_read_audio),
        (names.AUDIO_OUTPUT_TOKENS, usage.output_audio),
        (names.AUDIO_CACHE_READ_TOKENS, usage.cache_read_audio),
        (names.IMAGE_INPUT_TOKENS, usage.input_image),
        (names.IMAGE_OUTPUT_TOKENS, usage.output_image),
    )
    found.update((name, tokens) for name, tokens in modal if tokens)
    return found


def overhead(call: Call) -> float:
    """Seconds of the call in which no provider was waited for: from its first byte to its end, without its attempts and
    the waits between them. What is done while an attempt runs (translating, passing on) is not counted."""
    ended = call.ended or call.started
    spent = ended - call.started
    reached = call.started
    for attempt in call.attempts:  # in the order of their beginnings; a hedge overlaps another
        begun = max(attempt.started - int(attempt.backoff * 1e9), reached)
        until = max(attempt.ended or ended, begun)
        spent -= until - begun
        reached = max(reached, until)
    return max(spent, 0) / 1e9


def tags(call: Call, allowed: tuple[str, ...] | None) -> Attributes:
    """Tags as `tollbook.tag.<name>`: those that say `name=value` by their name, the others by their number.

    With names that are allowed, only those. At most eight; the books have all.
    """
    found: Attributes = {}
    for number, tag in enumerate(call.tags):
        name, equals, value = tag.partition("=")
        named = bool(equals) and _fits(name)
        if allowed is not None and (not named or name not in allowed):
            continue
        if len(found) == _MOST_TAGS:
            break
        found[names.TAG + (name if named else str(number))] = value if named else tag
    return found


def _fits(name: str) -> bool:
    return 0 < len(name) <= 64 and all(character.isalnum() or character in "._-" for character in name)


def _compacted(call: Call) -> bool:
    """Whether the conversation was shortened: a compaction item came in or went out."""
    items = [*(call.response.get("output") or ())]
    given = call.request.get("input")
    if isinstance(given, list):
        items += given
    return any(isinstance(item, Mapping) and item.get("type") == "compaction" for item in items)


def _tuning(request: Mapping[str, Any]) -> Attributes:
    """Parameters that are not of the Responses API and that providers take all the same."""
    found: Attributes = {}
    for name, key, kinds in (
        (names.REQUEST_SEED, "seed", (int,)),
        (names.REQUEST_TOP_K, "top_k", (int,)),
        (names.REQUEST_FREQUENCY_PENALTY, "frequency_penalty", (int, float)),
        (names.REQUEST_PRESENCE_PENALTY, "presence_penalty", (int, float)),
    ):
        value = request.get(key)
        if isinstance(value, kinds) and not isinstance(value, bool):
            found[name] = value
    stop = request.get("stop")
    if isinstance(stop, list) and stop and all(isinstance(each, str) for each in stop):
        found[names.REQUEST_STOP] = tuple(each[:_LONGEST] for each in stop[:8])
    return found


def fetch(call: Call) -> Attributes:
    """A stored response that was read: never with usage, or every poll would be billed again."""
    found: Attributes = {
        names.OPERATION: names.OPERATIONS["get"],
        names.LAYER: "gateway",
        names.CALL_ID: call.id,
        names.OUTCOME: call.outcome or "failed",
    }
    response = call.response
    optional: tuple[tuple[str, Value | None], ...] = (
        (names.PROVIDER, provider_name(call.provider) if call.provider else None),
        (names.RESPONSE_ID, call.response_id),
        (names.RESPONSE_STATUS, _short(response.get("status"))),
        (names.RESPONSE_MODEL, _short(response.get("model"))),
        (names.REQUEST_STREAM, call.stream or None),
        (names.SESSION_ID, call.session_id),
        (names.KEY_ID, call.key_id or None),
        (names.TEAM, call.team),
        (names.ERROR_TYPE, error_type(call)),
    )
    found.update((name, value) for name, value in optional if value is not None)
    return found


def attempt(record: Attempt) -> Attributes:
    """One HTTP request to a provider."""
    found: Attributes = {
        names.HTTP_METHOD: "POST",
        names.SERVER_ADDRESS: record.host,
        names.SERVER_PORT: record.port,
        names.ATTEMPT_NUMBER: record.number,
        names.ATTEMPT_PROVIDER: record.provider,
        names.ATTEMPT_MODEL: record.model,
        names.ATTEMPT_REASON: record.reason,
        names.DEPLOYMENT: record.deployment,
    }
    if record.outcome:
        found[names.ATTEMPT_OUTCOME] = record.outcome
    if record.number > 1:
        found[names.HTTP_RESEND] = record.number - 1
    if record.backoff:
        found[names.ATTEMPT_BACKOFF] = record.backoff * 1000
    if record.status_code is not None:
        found[names.HTTP_STATUS] = record.status_code
    if record.upstream_request_id:
        found[names.ATTEMPT_REQUEST_ID] = record.upstream_request_id[:_LONGEST]
    if record.first_byte is not None:
        found[names.ATTEMPT_TTFB] = (record.first_byte - record.started) / 1e6
    if record.error_kind:
        found[names.ERROR_TYPE] = record.error_kind
    if record.usage.source != "none" and record.outcome not in ("completed", "incomplete"):
        found[names.ATTEMPT_USAGE + "input_tokens"] = record.usage.input_tokens
        found[names.ATTEMPT_USAGE + "output_tokens"] = record.usage.output_tokens
    for name, headers in _RATE_LIMITS:
        left = next((record.headers[header] for header in headers if header in record.headers), "")
        if left.isascii() and left.isdecimal() and len(left) < 16:
            found[name] = int(left)
    return found


_RATE_LIMITS = (
    (names.RATE_LEFT_REQUESTS, ("x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining")),
    (names.RATE_LEFT_TOKENS, ("x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining")),
)


def summary(call: Call) -> Attributes:
    """The few facts that a list of traces shows, under names of their own: sums over a trace must not count twice."""
    outcome = call.outcome or "failed"
    found: Attributes = {names.SUMMARY_OUTCOME: outcome, names.CALL_ID: call.id}
    if outcome == "rejected":
        found[names.OUTCOME] = outcome
        if call.error is not None:
            found[names.REJECT_REASON] = call.error.code or call.error.type
    if call.key_id:
        found[names.KEY_ID] = call.key_id
    if call.team:
        found[names.TEAM] = call.team
    if call.model:
        found[names.SUMMARY_MODEL] = call.model
    last = call.attempt
    if last is not None and call.operation == "create":
        found[names.SUMMARY_PROVIDER] = last.provider
        found[names.SUMMARY_ATTEMPTS] = len(call.attempts)
        found[names.SUMMARY_INPUT] = last.usage.input_tokens
        found[names.SUMMARY_OUTPUT] = last.usage.output_tokens
        total = call.cost.total
        if total is not None:
            found[names.SUMMARY_COST] = total / 1e9
    return found


def user_hash(call: Call) -> str | None:
    """The end user, told apart from others and not named."""
    return _hashed(call.end_user) if call.end_user else None


@lru_cache(maxsize=1024)
def _hashed(name: str) -> str:
    return sha256(name.encode("utf-8", "replace")).hexdigest()[:16]


def error_type(call: Call) -> str | None:
    """Low in cardinality: a kind of ours, or the outcome."""
    if isinstance(call.error, UpstreamError):
        return call.error.kind
    if call.error is not None:
        return call.error.code or call.error.type
    return "client_disconnected" if call.outcome == "client_disconnected" else None


def finish_reason(call: Call) -> str:
    """stop, length, content_filter, tool_calls; a generation that did not finish is `error` (GenAI conventions)."""
    if call.outcome in ("completed", "incomplete"):
        return call.finish or "stop"
    return "error"


def _short(value: Any) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) and value else None
