"""Requests and tokens a minute, as a bucket that fills up: `limit` at the most, and a minute from empty to full.

A bucket is kept as the moment at which it will be full (the generic cell rate algorithm, ITU-T I.371), so that filling needs no
clockwork. Times are integer nanoseconds since 1970.
"""

from __future__ import annotations

from typing import NamedTuple

MINUTE = 60_000_000_000
DEEPEST = 24 * 60 * MINUTE
"""Nobody waits longer than a day for a limit per minute, whatever was asked for."""


class Bucket(NamedTuple):
    """`full_at` may lie more than a minute ahead: then more was used than there was. `seen` is when it was last looked at."""

    full_at: int
    seen: int


def as_of(bucket: Bucket, now: int) -> Bucket:
    """The bucket at a moment. A clock that was set back takes its moment of fullness along: nothing fills up in the meantime, and
    nobody waits for the time to come again."""
    full_at = bucket.full_at
    if now < bucket.seen:
        full_at -= bucket.seen - now
    return Bucket(max(full_at, now), now)


def remaining(bucket: Bucket, limit: int) -> int:
    """How many are left; negative when more were used than there were."""
    return (MINUTE - (bucket.full_at - bucket.seen)) * limit // MINUTE


def use(bucket: Bucket, limit: int, count: int) -> Bucket:
    """After so many more. A negative count gives some back."""
    full_at = bucket.full_at + count * MINUTE // limit
    return bucket._replace(full_at=min(max(full_at, bucket.seen), bucket.seen + DEEPEST))


def wait(bucket: Bucket, limit: int) -> int:
    """Nanoseconds until one is there; 0 when it is."""
    one = -(-MINUTE // limit)  # rounded up, so that it is really there then
    return max(bucket.full_at - bucket.seen - MINUTE + one, 0)


def until_full(bucket: Bucket) -> int:
    """Nanoseconds until the bucket is full."""
    return bucket.full_at - bucket.seen


def told(nanoseconds: int) -> str:
    """A time as OpenAI's `x-ratelimit-reset-*` headers have it: "120ms", "1s", "6m0s"
    (https://platform.openai.com/docs/guides/rate-limits)."""
    milliseconds = -(-nanoseconds // 1_000_000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    seconds = -(-milliseconds // 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"
