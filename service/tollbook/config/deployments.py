"""`model_list` -> deployments and routes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import foreign, prices, schema
from .price_list import SHARES, Terms
from .problems import Wrong
from .reading import Value, section
from .types import Deployment, OnDisconnect, Route, Strategy, Timeouts, split_model

_ONE_PLACE = {"bedrock": "aws_region_name", "vertex_ai": "vertex_location"}
"""Where a provider's own word for `region_name` is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What deployments take from the settings when they do not say it themselves."""

    timeout: float | None = None
    stream_timeout: float | None = None
    drop_params: bool = False
    propagate_trace: bool = False
    hedge_after: float | None = None
    on_disconnect: OnDisconnect = "cancel"


@dataclass(slots=True)
class _Ids:
    """Ids that stay the same when the file is read again, and when models are added to it."""

    given: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def own(self, name: str, model: str, api_base: str | None) -> str:
        """A hash of what the deployment is. No secret is in it; twins are told apart by their order."""
        place = json.dumps([name, model, api_base or ""])
        self.seen[place] = number = self.seen.get(place, 0) + 1
        return hashlib.blake2s(f"{place}{number}".encode(errors="replace"), digest_size=6).hexdigest()


def deployments(entries: Sequence[Value], inherited: Inherited) -> list[Deployment]:
    """Every entry of `model_list` that is right; what is wrong with the others is with the entries' problems."""
    ids = _Ids()
    found: list[Deployment] = []
    for entry in entries:
        deployment = _deployment(entry, inherited, ids)
        if deployment is None:
            continue
        if deployment.id in ids.given:
            twin = ids.given[deployment.id]
            entry.problems.add(
                (*entry.steps, "model_info", "id"), f'"{deployment.id}" is the id of model_list[{twin}], too'
            )
            continue
        ids.given[deployment.id] = int(entry.steps[-1])
        found.append(deployment)
    return found


def routes(found: Sequence[Deployment], strategy: Strategy) -> dict[str, Route]:
    """The deployments by their public names, in the order of the file."""
    groups: dict[str, list[Deployment]] = {}
    for deployment in found:
        groups.setdefault(deployment.name, []).append(deployment)
    return {name: Route(name=name, deployments=tuple(group), strategy=strategy) for name, group in groups.items()}


def _deployment(entry: Value, inherited: Inherited, ids: _Ids) -> Deployment | None:
    problems = entry.problems
    said = section(entry, schema.ENTRY, synonyms=schema.ENTRY_SYNONYMS)
    if not isinstance(entry.raw, Mapping):
        return None
    for key in ("model_name", "litellm_params"):
        names = {key, *(synonym for synonym, name in schema.ENTRY_SYNONYMS.items() if name == key)}
        if not any(entry.raw.get(name) is not None for name in names):
            problems.add(entry.steps, f'"{key}" is missing')
    if "litellm_params" not in said:
        return None
    value: Value = said["litellm_params"]
    params = section(
        value, schema.PARAMS, synonyms=schema.PARAMS_SYNONYMS, foreign=foreign.PARAMS, family=schema.price_or_role
    )
    info: dict[str, Any] = {}
    if "model_info" in said:
        info = section(said["model_info"], schema.MODEL_INFO, foreign=foreign.MODEL_INFO, family=schema.price)
    if not isinstance(value.raw, Mapping) or "model_name" not in said:
        return None
    if value.raw.get("model") is None:
        problems.add(value.steps, '"model" is missing')
    if "model" not in params:
        return None
    name: str = said["model_name"]
    try:
        provider, model = _target(name, params)
    except Wrong as wrong:
        problems.add((*value.steps, "model"), str(wrong))
        return None
    return Deployment(
        id=info.get("id") or ids.own(name, f"{provider}/{model}", params.get("api_base")),
        name=name,
        provider=provider,
        model=model,
        api_key=params.get("api_key"),
        api_base=params.get("api_base"),
        api_version=params.get("api_version"),
        organization=params.get("organization"),
        options=_options(value, params, provider),
        extra_headers=params.get("extra_headers", {}),
        extra_body=params.get("extra_body", {}),
        extra_query=params.get("extra_query", {}),
        defaults=_defaults(value, params),
        timeouts=_timeouts(params, inherited),
        weight=params.get("weight"),
        order=params.get("order", 0),
        rpm=params.get("rpm"),
        tpm=params.get("tpm"),
        max_parallel_requests=params.get("max_parallel_requests"),
        max_retries=params.get("max_retries"),
        hedge_after=params.get("hedge_after", inherited.hedge_after),
        on_disconnect=params.get("on_disconnect", inherited.on_disconnect),
        tags=params.get("tags", ()),
        drop_params=params.get("drop_params", inherited.drop_params),
        use_chat_completions_api=params.get("use_chat_completions_api", False),
        base_model=info.get("base_model") or params.get("base_model"),
        prices=own_prices(value, {**info, **params}),
        terms=terms({**info, **params}),
        propagate_trace=params.get("propagate_trace", inherited.propagate_trace),
        allow_private_addresses=params.get("allow_private_addresses", False),
    )


def _target(name: str, params: Mapping[str, Any]) -> tuple[str, str]:
    """The provider and its name for the model."""
    model: str = params["model"]
    if "*" in model and "*" not in name:
        raise Wrong('has a "*" for which model_name has none')
    if model.count("*") > 1:
        raise Wrong('at most one "*"')
    if given := params.get("custom_llm_provider"):
        return given, model.removeprefix(f"{given}/")
    if model == "*":
        return "*", "*"
    provider, rest = split_model(model)
    if "*" in provider:
        raise Wrong('the "*" may stand for a whole "provider/model" or for the model, not for a part of the provider')
    if not provider:
        raise Wrong('which provider? Write "provider/model", or set custom_llm_provider')
    return provider, rest


def _options(value: Value, params: Mapping[str, Any], provider: str) -> dict[str, Any]:
    options = {key: params[key] for key in schema.OPTIONS if key in params}
    for key in options:
        if mistake := schema.mistaken_option(key, provider):
            value.problems.add((*value.steps, key), mistake)
    if "region_name" in options and provider in schema.OWN_PROVIDERS:
        region = options.pop("region_name")
        if own := _ONE_PLACE.get(provider):
            options.setdefault(own, region)
        else:
            value.problems.warn((*value.steps, "region_name"), f"not used: {provider} has no regions")
    return {**params.get("options", {}), **options}


_SHORT = {
    "reasoning_effort": ("reasoning", "effort"),
    "verbosity": ("text", "verbosity"),
    "response_format": ("text", "format"),
}


def _defaults(value: Value, params: Mapping[str, Any]) -> dict[str, Any]:
    """Preset request parameters, with Chat Completions' short names put where Responses has them."""
    defaults: dict[str, Any] = {}
    for key in schema.REQUEST:
        if key in params:
            defaults[key] = list(params[key]) if isinstance(params[key], tuple) else params[key]
    for short, (whole, part) in _SHORT.items():
        if short not in params:
            continue
        if part in defaults.get(whole, {}):
            value.problems.add(
                (*value.steps, short), f'another name for "{whole}.{part}", which is given, too; keep one'
            )
        found = params[short]
        defaults[whole] = {**defaults.get(whole, {}), part: _text_format(found) if part == "format" else found}
    return defaults


def _text_format(response_format: Mapping[str, Any]) -> dict[str, Any]:
    """Chat nests name, schema and strict under `json_schema`, Responses does not
    (https://platform.openai.com/docs/guides/migrate-to-responses)."""
    inner = response_format.get("json_schema")
    outer = {key: found for key, found in response_format.items() if key != "json_schema"}
    return {**outer, **inner} if isinstance(inner, Mapping) else outer


def own_prices(value: Value, said: Mapping[str, Any]) -> dict[str, Any]:
    """The prices that an entry says, with the rule of its thresholds. What does not go together is a problem."""
    found = {key: said[key] for key in said if prices.read_key(key)}
    if missing := prices.missing(found):
        value.problems.add(value.steps, f"own prices need {' and '.join(missing)}, too")
    if prices.RULE in said:
        if not any((key := prices.read_key(name)) and key.threshold >= 0 for name in found):
            value.problems.add((*value.steps, prices.RULE), "there is no price with a threshold")
        found[prices.RULE] = said[prices.RULE]
    return found


def terms(said: Mapping[str, Any]) -> Terms:
    """What is agreed beside the prices."""
    return Terms(**{name: said[name] for name in SHARES if name in said})


def _timeouts(params: Mapping[str, Any], inherited: Inherited) -> Timeouts:
    """LiteLLM's `timeout` is the whole attempt, its `stream_timeout` the longest silence: before the first event or after it."""
    given: dict[str, float] = {}
    if (total := params.get("timeout", inherited.timeout)) is not None:
        given["total"] = total
    if (silence := params.get("stream_timeout", inherited.stream_timeout)) is not None:
        given["first_event"] = given["idle"] = silence
    return Timeouts(**(given | params.get("timeouts", {})))
