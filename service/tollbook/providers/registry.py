"""Provider name -> the module that knows the place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol

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
        return provider.endpoint(deployment, environment)
    if compatible.knows(deployment.provider):
        return compatible.endpoint(deployment, environment)
    raise ConfigError(
        f"Unknown provider {deployment.provider!r} of deployment {deployment.name!r}. Known: {', '.join(names())}. "
        "For any other host that speaks Chat Completions use openai_like/<model> with api_base."
    )


def names() -> list[str]:
    """Every provider that a model name may start with."""
    return sorted({*_OWN, *compatible.names(), *_outside()})
