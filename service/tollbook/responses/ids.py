"""Identifiers: `resp_`, `msg_`, `fc_` ... and time-ordered hex."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

MakeId = Callable[[str], str]
"""A prefix such as "msg" -> a new identifier such as "msg_0193...". Tests give one that counts."""


_random = random.Random()  # noqa: S311 - ids carry no secret: authority is the owner row, not the id
os.register_at_fork(after_in_child=_random.seed)


def make_id(prefix: str, *, at: int | None = None) -> str:
    """48 bits of milliseconds, then 80 random bits, as 32 hex digits: ids sort by the time they were made (RFC 9562 §5.7).

    `at` is that time in nanoseconds since 1970, if it is not now.
    """
    return f"{prefix}_{(time.time_ns() if at is None else at) // 1_000_000:012x}{_random.getrandbits(80):020x}"


def time_of(identifier: str) -> int | None:
    """The milliseconds since 1970 in an id of ours, or None if it is not one: a time bound for lookups."""
    digits = identifier.rpartition("_")[2]
    if len(digits) != 32:
        return None
    try:
        return int(digits[:12], 16)
    except ValueError:
        return None


def response_of(item_id: str) -> str | None:
    """The id of the response that an output item of ours belongs to, or None if the item id is not one of ours."""
    digits = item_id.rpartition("_")[2]
    return f"resp_{digits[:32]}" if len(digits) == 35 and digits.isalnum() else None
