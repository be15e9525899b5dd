"""Provider name -> the module that knows the place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol
from urllib.parse import urlencode

from tollbook.config import Deployment
from tollbook.errors import ConfigError

from . import Endpoint, anthropic, azure, azure_ai, bedrock, cohere, compatible, gemini, openai, simulated, vertex

GROUP = "tollbook.providers"
"""Entry-point group: a package from outside offers `name = "its.module"` with the same two things as ours."""


class Provider(Protocol):
    """What a provider module offers."""

    PROVIDER: str
    KEY_VARIABLES: tuple[str, ...]

    def endpoint(self, deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
        """Where to send. Pure: no I/O. Raises ConfigError naming what is missing."""


_OWN: dict[str, Provider] = {
    module.PROVIDER: module
    for module in (openai, azure, azure_ai, anthropic, gemini, vertex, bedrock, cohere, simulated)
}


@cache
def _outside() -> dict[str, Provider]:
    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}


def endpoint_of(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:
    """Where this deployment's requests go. Raises ConfigError for an unknown provider or a missing setting."""
    provider = _OWN.get(deployment.provider) or _outside().get(deployment.provider)
    if provider is not None:
        return _with_query(provider.endpoint(deployment, environment), deployment.extra_query)
    if compatible.knows(deployment.provider):
        return _with_query(compatible.endpoint(deployment, environment), deployment.extra_query)
    raise ConfigError(
        f"Unknown provider {deployment.provider!r} of deployment {deployment.name!r}. Known: {', '.join(names())}. "
        "For any other host that speaks Chat Completions use openai_like/<model> with api_base."
    )


def _with_query(endpoint: Endpoint, query: Mapping[str, Any]) -> Endpoint:
    """The endpoint with these parameters in every address of it."""
    if not query:
        return endpoint
    more = urlencode(query, doseq=True)

    def asked(url: str) -> str:
        return f"{url}{'&' if '?' in url else '?'}{more}" if url else url

    return replace(
        endpoint,
        url=asked(endpoint.url),
        stream_url=asked(endpoint.stream_url),
        stored_url=asked(endpoint.stored_url),
    )


def names() -> list[str]:
    """Every provider that a model name may start with."""
    return sorted({*_OWN, *compatible.names(), *_outside()})
