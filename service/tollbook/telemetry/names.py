"""Every telemetry name, once.

GenAI conventions: https://github.com/open-telemetry/semantic-conventions-genai (development status; cache_write is the name
since #440). HTTP conventions: https://opentelemetry.io/docs/specs/semconv/http/. What no convention has yet is `tollbook.*`.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "tollbook"
SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"

# --- HTTP
HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_RESEND: Final = "http.request.resend_count"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
NETWORK_VERSION: Final = "network.protocol.version"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
USER_AGENT: Final = "user_agent.original"
URL_TEMPLATE: Final = "url.template"
ERROR_TYPE: Final = "error.type"

# --- GenAI
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_REASONING: Final = "gen_ai.request.reasoning.level"
PREVIOUS_RESPONSE: Final = "gen_ai.request.previous_response.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STOP: Final = "gen_ai.request.stop_sequences"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
STREAM_CURSOR: Final = "gen_ai.request.stream_cursor"
PROMPT_NAME: Final = "gen_ai.prompt.name"
PROMPT_VERSION: Final = "gen_ai.prompt.version"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
COMPACTED: Final = "gen_ai.conversation.compacted"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_STATUS: Final = "gen_ai.response.status"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
CACHE_WRITE_TOKENS_OLD: Final = "gen_ai.usage.cache_creation.input_tokens"
AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
AUDIO_CACHE_READ_TOKENS: Final = "gen_ai.usage.audio.cache_read.input_tokens"
IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a kind of token, not one that opens doors
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
API_TYPE: Final = "openai.api.type"
REQUEST_TIER: Final = "openai.request.service_tier"
RESPONSE_TIER: Final = "openai.response.service_tier"

# --- ours, on the inference span
CALL_ID: Final = "tollbook.request.id"
SESSION_ID: Final = "tollbook.session.id"
KEY_ID: Final = "tollbook.key.id"
TEAM: Final = "tollbook.team.id"
USER_HASH: Final = "tollbook.user.hash"
LAYER: Final = "tollbook.layer"
OUTCOME: Final = "tollbook.outcome"
ATTEMPTS: Final = "tollbook.attempts"
RETRIES: Final = "tollbook.retries"
FALLBACKS: Final = "tollbook.fallbacks"
POLICY: Final = "tollbook.route.policy"
REQUESTED_MODEL: Final = "tollbook.route.requested_model"
CONTINUITY: Final = "tollbook.route.continuity"
FALLBACK_FROM: Final = "tollbook.route.fallback_from"
DEPLOYMENT: Final = "tollbook.deployment.id"
NOTES: Final = "tollbook.notes"
USAGE_SOURCE: Final = "tollbook.usage.source"
COST_TOTAL: Final = "tollbook.cost.total"
COST_LINE: Final = "tollbook.cost."
COST_STATUS: Final = "tollbook.cost.status"
COST_VERSION: Final = "tollbook.cost.price_version"
COST_SOURCE: Final = "tollbook.cost.source"
COST_WASTED: Final = "tollbook.cost.wasted"
COST_SAVED: Final = "tollbook.cost.saved"
CACHE_HIT: Final = "tollbook.cache.hit"
CONTENT_TRUNCATED: Final = "tollbook.content.truncated"
STREAM_CHUNKS: Final = "tollbook.stream.chunks"
STREAM_BYTES: Final = "tollbook.stream.bytes"
LONGEST_GAP: Final = "tollbook.stream.longest_gap"
OVERHEAD: Final = "tollbook.overhead_ms"
TAG: Final = "tollbook.tag."
CALLERS_SESSION: Final = "session.id"
CALLERS_USER: Final = "user.id"

# --- moments of a stream, events on the inference span
FIRST_EVENT: Final = "tollbook.stream.first_event"
FIRST_OUTPUT: Final = "tollbook.stream.first_output"
LONGEST_SILENCE: Final = "tollbook.stream.longest_silence"
TERMINAL: Final = "tollbook.stream.terminal"

# --- ours, on the SERVER span: what a trace list shows
SUMMARY_MODEL: Final = "tollbook.summary.model"
SUMMARY_PROVIDER: Final = "tollbook.summary.provider"
SUMMARY_OUTCOME: Final = "tollbook.summary.outcome"
SUMMARY_COST: Final = "tollbook.summary.cost_usd"
SUMMARY_INPUT: Final = "tollbook.summary.input_tokens"
SUMMARY_OUTPUT: Final = "tollbook.summary.output_tokens"
SUMMARY_ATTEMPTS: Final = "tollbook.summary.attempts"
REJECT_REASON: Final = "tollbook.reject.reason"

# --- ours, on attempt spans
ATTEMPT_NUMBER: Final = "tollbook.attempt.number"
ATTEMPT_PROVIDER: Final = "tollbook.attempt.provider"
ATTEMPT_MODEL: Final = "tollbook.attempt.model"
ATTEMPT_REASON: Final = "tollbook.attempt.reason"
ATTEMPT_BACKOFF: Final = "tollbook.attempt.backoff_ms"
ATTEMPT_REQUEST_ID: Final = "tollbook.attempt.upstream_request_id"
ATTEMPT_TTFB: Final = "tollbook.attempt.ttfb_ms"
ATTEMPT_USAGE: Final = "tollbook.attempt.usage."
ATTEMPT_OUTCOME: Final = "tollbook.attempt.outcome"
RATE_LEFT_REQUESTS: Final = "tollbook.ratelimit.remaining_requests"
RATE_LEFT_TOKENS: Final = "tollbook.ratelimit.remaining_tokens"

# --- log records
EXCEPTION_EVENT: Final = "gen_ai.client.operation.exception"
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
PRICE_MISSING: Final = "tollbook.price.missing"

PROVIDERS: Final = {
    # ours -> the convention's; anything else is told as it is
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}

OPERATIONS: Final = {"create": "chat", "get": "fetch_response"}
"""Operations that make an inference-level span. Others are told by the SERVER span alone."""

LOOKS: Final = frozenset({"calls", "models"})
"""Operations that leave no row: they are in traces and in the metrics of HTTP, and nowhere else."""
