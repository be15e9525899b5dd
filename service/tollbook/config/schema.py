"""The keys of a configuration, as data: name -> reader. `config.example.yaml` explains every one of them to people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from . import foreign, price_list, prices
from .budgets import read_budget, read_end_user_budget, read_limit
from .problems import Wrong, suggestion
from .reading import (
    Reader,
    Value,
    anything,
    entries,
    flag,
    headers,
    kind,
    list_of,
    long_text,
    mapping_of,
    names_by_name,
    number,
    object_,
    one_of,
    section,
    text,
    url,
    whole,
)
from .types import (
    MAX_NAME,
    CacheWriteNames,
    CaptureContent,
    InferenceSpan,
    MetricsLabel,
    MetricsSemconv,
    OnDisconnect,
    PreCallCheck,
    Strategy,
    TrustRemoteContext,
)

Keys = Mapping[str, Reader[Any]]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")

_seconds = number(above=True)


def _identifier(value: Value) -> str:
    """An id that may stand in headers, paths and logs."""
    found = text(value)
    if not _ID.fullmatch(found):
        raise Wrong("an id has up to 128 letters, digits and . _ : / @ + - and begins with a letter or digit")
    return found


def _header_name(value: Value) -> str:
    (name,) = headers(Value({text(value): "-"}, value.steps, value.problems, value.environment)) or (None,)
    if name is None:
        return ""
    return name.lower()


def directory(value: Value) -> Path:
    """A folder; "~" is the home of the user."""
    try:
        return Path(text(value)).expanduser()
    except RuntimeError as error:
        raise Wrong("there is no such home directory") from error


def pattern(value: Value) -> str:
    """A public model name: up to 256 characters with at most one "*"."""
    found = text(value)
    if found.count("*") > 1:
        raise Wrong('at most one "*"')
    if len(found) > MAX_NAME:
        raise Wrong(f"at most {MAX_NAME} characters")
    return found


def _without_effect(read: Reader[Any]) -> Reader[Any]:
    """A setting that is understood and checked, and that nothing follows yet: whoever sets it is told."""

    def told(value: Value) -> Any:
        found = read(value)
        value.problems.warn(value.steps, "has no effect in this version")
        return found

    return told


def _strategy(value: Value) -> Strategy:
    if text(value) in foreign.STRATEGIES:
        value.problems.warn(value.steps, "not known here; simple-shuffle is used")
        return "simple-shuffle"
    # The second version counts in Redis; here both count in the gateway.
    read: Strategy = one_of(Strategy, {"usage-based-routing-v2": "usage-based-routing"})(value)
    return read


def _strategy_args(value: Value) -> dict[str, float]:
    """What LiteLLM lets one say of latency-based-routing."""
    return section(value, STRATEGY_ARGS)


# Always on, named or not.
_FOLLOWED = ("responses_api_deployment_check", "encrypted_content_affinity")


def _pre_call_checks(value: Value) -> tuple[PreCallCheck, ...]:
    def check(item: Value) -> PreCallCheck | None:
        found = text(item)
        known: PreCallCheck | None = None if found in foreign.PRE_CALL_CHECKS else one_of(PreCallCheck)(item)
        if known not in _FOLLOWED:
            item.problems.warn(item.steps, f"{found} has no effect in this version")
        return known

    return tuple(found for found in list_of(check)(value) if found is not None)


def _aliases(value: Value) -> dict[str, tuple[str, bool]]:
    """alias -> (model, hidden). LiteLLM writes `alias: model` or `alias: {model: ..., hidden: true}`."""

    def alias(item: Value) -> tuple[str, bool]:
        if not isinstance(item.raw, Mapping):
            return text(item), False
        found = section(item, {"model": text, "hidden": flag})
        if "model" not in found:
            raise Wrong('"model" is missing')
        return found["model"], found.get("hidden", False)

    return mapping_of(alias)(value)


def _cost_attributes(value: Value) -> tuple[str, ...]:
    found = list_of(text)(value)
    if "semconv_443" in found and "gen_ai.usage.cost" in found:
        raise Wrong(
            "gen_ai.usage.cost and semconv_443 exclude each other: one name would be the beginning of the other's, which "
            "stores that nest cannot keep"
        )
    return found


TELEMETRY: Keys = {
    "service_name": text,
    "traces": flag,
    "metrics": flag,
    "logs": flag,
    "access_log": flag,
    "metrics_public": flag,
    "metrics_semconv": one_of(MetricsSemconv),
    "metrics_labels": list_of(one_of(MetricsLabel)),
    "cost_attributes": _cost_attributes,
    "cache_write_names": one_of(CacheWriteNames),
    "inference_span": one_of(InferenceSpan),
    "tags": list_of(text),
    "capture_content": one_of(CaptureContent),
    "trust_remote_context": one_of(TrustRemoteContext),
    "send_baggage": flag,
    "queue_mb": number(above=True),
}

GENERAL: Keys = {
    "master_key": text,
    "data_dir": directory,
    "store_prompts_in_spend_logs": flag,
    "retention_days": number(above=True),
    "end_user_header": _header_name,
    "max_request_size_mb": number(above=True),
    "drop_params": flag,
    "budget_output_tokens": whole(least=1),
    "end_user_budget": read_end_user_budget,
}
GENERAL_SYNONYMS = {"user_header_name": "end_user_header", "content_retention_days": "retention_days"}

_FALLBACKS: Keys = {
    "fallbacks": names_by_name,
    "default_fallbacks": list_of(text),
    "context_window_fallbacks": names_by_name,
    "content_policy_fallbacks": names_by_name,
}

ROUTER: Keys = {
    "routing_strategy": _strategy,
    "num_retries": whole(),
    "retry_after": number(),
    "timeout": _seconds,
    "stream_timeout": _seconds,
    "allowed_fails": whole(),
    "cooldown_time": number(),
    "disable_cooldowns": flag,
    **_FALLBACKS,
    "max_fallbacks": whole(),
    "optional_pre_call_checks": _pre_call_checks,
    "model_group_alias": _aliases,
    "routing_strategy_args": _strategy_args,
    "hedge_after": _seconds,
    "on_disconnect": one_of(OnDisconnect),
    "enable_mid_stream_fallback_continuation": flag,
}
STRATEGY_ARGS: Keys = {"lowest_latency_buffer": number(), "ttl": _seconds}

LITELLM: Keys = {
    "drop_params": flag,
    "num_retries": whole(),
    "request_timeout": _seconds,
    "allowed_fails": whole(),
    "cooldown_time": number(),
    "forward_traceparent_to_llm_provider": flag,
    **_FALLBACKS,
}

TIMEOUTS: Keys = {"connect": _seconds, "first_event": _seconds, "idle": _seconds, "total": _seconds}


def _timeouts(value: Value) -> dict[str, float]:
    return section(value, TIMEOUTS)


PLACE: Keys = {
    "model": text,
    "custom_llm_provider": text,
    "api_key": text,
    "api_base": url,
    "api_version": text,
    "organization": text,
    "base_model": text,
    "extra_headers": headers,
    "extra_body": object_,
    "extra_query": object_,
    "timeout": _seconds,
    "stream_timeout": _seconds,
    "timeouts": _timeouts,
    "max_retries": whole(),
    "weight": number(),
    "order": whole(),
    "rpm": whole(least=1),
    "tpm": whole(least=1),
    "max_parallel_requests": whole(least=1),
    "hedge_after": _seconds,
    "on_disconnect": one_of(OnDisconnect),
    "tags": _without_effect(list_of(text)),
    "drop_params": flag,
    "use_chat_completions_api": flag,
    "propagate_trace": flag,
    "allow_private_addresses": flag,
    "options": object_,
}
PARAMS_SYNONYMS = {
    "base_url": "api_base",
    "headers": "extra_headers",
    "num_retries": "max_retries",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
}


def _credentials(value: Value) -> Any:
    """A service account: its file's name, its JSON as text, or as a mapping."""
    if isinstance(value.raw, Mapping):
        return object_(value)
    return long_text(value)


# What only some providers understand: option -> (its reader, the providers; none means all).
_BEDROCK, _VERTEX, _AZURE = ("bedrock",), ("vertex_ai",), ("azure", "azure_ai")
OPTIONS: Mapping[str, tuple[Reader[Any], tuple[str, ...]]] = {
    "aws_access_key_id": (text, _BEDROCK),
    "aws_secret_access_key": (text, _BEDROCK),
    "aws_session_token": (text, _BEDROCK),
    "aws_region_name": (text, _BEDROCK),
    "aws_profile_name": (text, _BEDROCK),
    "aws_bedrock_runtime_endpoint": (url, _BEDROCK),
    "vertex_project": (text, _VERTEX),
    "vertex_location": (text, _VERTEX),
    "vertex_credentials": (_credentials, _VERTEX),
    "azure_ad_token": (text, _AZURE),
    "azure_scope": (text, _AZURE),
    "tenant_id": (text, _AZURE),
    "client_id": (text, _AZURE),
    "client_secret": (text, _AZURE),
    "use_responses_api": (flag, ("azure_ai",)),
    "project": (text, ("openai",)),
    "access_token": (text, _VERTEX),
    "region_name": (text, ()),
}
# Providers whose options are all above; a provider from outside may understand any of them.
OWN_PROVIDERS = frozenset({"openai", "anthropic", "gemini", "simulated", *_BEDROCK, *_VERTEX, *_AZURE})

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def _text_or_object(value: Value) -> Any:
    if isinstance(value.raw, str | Mapping):
        return anything(value)
    raise Wrong(f"expected text or a mapping, got {kind(value.raw)}")


def _list(value: Value) -> list[Any]:
    if isinstance(value.raw, str) or not isinstance(found := anything(value), list):
        raise Wrong(f"expected a list, got {kind(value.raw)}")
    return found


# Request parameters that a deployment may preset, by their Responses names
# (https://platform.openai.com/docs/api-reference/responses/create), then those of other APIs that dialects know.
REQUEST: Keys = {
    "background": flag,
    "context_management": anything,
    "include": list_of(text),
    "instructions": long_text,
    "max_output_tokens": whole(least=1),
    "max_tool_calls": whole(),
    "metadata": object_,
    "moderation": anything,
    "parallel_tool_calls": flag,
    "prompt": object_,
    "prompt_cache_key": text,
    "prompt_cache_options": object_,
    "prompt_cache_retention": text,
    "reasoning": object_,
    "safety_identifier": text,
    "service_tier": text,
    "store": flag,
    "stream_options": object_,
    "temperature": number(),
    "text": object_,
    "tool_choice": _text_or_object,
    "tools": _list,
    "top_logprobs": whole(),
    "top_p": number(),
    "truncation": text,
    "user": text,
    "frequency_penalty": number(least=-2),
    "logit_bias": object_,
    "min_p": number(),
    "presence_penalty": number(least=-2),
    "repetition_penalty": number(),
    "seed": whole(least=-(2**63)),
    "stop": anything,
    "thinking": object_,
    "top_k": whole(),
}
# Chat Completions' names for parts of `reasoning` and `text`.
SHORT: Keys = {
    "reasoning_effort": one_of(ReasoningEffort),
    "verbosity": text,
    "response_format": object_,
}

# Bedrock assumes roles through a profile, so that the credentials are those that the AWS tools would find, too
# (https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-role.html).
_ROLES = frozenset(
    {"aws_role_name", "aws_session_name", "aws_external_id", "aws_web_identity_token", "aws_sts_endpoint"}
)


def _role(value: Value) -> None:  # noqa: ARG001 - a reader
    raise Wrong(
        "roles are assumed by a profile: put role_arn into ~/.aws/config and name the profile in aws_profile_name"
    )


def is_price(name: str) -> bool:
    """Whether a key is a price: one of `prices.NAMES`, with a threshold, a tier or a tool's name."""
    return prices.read_key(name) is not None


def price(name: str) -> Reader[Any] | None:
    """The reader of a price, or of what is said beside prices; None for any other key."""
    if name == prices.RULE:
        return one_of(prices.Rule)
    return _price if prices.read_key(name) else None


def price_or_role(name: str) -> Reader[Any] | None:
    """What `litellm_params` has beside PARAMS."""
    return _role if name in _ROLES else price(name)


def _price(value: Value) -> Any:
    name = str(value.steps[-1])
    found: Any
    if isinstance(value.raw, Mapping) and name == "search_context_cost_per_query":
        found = mapping_of(number())(value)
    else:
        found = number()(value)
    try:
        prices.read_price(name, found)
    except ValueError as wrong:
        raise Wrong(str(wrong)) from None
    return found


def _currency(value: Value) -> None:
    if text(value).upper() != "USD":
        raise Wrong("prices are in USD; convert them")


def _term(value: Value) -> Decimal:
    try:
        return price_list.read_term(str(value.steps[-1]), number()(value))
    except ValueError as wrong:
        raise Wrong(str(wrong)) from None


def _moment(value: Value) -> int:
    try:
        return price_list.read_moment(text(value))
    except ValueError as wrong:
        raise Wrong(str(wrong)) from None


def _special_tier(value: Value) -> str:
    found = prices.special(text(value))
    if found is None:
        raise Wrong("the standard tier has no name here; leave it out")
    return found


def _models(value: Value) -> str:
    try:
        return price_list.check_pattern(text(value))
    except ValueError as wrong:
        raise Wrong(str(wrong)) from None


TERMS: Keys = dict.fromkeys(price_list.SHARES, _term)

OWN_PRICES: Keys = {
    **dict.fromkeys(prices.NAMES, _price),
    prices.RULE: one_of(prices.Rule),
    prices.CURRENCY: _currency,
}

PRICE_ENTRY: Keys = {
    "model": _models,
    "valid_from": _moment,
    "valid_until": _moment,
    "tier": _special_tier,
    "note": text,
    "checked": _moment,
    prices.CURRENCY: _currency,
    prices.RULE: one_of(prices.Rule),
    **TERMS,
}
"""An entry of `prices`, beside the prices themselves."""

PARAMS: Keys = {
    **PLACE,
    **{name: read for name, (read, _) in OPTIONS.items()},
    **REQUEST,
    **SHORT,
    **OWN_PRICES,
    **TERMS,
}

MODEL_INFO: Keys = {"id": _identifier, "base_model": text, **OWN_PRICES, **TERMS}


def _as_given(value: Value) -> Value:
    """A section that is read later, with what others say."""
    entries(value)
    return value


ENTRY: Keys = {"model_name": pattern, "litellm_params": _as_given, "model_info": _as_given}
ENTRY_SYNONYMS = {"params": "litellm_params", "tollbook_params": "litellm_params"}


def _entries_list(what: str) -> Reader[list[Value]]:
    def read(value: Value) -> list[Value]:
        raw = value.raw
        if not isinstance(raw, list | tuple):
            raise Wrong(f"expected a list of {what}, got {kind(raw)}")
        return [value.child(index, item) for index, item in enumerate(raw)]

    return read


TOP: Keys = {
    "model_list": _entries_list("models"),
    "prices": _entries_list("prices"),
    "router_settings": _as_given,
    "litellm_settings": _as_given,
    "general_settings": _as_given,
    "telemetry": _as_given,
    "budgets": list_of(read_budget),
    "limits": list_of(read_limit),
}


def mistaken_option(name: str, provider: str) -> str:
    """Why an option does not fit a provider; "" when it does."""
    providers = OPTIONS[name][1]
    if not providers or provider in providers or provider not in OWN_PROVIDERS:
        return ""
    return f"is for {' and '.join(providers)}, and this deployment is {provider}.{suggestion(name, PLACE)}"
