"""The keyword arguments of a call: those of the request, and those that say where and how it is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypedDict

from .errors import InvalidRequest, Unsupported

Input: TypeAlias = str | Sequence[Any]
"""A text, or items: dictionaries, or output items of an earlier response as they are."""


class Parameters(TypedDict, total=False):
    """Keyword arguments of `responses` and `aresponses`; None is the same as not given.

    Any other keyword goes into the request as it is: what is newer than this list works, too.
    """

    # The request's own: https://platform.openai.com/docs/api-reference/responses/create
    background: bool | None
    conversation: str | Mapping[str, Any] | None
    include: Sequence[str] | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    previous_response_id: str | None
    prompt: Mapping[str, Any] | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    reasoning: Mapping[str, Any] | None
    safety_identifier: str | None
    service_tier: str | None
    store: bool | None
    stream_options: Mapping[str, Any] | None
    temperature: float | None
    text: Mapping[str, Any] | None
    tool_choice: str | Mapping[str, Any] | None
    tools: Sequence[Any] | None
    top_logprobs: int | None
    top_p: float | None
    truncation: str | None
    user: str | None
    # Known to some providers
    frequency_penalty: float | None
    presence_penalty: float | None
    seed: int | None
    stop: str | Sequence[str] | None
    thinking: Mapping[str, Any] | None
    top_k: int | None
    # Where it is made: for this call, before what the configuration or the environment say
    api_key: str | None
    api_base: str | None
    base_url: str | None
    api_version: str | None
    organization: str | None
    custom_llm_provider: str | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None
    aws_region_name: str | None
    aws_profile_name: str | None
    aws_bedrock_runtime_endpoint: str | None
    vertex_project: str | None
    vertex_location: str | None
    vertex_credentials: str | Mapping[str, Any] | None
    azure_ad_token: str | None
    tenant_id: str | None
    client_id: str | None
    client_secret: str | None
    # How it is made
    timeout: Any
    """Seconds for the whole attempt, or an `httpx.Timeout`."""
    stream_timeout: float | None
    """Seconds of silence: before the first output, and between two events."""
    num_retries: int | None
    max_retries: int | None
    fallbacks: Sequence[str | Mapping[str, Any]] | None
    disable_fallbacks: bool | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None
    drop_params: bool | None
    use_chat_completions_api: bool | None
    base_model: str | None
    input_cost_per_token: float | None
    output_cost_per_token: float | None


class Asked(NamedTuple):
    """A call's keywords, sorted: `request` goes to the gateway, `place` says where and how."""

    request: dict[str, Any]
    place: dict[str, Any]


_ROUTING = frozenset({"weight", "order", "rpm", "tpm", "max_parallel_requests", "tags", "options", "timeouts", "model"})
"""Keys of a deployment that mean nothing for a single call; as keywords they belong to the request."""

_DEEPEST = 64


def asked(parameters: Mapping[str, Any]) -> Asked:
    """Sort keywords into what is asked and where it is asked. Raises InvalidRequest for a value that JSON cannot say."""
    from .config import schema

    request: dict[str, Any] = {}
    place: dict[str, Any] = {}
    synonyms = {word: name for word, name in schema.PARAMS_SYNONYMS.items() if name in schema.PLACE}
    del synonyms["num_retries"]  # of a single call it belongs to the request: see wishes.py
    for keyword, value in parameters.items():
        if value is None:
            continue
        name = synonyms.get(keyword, keyword)
        if (name in schema.PLACE and name not in _ROUTING) or name in schema.OPTIONS or schema.is_price(name):
            place[name] = plain(value, keyword) if name != "timeout" else value
        else:
            request[name] = plain(value, keyword)
    _refuse_unused(request)
    if "timeout" in place:
        _spell_out(place)
    return Asked(request, place)


def _refuse_unused(request: dict[str, Any]) -> None:
    """What a LiteLLM call may have and Tollbook does not do. A mocked answer must not become a paid one; anything else is
    left out of the request."""
    from .config import foreign

    mocked = [name for name in request if name.startswith("mock_")]
    if mocked:
        raise Unsupported(mocked, "Tollbook (its simulated/... models answer without a provider)")
    for name in [name for name in request if name in foreign.PARAMS and name != "stream"]:
        del request[name]


def _spell_out(place: dict[str, Any]) -> None:
    """`httpx.Timeout` in our words: reading is the silence that is borne, connecting is connecting."""
    timeout = place["timeout"]
    if isinstance(timeout, int | float):
        return
    del place["timeout"]
    told = {
        name: getattr(timeout, part, None)
        for name, part in (("connect", "connect"), ("first_event", "read"), ("idle", "read"))
    }
    place["timeouts"] = {name: seconds for name, seconds in told.items() if seconds is not None}


def plain(value: Any, name: str, *, depth: int = 0) -> Any:
    """JSON values of what a caller gave: dictionaries, lists, our objects, Pydantic models. Raises InvalidRequest."""
    match value:
        case None | bool():
            return value
        case str():
            if "\0" in value:
                raise InvalidRequest("NUL characters are not accepted.", param=name, code="invalid_type")
            return str(value)
        case int():
            return int(value)
        case float():
            if not math.isfinite(value):
                raise InvalidRequest(f"Invalid value for '{name}': not a finite number.", param=name)
            return float(value)
    if depth > _DEEPEST:
        raise InvalidRequest(f"'{name}' is nested more than {_DEEPEST} levels deep.", param=name)
    if isinstance(value, Mapping):
        return {_key(key, name): plain(each, name, depth=depth + 1) for key, each in value.items()}
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return plain(_dumped(dump), name, depth=depth + 1)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain(each, name, depth=depth + 1) for each in value]
    raise InvalidRequest(
        f"Invalid type for '{name}': {type(value).__name__} is nothing that JSON can say.",
        param=name,
        code="invalid_type",
    )


def _dumped(dump: Any) -> Any:
    """OpenAI's own objects say `exclude_unset` themselves; fields that were never set must not become nulls."""
    return dump(mode="json", exclude_unset=True)


def _key(key: Any, name: str) -> str:
    if not isinstance(key, str):
        raise InvalidRequest(f"Invalid type for '{name}': its keys must be strings.", param=name, code="invalid_type")
    return key
