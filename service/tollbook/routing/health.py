"""How deployments are doing, the one rule of cooling down, and their limits. docs/routing.md says it to operators.

A deployment cools down for `cooldown_time` seconds
  * at once, when it says that it will not serve (rate limit, wrong key, no such model: `Verdict.cool`),
  * when more than `allowed_fails` of its attempts failed within the last minute without a success between them, or
  * when the probe failed that was let through after an earlier cooldown.
A provider's own `retry-after` lengthens it, to five minutes at the most. While it cools, others are asked; it is asked
itself only when no other is left. After the time one attempt at a time is let through until one succeeds.

A deployment at one of its limits (`rpm`, `tpm`, `max_parallel_requests`) is not asked at all.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Any

from tollbook.config import Deployment
from tollbook.errors import UpstreamError

from .limits import MINUTE, Minute
from .policy import POLICY, told

LONGEST_COOLDOWN = 300.0
"""Seconds; no provider's word shuts a deployment out for longer."""

_WEIGHT = 0.2
"""Of the newest latency, and of the newest call's tokens, in their decaying averages."""


class Health:
    """One deployment. Times are in seconds of a monotonic clock.

    Whoever chooses looks only at `free_at` and `limited_until`; every event brings them up to date.
    """

    __slots__ = (
        "_typical",
        "cooling_until",
        "deployment",
        "failures",
        "free_at",
        "heard",
        "in_flight",
        "latency",
        "limited_until",
        "minute",
        "price",
        "probing",
        "reason",
        "stale_at",
        "told_until",
        "used",
    )

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.in_flight = 0
        self.minute = Minute()
        self.failures: deque[float] = deque()
        self.cooling_until = 0.0
        """End of the cooldown; stays set until a success, so that the next attempt is a probe."""
        self.told_until = 0.0
        """Until when the provider itself asked not to be asked."""
        self.probing = False
        self.reason: str | None = None
        """Why it cools, or cooled last: the error's kind."""
        self.limited_until = 0.0
        """When it is below its limits again; infinite: when a call in flight ends."""
        self.free_at = 0.0
        """When it may be chosen like any other."""
        self.price: float | None = None
        """What a typical call costs here, once somebody asked."""
        self.latency = [0.0, 0.0]
        """Seconds to the first output, decaying averages: of whole answers, and of streams."""
        self.heard = [-inf, -inf]
        """When each was heard last."""
        self.used = 0.0
        """How much of its `tpm` or `rpm` is used, whichever is nearer to its limit; without limits, the tokens themselves."""
        self.stale_at = inf
        """When `used` is to be counted anew, if nothing happens before."""
        self._typical = 0.0
        """Tokens of a call, decaying average: what those in flight will probably use."""

    def unheard(self, oldest: float) -> float:
        """Its latency when none is newer than `oldest`: 0.0, so that it is tried again, unless its last word was a failure."""
        return inf if self.failures and self.failures[-1] > oldest else 0.0

    def share(self, now: float) -> float:
        """`used`, when something has become older than a minute since."""
        self.minute.forget(now)
        self._count()
        return self.used

    def report(self, now: float) -> dict[str, Any]:
        """As JSON. `cooling` and `limited` are in seconds from now, `latency` in seconds; null where nothing is known."""
        self.minute.forget(now)
        self._settle(now)
        deployment = self.deployment
        cooling = max(self.cooling_until - now, 0.0)
        state = "limited" if self.limited_until > now else "cooling" if cooling else "ready"
        if state == "ready" and self.cooling_until:
            state = "probing" if self.probing else "half-open"
        limited = max(self.limited_until - now, 0.0)
        return {
            "state": state,
            "in_flight": self.in_flight,
            "latency": next((self.latency[form] for form in (True, False) if self.heard[form] > -inf), None),
            "failures": sum(at >= now - MINUTE for at in self.failures),
            "cooling": cooling,
            "reason": self.reason,
            "limited": None if limited == inf else limited,
            "limits": {
                "requests": {"used": self.minute.requests, "limit": deployment.rpm},
                "tokens": {"used": self.minute.tokens, "limit": deployment.tpm},
                "parallel": {"used": self.in_flight, "limit": deployment.max_parallel_requests},
            },
        }

    # --------------------------------------------------------------------------------------------------------- events

    def begins(self, now: float) -> None:
        self.in_flight += 1
        self.minute.add(now, requests=1)
        self.probing = 0 < self.cooling_until <= now
        self._settle(now)

    def succeeds(self, now: float, *, seconds_to_first: float | None, stream: bool, tokens: int) -> None:
        self.cooling_until, self.told_until, self.reason = 0.0, 0.0, None
        self.failures.clear()
        if seconds_to_first is not None:
            known, old = self.latency[stream], self.heard[stream] < now - MINUTE
            self.latency[stream] = seconds_to_first if old else known + _WEIGHT * (seconds_to_first - known)
            self.heard[stream] = now
        self._typical += (_WEIGHT if self._typical else 1.0) * (tokens - self._typical)
        self._ends(now, tokens)

    def given_up(self, now: float, tokens: int = 0) -> None:
        """Neither success nor failure: the client went away, or another attempt was quicker."""
        self._ends(now, tokens)

    def fails(
        self, now: float, error: UpstreamError, *, allowed: int, cooldown: float, cools: bool, tokens: int = 0
    ) -> None:
        verdict = POLICY[error.kind]
        wait = told(error.retry_after)
        if wait:
            self.told_until = now + wait
        if verdict.counts and cools:
            self.failures.append(now)
            while self.failures[0] < now - MINUTE:
                self.failures.popleft()
            if verdict.cool or self.probing or len(self.failures) > allowed:
                self.cooling_until = now + max(cooldown, min(wait, LONGEST_COOLDOWN))
                self.reason = error.kind
        self._ends(now, tokens)

    def adjust(self, deployment: Deployment, now: float) -> None:
        """The configuration says something else about it; what is under way goes on."""
        self.deployment, self.price = deployment, None
        self._settle(now)

    def forgettable(self, now: float) -> bool:
        """Whether a new record would say the same, but for the latency."""
        self.minute.forget(now)
        return not (self.in_flight or self.cooling_until or self.failures or self.minute.requests)

    def _ends(self, now: float, tokens: int) -> None:
        self.in_flight -= 1
        self.probing = False
        if tokens:
            self.minute.add(now, tokens=tokens)
        self._settle(now)

    def _settle(self, now: float) -> None:
        deployment = self.deployment
        most = deployment.max_parallel_requests
        limited = 0.0
        if most is not None and self.in_flight >= most:
            limited = inf
        elif deployment.rpm is not None or deployment.tpm is not None:
            limited = self.minute.free_at(now, deployment.rpm, deployment.tpm)
            if not limited and deployment.tpm is not None and self.in_flight:
                expected = self.minute.tokens + self.in_flight * self._typical
                limited = inf if expected >= deployment.tpm else 0.0
        self._count()
        self.limited_until = limited
        self.free_at = max(limited, inf if self.probing else self.cooling_until)

    def _count(self) -> None:
        minute, deployment = self.minute, self.deployment
        requests = 0.0 if deployment.rpm is None else minute.requests / deployment.rpm
        tokens = 0.0 if deployment.tpm is None else minute.tokens / deployment.tpm
        limited = deployment.rpm is not None or deployment.tpm is not None
        self.used = max(requests, tokens) if limited else float(minute.tokens)
        self.stale_at = minute.stale_at
