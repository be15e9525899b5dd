"""What a deployment was used for within the last minute, against its `rpm` and `tpm`."""

from __future__ import annotations

from collections import deque

MINUTE = 60.0


class Minute:
    """Requests and tokens of the last minute, counted in buckets of a second.

    A bucket is forgotten when its last moment is a minute old, so never are more than `rpm` requests counted free within
    any 60 seconds, wherever they begin. Times are in seconds of a monotonic clock.
    """

    __slots__ = ("_buckets", "requests", "stale_at", "tokens")

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()
        """Each is [second, requests, tokens], oldest first."""
        self.requests = 0
        self.tokens = 0
        self.stale_at = float("inf")
        """When the oldest bucket is to be forgotten."""

    def add(self, now: float, *, requests: int = 0, tokens: int = 0) -> None:
        self.forget(now)
        second = int(now)
        if not self._buckets or self._buckets[-1][0] != second:
            self._buckets.append([second, 0, 0])
            self.stale_at = self._buckets[0][0] + 1 + MINUTE
        bucket = self._buckets[-1]
        bucket[1] += requests
        bucket[2] += tokens
        self.requests += requests
        self.tokens += tokens

    def forget(self, now: float) -> None:
        """Leave out what is older than a minute."""
        while self.stale_at <= now:
            _, requests, tokens = self._buckets.popleft()
            self.requests -= requests
            self.tokens -= tokens
            self.stale_at = self._buckets[0][0] + 1 + MINUTE if self._buckets else float("inf")

    def free_at(self, now: float, rpm: int | None, tpm: int | None) -> float:
        """When one more request fits under both limits; 0.0 when it does now."""
        self.forget(now)
        too_many = self.requests - rpm + 1 if rpm is not None else 0
        too_much = self.tokens - tpm + 1 if tpm is not None else 0
        if too_many <= 0 and too_much <= 0:
            return 0.0
        for second, requests, tokens in self._buckets:
            too_many -= requests
            too_much -= tokens
            if too_many <= 0 and too_much <= 0:
                return second + 1 + MINUTE
        return now + MINUTE
