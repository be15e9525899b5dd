"""Who is asked: routes by name, and how their deployments are doing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from math import inf
from threading import RLock
from time import monotonic
from typing import Any

from tollbook.config import Config, Deployment, Route
from tollbook.errors import NotFound, UpstreamError
from tollbook.notices import notice

from .health import Health
from .plan import NO_WISHES, Plan, Wishes
from .pool import Pool
from .strategies import Price, Situation

_NAMES = 4096
"""Names that are remembered: a wildcard fits any name that a client makes up."""

_SAID_AGAIN = 60.0
"""Seconds after which it is said again that a deployment is left alone."""


def _unpriced(deployment: Deployment) -> float | None:  # noqa: ARG001 - a Price
    return None


class Router:
    """Knows the routes and how the deployments are doing. Safe to use from several threads.

    `price` says what a typical call costs at a deployment (for cost-based-routing); it is asked once for each. `rng` and
    `clock` (seconds, monotonic) are given by tests.
    """

    def __init__(
        self,
        config: Config,
        *,
        price: Price = _unpriced,
        rng: random.Random | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.config = config
        self.random = rng or random.Random()  # noqa: S311 - chooses places, guards nothing
        self._price = price
        self._clock = clock
        self.lock = RLock()
        """Held while a choice is made and while an event is counted: limits hold for every thread."""
        self._healths: dict[tuple[str, str], Health] = {}
        self._pools: dict[str, Pool] = {}
        self._noticed: dict[str, float] = {}
        """When it was last said of a deployment that it is left alone."""

    def with_config(self, config: Config) -> Router:
        """A router for another configuration that knows all this one knows of the deployments both have.

        Calls under way go on with the old one; both count the same calls in flight.
        """
        new = Router(config, price=self._price, rng=self.random, clock=self._clock)
        now = self._clock()
        with self.lock:
            new.lock, new._noticed = self.lock, self._noticed
            for key, health in self._healths.items():
                told = config.deployments.get(key[0])
                if told is not None:
                    new._healths[key] = health
                    health.adjust(_renewed(health.deployment, told), now)
        return new

    # ----------------------------------------------------------------------------------------------------------- routes

    def route(self, model: str) -> Route:
        """The route of a public model name. Raises NotFound as OpenAI does for an unknown model."""
        return self._pool(model).route

    def find(self, model: str) -> Pool | None:
        """The deployments of a public model name, None for an unknown one. A wildcard's are made once for each name."""
        pool = self._pools.get(model)
        if pool is None:
            route = self.config.route(model)
            if route is None or not route.deployments:
                return None
            with self.lock:
                if len(self._pools) >= _NAMES:
                    self._forget()
                pool = self._pools[model] = Pool(route, [self.health(d) for d in route.deployments])
        return pool

    def plan(self, model: str, wishes: Wishes = NO_WISHES) -> Plan:
        """The attempts of one call. Raises NotFound for an unknown model."""
        return Plan(self, self._pool(model), wishes)

    def _pool(self, model: str) -> Pool:
        pool = self.find(model)
        if pool is None:
            raise NotFound(
                f"The model '{model}' does not exist or you do not have access to it.",
                param="model",
                code="model_not_found",
            )
        return pool

    def _forget(self) -> None:
        """Let go of the names, and of deployments about which there is nothing to know."""
        self._pools.clear()
        lasting = {(deployment.id, deployment.model) for deployment in self.config.deployments.values()}
        now = self._clock()
        self._healths = {
            key: health for key, health in self._healths.items() if key in lasting or not health.forgettable(now)
        }

    # ----------------------------------------------------------------------------------------------------------- health

    def health(self, deployment: Deployment) -> Health:
        """How a deployment is doing; each model of a wildcard on its own."""
        key = (deployment.id, deployment.model)
        health = self._healths.get(key)
        if health is None:
            with self.lock:
                health = self._healths.setdefault(key, Health(deployment))
        return health

    def begins(self, health: Health) -> None:
        with self.lock:
            health.begins(self._clock())

    def succeeds(self, health: Health, seconds_to_first: float | None, *, stream: bool, tokens: int) -> None:
        with self.lock:
            health.succeeds(self._clock(), seconds_to_first=seconds_to_first, stream=stream, tokens=tokens)

    def given_up(self, health: Health, tokens: int = 0) -> None:
        with self.lock:
            health.given_up(self._clock(), tokens)

    def fails(self, health: Health, error: UpstreamError, tokens: int = 0) -> None:
        settings = self.config.router
        now = self._clock()
        with self.lock:
            well = health.cooling_until <= now
            health.fails(
                now,
                error,
                allowed=settings.allowed_fails,
                cooldown=settings.cooldown_time,
                cools=not settings.disable_cooldowns,
                tokens=tokens,
            )
            degraded = well and health.cooling_until > now
            known = health.deployment.id
            degraded = degraded and now - self._noticed.get(known, -inf) >= _SAID_AGAIN
            if degraded:
                self._noticed[known] = now
        if degraded:
            notice(
                "tollbook.provider.degraded",
                f"Deployment {known} is left alone for a while: {error.kind}.",
                deployment=known,
                provider=health.deployment.provider,
                reason=error.kind,
            )

    def situation(self, *, stream: bool) -> Situation:
        """What the next choice depends on."""
        settings = self.config.router
        return Situation(
            self._clock(), stream, self.random, settings.latency_buffer, settings.latency_lifetime, self._priced
        )

    def _priced(self, health: Health) -> float:
        """What a typical call costs there; infinite when nobody knows."""
        if health.price is None:
            found = self._price(health.deployment)
            health.price = inf if found is None else found
        return health.price

    def report(self, deployment: Deployment) -> dict[str, Any]:
        """A deployment and its health as JSON; the models of a wildcard are told one by one."""
        now = self._clock()
        with self.lock:
            known = {model: health for (name, model), health in self._healths.items() if name == deployment.id}
            return {
                "id": deployment.id,
                "object": "deployment",
                "name": deployment.name,
                "provider": deployment.provider,
                "model": deployment.model,
                "order": deployment.order,
                "weight": deployment.weight,
                "health": [{"model": model, **health.report(now)} for model, health in known.items()],
            }


def _renewed(old: Deployment, told: Deployment) -> Deployment:
    """What the configuration says now; what a wildcard's "*" stood for stays."""
    if "*" not in told.provider + told.model:
        return told
    return replace(told, name=old.name, provider=old.provider, model=old.model)
