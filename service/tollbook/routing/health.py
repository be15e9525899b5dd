"""How deployments are doing, and the one rule of cooling down.

A deployment cools down for `cooldown_time` seconds
  * at once, when it says that it will not serve (rate limit, wrong key, no such model: `Verdict.cool`), or
  * when more than `allowed_fails` of its attempts failed within the last minute.
A provider's own `retry-after` lengthens it, to five minutes at the most. While it cools, others are asked; it is asked
itself only when no other is left. After the time one attempt at a time is let through until one succeeds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tollbook.errors import UpstreamError

from .policy import POLICY

WINDOW = 60.0
"""Seconds over which failures are counted."""

LONGEST_COOLDOWN = 300.0
"""Seconds; no provider's word shuts a deployment out for longer."""


@dataclass(slots=True)
class Health:
    """One deployment. Times are in seconds of a monotonic clock."""

    in_flight: int = 0
    cooling_until: float = 0.0
    probing: bool = False
    reason: str | None = None
    """Why it cools, or cooled last."""
    latency: float | None = None
    """Seconds to the first output, decaying average."""
    failures: deque[float] = field(default_factory=deque)

    def ready(self, now: float) -> bool:
        """Whether it may be asked like any other."""
        if self.cooling_until > now:
            return False
        return not (self.cooling_until and self.in_flight and self.probing)

    def report(self, now: float) -> dict[str, Any]:
        """As JSON. `cooling` is in seconds from now."""
        return {
            "in_flight": self.in_flight,
            "latency": self.latency,
            "failures": sum(at >= now - WINDOW for at in self.failures),
            "cooling": max(self.cooling_until - now, 0.0),
            "reason": self.reason,
        }

    def begins(self, now: float) -> None:
        self.in_flight += 1
        self.probing = 0 < self.cooling_until <= now

    def succeeds(self, seconds_to_first: float | None) -> None:
        self.in_flight -= 1
        self.cooling_until, self.probing, self.reason = 0.0, False, None
        self.failures.clear()
        if seconds_to_first is not None:
            self.latency = seconds_to_first if self.latency is None else 0.8 * self.latency + 0.2 * seconds_to_first

    def given_up(self) -> None:
        """Neither success nor failure: the client went away, or another attempt was quicker."""
        self.in_flight -= 1
        self.probing = False

    def fails(self, error: UpstreamError, now: float, *, allowed: int, cooldown: float) -> None:
        self.in_flight -= 1
        verdict = POLICY[error.kind]
        if not verdict.counts:
            self.probing = False
            return
        self.failures.append(now)
        while self.failures and self.failures[0] < now - WINDOW:
            self.failures.popleft()
        if verdict.cool or self.probing or len(self.failures) > allowed:
            told = min(error.retry_after or 0.0, LONGEST_COOLDOWN)
            self.cooling_until = now + max(cooldown, told)
            self.reason = error.kind
        self.probing = False
