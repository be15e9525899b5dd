"""Requests and tokens a minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.access.rates import MINUTE, Bucket, as_of, remaining, told, until_full, use, wait

limits = st.integers(min_value=1, max_value=10**9)
NEW = Bucket(0, 0)


@given(limits, st.integers(min_value=0, max_value=2**62))
def test_a_new_bucket_is_full(limit: int, now: int) -> None:
    bucket = as_of(NEW, now)

    assert (remaining(bucket, limit), wait(bucket, limit), until_full(bucket)) == (limit, 0, 0)


@given(st.integers(min_value=1, max_value=500))
def test_a_full_bucket_holds_exactly_as_many_as_the_limit_says(limit: int) -> None:
    bucket = as_of(NEW, MINUTE)
    taken = 0
    while remaining(bucket, limit) >= 1:
        bucket = use(bucket, limit, 1)
        taken += 1

    assert taken == limit
    after = as_of(bucket, bucket.seen + wait(bucket, limit))
    assert remaining(after, limit) >= 1, "and the next one is there when it was told"


@given(limits, st.lists(st.integers(min_value=0, max_value=2 * MINUTE), max_size=50))
def test_no_span_of_time_sees_more_than_a_full_bucket_and_what_flows_in(limit: int, pauses: list[int]) -> None:
    start = now = 10**18
    bucket, taken = NEW, 0
    for pause in pauses:
        now += pause
        bucket = as_of(bucket, now)
        while remaining(bucket, limit) >= 1 and taken < 10**4:
            count = max(remaining(bucket, limit) // 2, 1)
            bucket = use(bucket, limit, count)
            taken += count

    assert taken <= limit + limit * (now - start) / MINUTE + len(pauses) + 64


@given(limits, st.integers(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=MINUTE))
def test_what_is_given_back_is_there_again(limit: int, count: int, later: int) -> None:
    bucket = as_of(Bucket(10**18 + later, 10**18), 10**18)
    before = remaining(bucket, limit)

    after = use(use(bucket, limit, count), limit, -count)

    assert remaining(after, limit) >= before
    assert remaining(after, limit) <= limit


@given(limits, st.integers(min_value=0, max_value=MINUTE), st.integers(min_value=1, max_value=10**18))
def test_a_clock_that_is_set_back_neither_fills_nor_locks_a_bucket(limit: int, full_in: int, back: int) -> None:
    now = 2 * 10**18
    bucket = Bucket(now + full_in, now)

    after = as_of(bucket, now - back)

    assert remaining(after, limit) == remaining(bucket, limit)
    assert wait(after, limit) == wait(bucket, limit)


@given(limits, st.integers(min_value=0, max_value=10**30))
def test_however_much_is_used_it_is_there_again_within_a_day(limit: int, count: int) -> None:
    bucket = use(as_of(NEW, 10**18), limit, count)

    assert bucket.full_at < 2**63
    assert until_full(bucket) <= 24 * 60 * MINUTE


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (120, "120ms"),
        (1000, "1s"),
        (1001, "2s"),
        (59_000, "59s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (3_661_000, "1h1m1s"),
    ],
)
def test_times_are_told_as_openai_tells_them(milliseconds: int, text: str) -> None:
    assert told(milliseconds * 1_000_000) == text
