"""A route with the health of its deployments, ready to choose from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import groupby
from math import inf

from tollbook.config import Route

from .health import Health
from .strategies import STRATEGIES, Level, Situation


class Pool:
    """The deployments of one public model name, in levels: lower `order` first, stand-bys (weight 0) last in theirs."""

    __slots__ = ("_levels", "_pick", "healths", "route")

    def __init__(self, route: Route, healths: Iterable[Health]) -> None:
        self.route = route
        self.healths = sorted(healths, key=_level)
        self._levels = [Level(tuple(group)) for _, group in groupby(self.healths, key=_level)]
        self._pick = STRATEGIES[route.strategy]

    def ready(self, situation: Situation, without: Collection[Health] = ()) -> Health | None:
        """One that is neither cooling nor at a limit, by the route's strategy."""
        now = situation.now
        for level in self._levels:
            ready = [health for health in level.healths if health.free_at <= now]
            if without:
                ready = [health for health in ready if health not in without]
            if len(ready) > 1:
                return self._pick(level, ready, situation)
            if ready:
                return ready[0]
        return None

    def any(self, situation: Situation, without: Collection[Health] = ()) -> Health | None:
        """A ready one, else of those below their limits the one that cools for the shortest time."""
        found = self.ready(situation, without)
        if found is not None:
            return found
        now = situation.now
        cooling = [health for health in self.healths if health.limited_until <= now and health not in without]
        return min(cooling, key=lambda health: health.cooling_until, default=None)

    def free_at(self) -> float:
        """When the first of them is below its limits again; infinite while that depends on calls in flight."""
        return min((health.limited_until for health in self.healths), default=inf)


def _level(health: Health) -> tuple[int, bool]:
    return health.deployment.order, health.deployment.weight == 0
