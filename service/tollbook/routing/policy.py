"""What follows from a failure, as one table over its kind. No code looks at the words of a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from tollbook.errors import Kind

Next = Literal["fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "nothing"]


class Verdict(NamedTuple):
    """`again`: the same deployment may succeed later. `elsewhere`: another deployment of the same model may.
    `then`: which list of other models comes after that. `cool`: leave the deployment alone at once; otherwise failures
    are counted. `counts`: whether it says anything about the deployment's health."""

    again: bool
    elsewhere: bool
    then: Next
    cool: bool = False
    counts: bool = True


POLICY: Mapping[Kind, Verdict] = {
    "rate_limit": Verdict(again=True, elsewhere=True, then="fallbacks", cool=True),
    "overloaded": Verdict(again=True, elsewhere=True, then="fallbacks"),
    "timeout": Verdict(again=True, elsewhere=True, then="fallbacks"),
    "connection": Verdict(again=True, elsewhere=True, then="fallbacks"),
    "server": Verdict(again=True, elsewhere=True, then="fallbacks"),
    "truncated": Verdict(again=True, elsewhere=True, then="fallbacks"),
    # A wrong key or name will not mend itself within a request, but another deployment has its own.
    "auth": Verdict(again=False, elsewhere=True, then="fallbacks", cool=True),
    "not_found": Verdict(again=False, elsewhere=True, then="fallbacks", cool=True),
    # The request is what fails; only another kind of model can help.
    "context_length": Verdict(again=False, elsewhere=False, then="context_window_fallbacks", counts=False),
    "content_filter": Verdict(again=False, elsewhere=False, then="content_policy_fallbacks", counts=False),
    "bad_request": Verdict(again=False, elsewhere=False, then="nothing", counts=False),
}

LONGEST_WAIT = 8.0
"""Seconds between two tries at the most: a client waits behind it. A provider that asks for more is left for others."""

LONGEST_TOLD = 86_400.0
"""Seconds; a provider that says to come back later than tomorrow says nothing."""


def told(error_says: float | None) -> float:
    """A provider's `retry-after` as seconds that can be counted with: 0 for none, for the past and for what is no number."""
    if error_says is None or not error_says > 0:  # NaN is not above 0 either
        return 0.0
    return min(error_says, LONGEST_TOLD)


def backoff(retry: int, *, least: float, wait: float, chance: float) -> float:
    """Seconds to wait before retry number `retry` (from 1) of the same deployment: exponential with full jitter, never
    less than `wait`, what the provider told, and `least`, what the operator set. `chance` is a random number in [0, 1).
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)"""
    exponential = min(0.5 * float(2 ** min(retry - 1, 16)), LONGEST_WAIT)
    return max(least, wait if wait > 0 else exponential * chance)
