"""How to choose among deployments that are all ready: one function per `routing_strategy`.

Each gets the candidates (two or more) and answers one of them. Equals share by chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tollbook.config import Deployment
from tollbook.config.types import Strategy

from .health import Health

Price = Callable[[Deployment], float | None]
"""What a typical call costs at a deployment, in any one unit; None when nobody knows."""


@dataclass(slots=True)
class Situation:
    """What a choice may depend on beside the candidates themselves."""

    now: float
    stream: bool
    random: random.Random
    latency_buffer: float
    latency_lifetime: float
    price: Callable[[Health], float]


Pick = Callable[["Level", Sequence[Health], Situation], Health]


class Level:
    """Deployments of a route with the same `order`: while one of them is ready, no higher one is asked."""

    __slots__ = ("_bounds", "_shares", "healths")

    def __init__(self, healths: Sequence[Health]) -> None:
        self.healths = tuple(healths)
        self._shares = dict(zip(map(id, healths), shares([h.deployment for h in healths]), strict=True))
        self._bounds = list(accumulate(self._shares.values()))

    def bounds(self, ready: Sequence[Health]) -> list[float]:
        """The shares of the ready ones, added up."""
        if len(ready) == len(self.healths):
            return self._bounds
        return list(accumulate([self._shares[id(health)] for health in ready]))


def shares(deployments: Sequence[Deployment]) -> list[float]:
    """Shares of the load: by `weight` where one is given (others count 1), else by `rpm` where all have it, else by `tpm`
    where all have it, else alike. Stand-bys, whose weight is 0, are a level of their own and share alike."""
    if any(d.weight is not None for d in deployments) and any(d.weight != 0 for d in deployments):
        return [1.0 if d.weight is None else d.weight for d in deployments]
    for field in ("rpm", "tpm"):
        found = [getattr(d, field) for d in deployments]
        if all(found):
            return [float(share) for share in found]
    return [1.0] * len(deployments)


def simple_shuffle(level: Level, ready: Sequence[Health], situation: Situation) -> Health:
    """By chance, by the shares."""
    return situation.random.choices(ready, cum_weights=level.bounds(ready))[0]


def least_busy(level: Level, ready: Sequence[Health], situation: Situation) -> Health:  # noqa: ARG001 - a Pick
    """The fewest calls in flight."""
    return _least(ready, [health.in_flight for health in ready], situation)


def lowest_latency(level: Level, ready: Sequence[Health], situation: Situation) -> Health:  # noqa: ARG001 - a Pick
    """The quickest to the first output of late; those within the buffer share. Who was not heard of late is tried first."""
    form, oldest = int(situation.stream), situation.now - situation.latency_lifetime
    seconds = [h.latency[form] if h.heard[form] > oldest else h.unheard(oldest) for h in ready]
    bound = min(seconds) * (1 + situation.latency_buffer)
    near = ready if max(seconds) <= bound else [h for h, value in zip(ready, seconds, strict=True) if value <= bound]
    return near[int(situation.random.random() * len(near))]


def lowest_cost(level: Level, ready: Sequence[Health], situation: Situation) -> Health:  # noqa: ARG001 - a Pick
    """The cheapest for a typical call; what nobody has a price for comes last."""
    price = situation.price
    return _least(ready, [price(h) if h.price is None else h.price for h in ready], situation)


def lowest_usage(level: Level, ready: Sequence[Health], situation: Situation) -> Health:  # noqa: ARG001 - a Pick
    """The most room under `tpm` and `rpm` within the last minute."""
    now = situation.now
    return _least(ready, [h.used if h.stale_at > now else h.share(now) for h in ready], situation)


def _least(ready: Sequence[Health], values: Sequence[float], situation: Situation) -> Health:
    """The one with the least value; by chance among equals."""
    least = min(values)
    equals = values.count(least)
    if equals == 1:
        return ready[values.index(least)]
    best = ready if equals == len(ready) else [h for h, value in zip(ready, values, strict=True) if value == least]
    return best[int(situation.random.random() * equals)]


STRATEGIES: Mapping[Strategy, Pick] = {
    "simple-shuffle": simple_shuffle,
    "least-busy": least_busy,
    "latency-based-routing": lowest_latency,
    "cost-based-routing": lowest_cost,
    "usage-based-routing": lowest_usage,
}
