"""Who is asked next: a `Plan` per call, over the health of all deployments."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tollbook.call import Reason
from tollbook.config import Config, Deployment, Route
from tollbook.errors import NotFound, UpstreamError

from .health import Health
from .policy import LONGEST_WAIT, POLICY, backoff

_ROUTES = 4096
"""Names that are remembered: a wildcard fits any name that a client makes up."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One attempt to make: where, why, and after how many seconds."""

    deployment: Deployment
    reason: Reason
    delay: float


class Router:
    """Knows the routes and how the deployments are doing. `random` and `clock` (seconds, monotonic) are given by tests."""

    def __init__(
        self, config: Config, *, rng: random.Random | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.config = config
        self._random = rng or random.Random()  # noqa: S311 - chooses places, guards nothing
        self._clock = clock
        self._health: dict[tuple[str, str], Health] = {}
        self._routes: dict[str, Route] = {}

    def health(self, deployment: Deployment) -> Health:
        """How a deployment is doing; each model of a wildcard on its own."""
        return self._health.setdefault((deployment.id, deployment.model), Health())

    def route(self, model: str) -> Route:
        """The route of a public model name. Raises NotFound as OpenAI does for an unknown model."""
        route = self.find(model)
        if route is None:
            raise NotFound(
                f"The model '{model}' does not exist or you do not have access to it.",
                param="model",
                code="model_not_found",
            )
        return route

    def find(self, model: str) -> Route | None:
        """The same, None for an unknown model. A wildcard's route is made once for each name."""
        route = self._routes.get(model)
        if route is None:
            route = self.config.route(model)
            if route is None or not route.deployments:
                return None
            if len(self._routes) >= _ROUTES:
                self._routes.clear()
            self._routes[model] = route
        return route

    def plan(self, route: Route, *, pinned: str | None = None) -> Plan:
        """The attempts of one call. `pinned` is the id of a deployment to ask first: the one that made the parent."""
        return Plan(self, route, pinned)

    def begins(self, deployment: Deployment) -> None:
        self.health(deployment).begins(self._clock())

    def succeeds(self, deployment: Deployment, seconds_to_first: float | None) -> None:
        self.health(deployment).succeeds(seconds_to_first)

    def given_up(self, deployment: Deployment) -> None:
        self.health(deployment).given_up()

    def fails(self, deployment: Deployment, error: UpstreamError) -> None:
        settings = self.config.router
        allowed = 1_000_000_000 if settings.disable_cooldowns else settings.allowed_fails
        cooldown = 0.0 if settings.disable_cooldowns else settings.cooldown_time
        self.health(deployment).fails(error, self._clock(), allowed=allowed, cooldown=cooldown)

    def report(self, deployment: Deployment) -> dict[str, Any]:
        """A deployment and its health as JSON; the models of a wildcard are told one by one."""
        now = self._clock()
        known = {model: health for (name, model), health in self._health.items() if name == deployment.id}
        return {
            "id": deployment.id,
            "object": "deployment",
            "name": deployment.name,
            "provider": deployment.provider,
            "model": deployment.model,
            "health": [{"model": model, **health.report(now)} for model, health in known.items()],
        }

    def choose(self, deployments: Sequence[Deployment]) -> Deployment:
        """One of these: ready ones before cooling ones, the lowest `order` first, then by weight."""
        now = self._clock()
        ready = [d for d in deployments if self.health(d).ready(now)]
        if not ready:
            return min(deployments, key=lambda d: self.health(d).cooling_until)
        level = min(d.order for d in ready)
        ready = [d for d in ready if d.order == level]
        if len(ready) == 1:
            return ready[0]
        return self._random.choices(ready, weights=_weights(ready))[0]

    def jitter(self) -> float:
        return self._random.random()


def _weights(deployments: Sequence[Deployment]) -> list[float]:
    """Shares by `weight`, else by `rpm`, else by `tpm`, else alike."""
    for field in ("weight", "rpm", "tpm"):
        shares = [float(getattr(d, field) or 0) for d in deployments]
        if any(shares):
            return shares
    return [1.0] * len(deployments)


class Plan:
    """The attempts of one call: `next(error)` after each failure, until it answers None.

    At most 1 + num_retries attempts for each model, and 1 + max_fallbacks models; no model twice.
    """

    def __init__(self, router: Router, route: Route, pinned: str | None) -> None:
        self._router = router
        self._settings = router.config.router
        self._route = route
        self._pinned = pinned
        self._tried: list[Deployment] = []
        self._spent: set[str] = set()
        """Ids of deployments that said they will not serve this call."""
        self._models = [route.name]
        self._queue: list[str] | None = None

    def next(self, error: UpstreamError | None) -> Choice | None:
        """Where to try next after `error` (None: nothing was tried yet), or None: it is over."""
        if error is None:
            return self._attempt(self._first(), "initial", 0.0)
        verdict = POLICY[error.kind]
        last = self._tried[-1]
        if not verdict.again:
            self._spent.add(last.id)
        if (verdict.again or verdict.elsewhere) and len(self._tried) <= self._retries(last):
            others = [d for d in self._route.deployments if d.id not in self._spent and d not in self._tried]
            if others:
                return self._attempt(self._router.choose(others), "retry", 0.0)
            same = [d for d in self._route.deployments if d.id not in self._spent]
            delay = backoff(
                len(self._tried),
                least=self._settings.retry_after,
                told=error.retry_after,
                chance=self._router.jitter(),
            )
            if same and delay <= LONGEST_WAIT:
                return self._attempt(self._router.choose(same), "retry", delay)
        return self._fall_back(verdict.then)

    def _first(self) -> Deployment:
        pinned = [d for d in self._route.deployments if d.id == self._pinned]
        return pinned[0] if pinned else self._router.choose(self._route.deployments)

    def _retries(self, deployment: Deployment) -> int:
        return self._settings.num_retries if deployment.max_retries is None else deployment.max_retries

    def _attempt(self, deployment: Deployment, reason: Reason, delay: float) -> Choice:
        self._tried.append(deployment)
        return Choice(deployment, reason, delay)

    def _fall_back(self, then: str) -> Choice | None:
        names = list(getattr(self._route, then, ()))
        if self._queue is None or names:
            self._queue = names + (self._queue or [])
        while self._queue and len(self._models) <= self._settings.max_fallbacks:
            name = self._queue.pop(0)
            route = self._router.find(name)
            if name in self._models or route is None:
                continue
            self._models.append(name)
            self._route, self._tried = route, []
            return self._attempt(self._router.choose(route.deployments), "fallback", 0.0)
        return None
