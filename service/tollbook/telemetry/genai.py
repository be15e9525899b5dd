"""Call -> attributes. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TypeAlias

from tollbook.call import Attempt, Call
from tollbook.errors import UpstreamError

from . import names

Value: TypeAlias = str | int | float | bool | tuple[str, ...]
Attributes: TypeAlias = dict[str, Value]

_MOST_TAGS = 8

# Cost lines are summed into a handful of attributes; their kinds are those of responses.usage.Usage.
_COMPONENTS = {
    "input": "input",
    "input_audio": "input",
    "input_image": "input",
    "cache_read": "cache_read",
    "cache_read_audio": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write",
    "output": "output",
    "output_audio": "output",
    "output_image": "output",
    "reasoning": "reasoning",
}


def provider_name(provider: str) -> str:
    """The convention's name for one of our providers."""
    return names.PROVIDERS.get(provider, provider)


def at_start(call: Call) -> Attributes:
    """What a sampler may want to know."""
    return {names.OPERATION: names.OPERATIONS[call.operation], names.LAYER: "gateway", names.CALL_ID: call.id}


def inference(call: Call, cost_attributes: tuple[str, ...]) -> Attributes:
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
    optional: tuple[tuple[str, Value | None], ...] = (
        (names.REQUEST_STREAM, call.stream or None),
        (names.REQUEST_MAX_TOKENS, call.max_output_tokens),
        (names.REQUEST_TEMPERATURE, call.temperature),
        (names.REQUEST_TOP_P, call.top_p),
        (names.REQUEST_REASONING, call.reasoning_effort),
        (names.REQUEST_TIER, call.requested_tier if call.requested_tier != "auto" else None),
        (names.PREVIOUS_RESPONSE, call.previous_response_id),
        (names.OUTPUT_TYPE, call.output_type),
        (names.RESPONSE_ID, call.response_id),
        (names.SESSION_ID, call.session_id),
        (names.KEY_ID, call.key_id or None),
        (names.TEAM, call.team),
        (names.USER_HASH, sha256(call.end_user.encode()).hexdigest()[:16] if call.end_user else None),
        (names.NOTES, tuple(call.notes) or None),
        (names.ERROR_TYPE, error_type(call)),
        (names.FINISH_REASONS, (finish_reason(call),) if call.attempts else None),
    )
    found.update((name, value) for name, value in optional if value is not None)
    for number, tag in enumerate(call.tags[:_MOST_TAGS]):
        found[f"{names.TAG}{number}"] = tag
    attempt = call.attempt
    if attempt is not None:
        found.update(_answer(call, attempt))
        found.update(_cost(call, cost_attributes))
    return found


def _answer(call: Call, attempt: Attempt) -> Attributes:
    usage = attempt.usage
    found: Attributes = {
        names.PROVIDER: provider_name(attempt.provider),
        names.DEPLOYMENT: attempt.deployment,
        names.SERVER_ADDRESS: attempt.host,
        names.SERVER_PORT: attempt.port,
        names.USAGE_SOURCE: usage.source,
    }
    if attempt.served_model:
        found[names.RESPONSE_MODEL] = attempt.served_model
    if attempt.service_tier:
        found[names.RESPONSE_TIER] = attempt.service_tier
    if usage.source != "none":
        found[names.INPUT_TOKENS] = usage.input_tokens
        found[names.OUTPUT_TOKENS] = usage.output_tokens
        found[names.CACHE_READ_TOKENS] = usage.cache_read + usage.cache_read_audio
        found[names.CACHE_WRITE_TOKENS] = usage.cache_write + usage.cache_write_1h
        found[names.REASONING_TOKENS] = usage.reasoning
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
    if attempt.first_byte is not None and call.first_output is not None:
        found[names.OVERHEAD] = max(call.first_output - call.started - (attempt.first_byte - attempt.started), 0) / 1e6
    return found


def _cost(call: Call, cost_attributes: tuple[str, ...]) -> Attributes:
    cost = call.cost
    found: Attributes = {names.COST_STATUS: cost.status}
    if cost.total is None:
        return found
    usd = cost.total / 1e9
    found[names.COST_TOTAL] = usd
    found.update((name, usd) for name in cost_attributes)
    if cost.version:
        found[names.COST_VERSION], found[names.COST_SOURCE] = cost.version, cost.source
    parts: dict[str, int] = {}
    for line in cost.lines:
        part = _COMPONENTS.get(line.kind, "tools" if line.kind != "reported" else "reported")
        parts[part] = parts.get(part, 0) + line.amount
    found.update((names.COST_LINE + part, amount / 1e9) for part, amount in parts.items())
    wasted = sum(a.cost.total or 0 for a in call.attempts if a is not call.attempt)
    if wasted:
        found[names.COST_WASTED] = wasted / 1e9
    return found


def fetch(call: Call) -> Attributes:
    """A stored response that was read: never with usage, or every poll would be billed again."""
    found: Attributes = {**at_start(call), names.OUTCOME: call.outcome or "failed"}
    if call.response_id:
        found[names.RESPONSE_ID] = call.response_id
    if kind := error_type(call):
        found[names.ERROR_TYPE] = kind
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
    if record.number > 1:
        found[names.HTTP_RESEND] = record.number - 1
    if record.backoff:
        found[names.ATTEMPT_BACKOFF] = record.backoff * 1000
    if record.status_code is not None:
        found[names.HTTP_STATUS] = record.status_code
    if record.upstream_request_id:
        found[names.ATTEMPT_REQUEST_ID] = record.upstream_request_id
    if record.first_byte is not None:
        found[names.ATTEMPT_TTFB] = (record.first_byte - record.started) / 1e6
    if record.error_kind:
        found[names.ERROR_TYPE] = record.error_kind
        if record.usage.source != "none":
            found[names.ATTEMPT_USAGE + "input_tokens"] = record.usage.input_tokens
            found[names.ATTEMPT_USAGE + "output_tokens"] = record.usage.output_tokens
    return found


def summary(call: Call) -> Attributes:
    """The few facts that a list of traces shows, under names of their own: sums over a trace must not count twice."""
    found: Attributes = {names.SUMMARY_OUTCOME: call.outcome or "failed", names.CALL_ID: call.id}
    if call.outcome == "rejected" and call.error is not None:
        found[names.REJECT_REASON] = call.error.code or call.error.type
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
