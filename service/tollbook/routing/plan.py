"""The attempts of one call, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tollbook.call import Reason
from tollbook.config import Deployment, Route
from tollbook.errors import RateLimited, UpstreamError

from .health import Health
from .policy import LONGEST_WAIT, POLICY, Next, backoff
from .pool import Pool
from .strategies import Situation

if TYPE_CHECKING:
    from .router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What one call wants of its routing. None leaves it to the configuration."""

    owner: str | None = None
    """The id of the deployment to ask first: the one that made what this call follows."""
    owner_fell_back: bool = False
    """Whether the owner answered for the model asked for: then it is looked for among that model's fallbacks, too."""
    stream: bool = False
    num_retries: int | None = None
    fallbacks: tuple[str, ...] | None = None
    disable_fallbacks: bool = False


NO_WISHES = Wishes()

_LISTS: tuple[Next, ...] = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


class Choice:
    """One attempt to make: where, why, and after how many seconds.

    It holds a place at the deployment from the moment it is chosen, so that limits hold however many choose at once. It
    must be told how the attempt went, or be closed; leaving its `with` block closes it.
    """

    __slots__ = ("_health", "_open", "_router", "_stream", "delay", "deployment", "error", "reason")

    def __init__(self, router: Router, health: Health, reason: Reason, delay: float, *, stream: bool) -> None:
        self.deployment: Deployment = health.deployment
        self.reason: Reason = reason
        self.delay = delay
        self.error: UpstreamError | None = None
        self._router = router
        self._health = health
        self._stream = stream
        self._open = True
        router.begins(health)

    def succeeds(self, seconds_to_first: float | None, tokens: int) -> None:
        """It answered."""
        if self._open:
            self._open = False
            self._router.succeeds(self._health, seconds_to_first, stream=self._stream, tokens=tokens)

    def fails(self, error: UpstreamError, tokens: int = 0) -> None:
        """It failed; `tokens` is what it used all the same."""
        self.error = error
        if self._open:
            self._open = False
            self._router.fails(self._health, error, tokens)

    def close(self, tokens: int = 0) -> None:
        """It was given up, or never made. Told already, this says nothing new."""
        if self._open:
            self._open = False
            self._router.given_up(self._health, tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Plan:
    """The attempts of one call: `next(error)` after each failure, until it answers None.

    At most 1 + num_retries attempts for each model and 1 + max_fallbacks models, no model twice, and one hedge beside them.
    """

    def __init__(self, router: Router, pool: Pool, wishes: Wishes) -> None:
        self._router = router
        self._settings = router.config.router
        self._wishes = wishes
        self._pool = pool
        self._tried: list[tuple[Health, Choice]] = []
        """At the present model, hedges not counted."""
        self._models = {pool.route.name}
        self._queue: list[str] | None = None
        self._hedge: tuple[Health, Choice] | None = None
        self._away = False
        """Whether the attempt under way is at the owner, elsewhere than at the model asked for."""

    def next(self, error: UpstreamError | None) -> Choice | None:
        """Where to try next after `error` (None: nothing was tried yet), or None: it is over.

        Raises RateLimited when nothing could be tried at all, because everything is at its limits.
        """
        with self._router.lock:
            if error is None:
                return self._first()
            verdict = POLICY[error.kind]
            if self._away:
                self._away = False
                return self._here("fallback") if verdict.then != "nothing" else None
            found = self._retry() if verdict.again or verdict.elsewhere else None
            return found or self._fall_back(verdict.then)

    def hedge(self) -> Choice | None:
        """A second attempt beside the one under way, at another deployment of its model that is ready; once in a call."""
        with self._router.lock:
            tried = {health for health, _ in self._tried}
            health = self._pool.ready(self._situation(), tried) if self._hedge is None and not self._away else None
            if health is None:
                return None
            choice = Choice(self._router, health, "hedge", 0.0, stream=self._wishes.stream)
            self._hedge = (health, choice)
            return choice

    def _first(self) -> Choice:
        owner = self._wishes.owner
        if owner is not None:
            now = self._situation().now
            for health in self._pool.healths:
                if health.deployment.id == owner and health.free_at <= now:
                    return self._attempt(health, "initial")
            if self._wishes.owner_fell_back and (away := self._among_fallbacks(owner)) is not None:
                name, health = away
                if health.free_at <= now:
                    self._models.add(name)
                    self._away = True
                    return Choice(self._router, health, "initial", 0.0, stream=self._wishes.stream)
        return self._here("initial")

    def _among_fallbacks(self, owner: str) -> tuple[str, Health] | None:
        """The owner, where it serves one of the models that may follow the one asked for, with that model's name."""
        if not self._settings.max_fallbacks:
            return None
        seen = {self._pool.route.name}
        queue = [self._pool.route]
        while queue:
            route = queue.pop(0)
            for then in _LISTS:
                for name in self._after(then, route):
                    pool = self._router.find(name)
                    if pool is None or pool.route.name in seen:
                        continue
                    seen.add(pool.route.name)
                    queue.append(pool.route)
                    for health in pool.healths:
                        if health.deployment.id == owner:
                            return pool.route.name, health
        return None

    def _here(self, reason: Reason) -> Choice:
        """The first attempt at the model asked for."""
        situation = self._situation()
        ready = self._pool.ready(situation)
        if ready is not None:
            return self._attempt(ready, reason)
        # Nobody is ready here: a fallback that is comes before one that cools.
        elsewhere = self._fall_back("fallbacks", cooling=False)
        if elsewhere is not None:
            return elsewhere
        cooling = self._pool.any(situation)
        if cooling is not None:
            return self._attempt(cooling, reason)
        wait = self._pool.free_at() - situation.now
        raise RateLimited(
            f"All deployments of '{self._pool.route.name}' are at their limits.",
            code="deployment_limits_reached",
            retry_after=1.0 if wait == inf else max(wait, 1.0),
        )

    def _retry(self) -> Choice | None:
        """Another deployment of this model at once, else one of those tried after a wait."""
        last = self._tried[-1][0].deployment
        retries = self._wishes.num_retries
        if retries is None:
            retries = self._settings.num_retries if last.max_retries is None else last.max_retries
        if len(self._tried) > retries:
            return None
        situation = self._situation()
        tried = self._tried if self._hedge is None else [*self._tried, self._hedge]
        another = self._pool.ready(situation, {health for health, _ in tried})
        if another is not None:
            return self._attempt(another, "retry")
        # Who said that it will not serve this call, or not for a long time, is not asked again.
        latest = situation.now + LONGEST_WAIT
        spent = {h for h, choice in tried if choice.error is not None and not POLICY[choice.error.kind].again}
        spent |= {health for health in self._pool.healths if health.told_until > latest}
        same = self._pool.any(situation, spent)
        if same is None:
            return None
        delay = backoff(
            len(self._tried),
            least=self._settings.retry_after,
            wait=same.told_until - situation.now,
            chance=self._router.random.random(),
        )
        return self._attempt(same, "retry", delay)

    def _fall_back(self, then: Next, *, cooling: bool = True) -> Choice | None:
        """The next model with a deployment that is ready, else (`cooling`) with one that may be asked at all."""
        if then == "nothing":
            return None
        self._queue = list(dict.fromkeys([*self._after(then, self._pool.route), *(self._queue or ())]))
        if len(self._models) > self._settings.max_fallbacks:
            return None
        situation = self._situation()
        found = (self._router.find(name) for name in self._queue)
        pools = [pool for pool in found if pool is not None and pool.route.name not in self._models]
        for choose in (Pool.ready, Pool.any) if cooling else (Pool.ready,):
            for pool in pools:
                health = choose(pool, situation)
                if health is not None:
                    self._models.add(pool.route.name)
                    self._pool, self._tried = pool, []
                    return self._attempt(health, "fallback")
        return None

    def _after(self, then: Next, route: Route) -> Sequence[str]:
        """The models that come after a route's, by the kind of failure. A client's own list is the whole list."""
        wishes = self._wishes
        if wishes.disable_fallbacks:
            return ()
        listed: Sequence[str] = getattr(route, then)
        if wishes.fallbacks is None:
            return listed
        return (listed if then != "fallbacks" else ()) or wishes.fallbacks

    def _attempt(self, health: Health, reason: Reason, delay: float = 0.0) -> Choice:
        choice = Choice(self._router, health, reason, delay, stream=self._wishes.stream)
        self._tried.append((health, choice))
        return choice

    def _situation(self) -> Situation:
        return self._router.situation(stream=self._wishes.stream)
