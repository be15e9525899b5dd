"""Where the requests of each deployment would go, without sending any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tollbook.errors import ConfigError

if TYPE_CHECKING:
    from tollbook.config import Config, Deployment
    from tollbook.providers import Endpoint


@dataclass(frozen=True, slots=True)
class Place:
    """A deployment with its endpoint, or with why it has none. Neither where the request names the provider (`*`)."""

    deployment: Deployment
    endpoint: Endpoint | None = None
    problem: str = ""


def places(config: Config, environment: Mapping[str, str]) -> list[Place]:
    """One for each deployment, in the order of the file."""
    from tollbook.providers.registry import endpoint_of

    found: list[Place] = []
    for deployment in config.deployments.values():
        if deployment.provider == "*":
            found.append(Place(deployment))
            continue
        try:
            found.append(Place(deployment, endpoint_of(deployment, environment)))
        except ConfigError as error:
            found.append(Place(deployment, problem=error.message))
    return found


def problems(found: list[Place]) -> list[str]:
    """Why deployments cannot be used, one sentence each."""
    return [f"{place.deployment.name} ({place.deployment.id}): {place.problem}" for place in found if place.problem]
