"""Each strategy's picks have the distribution that it promises: Pearson's chi-square over 10,000 picks.

The critical values are those of a table for p = 0.001 (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4); the
random numbers are seeded, so a test that passes once passes always.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tollbook.config import Deployment, config_from
from tollbook.routing.plan import Choice
from tollbook.routing.router import Router

PICKS = 10_000
CRITICAL = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467}
"""Degrees of freedom -> the statistic that chance exceeds once in 1,000."""


class Clock:
    """Simulated seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def router(
    places: Mapping[str, Mapping[str, Any]],
    clock: Clock,
    *,
    price: Callable[[Deployment], float | None] | None = None,
    **settings: Any,
) -> Router:
    models = [
        {
            "model_name": "m",
            "litellm_params": {"model": "simulated/echo", **params},
            "model_info": {"id": name},
        }
        for name, params in places.items()
    ]
    config = config_from({"model_list": models, "router_settings": settings}, {})
    more = {"price": price} if price else {}
    return Router(config, rng=random.Random(20260101), clock=clock, **more)


def pick(of: Router) -> Choice:
    choice = of.plan("m").next(None)
    assert choice is not None
    return choice


def picks(of: Router, count: int = PICKS) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(count):
        with pick(of) as choice:
            found[choice.deployment.id] += 1
    return found


def assert_shares(found: Counter[str], shares: Mapping[str, float]) -> None:
    whole, total = sum(shares.values()), sum(found.values())
    assert set(found) <= set(shares)
    expected = {name: total * share / whole for name, share in shares.items()}
    statistic = sum((found[name] - count) ** 2 / count for name, count in expected.items())
    assert statistic < CRITICAL[len(shares) - 1], (found, expected)


@pytest.mark.parametrize(
    ("places", "shares"),
    [
        ({"a": {}, "b": {}, "c": {}}, {"a": 1, "b": 1, "c": 1}),
        ({"a": {"weight": 1}, "b": {"weight": 2}, "c": {"weight": 7}}, {"a": 1, "b": 2, "c": 7}),
        ({"a": {"weight": 3}, "b": {}}, {"a": 3, "b": 1}),
        ({"a": {"weight": 1, "rpm": 90_000_000}, "b": {"weight": 1, "rpm": 10_000_000}}, {"a": 1, "b": 1}),
        ({"a": {"rpm": 9_000_000}, "b": {"rpm": 1_000_000}}, {"a": 9, "b": 1}),
        ({"a": {"tpm": 600_000}, "b": {"tpm": 200_000}, "c": {"tpm": 200_000}}, {"a": 3, "b": 1, "c": 1}),
        ({"a": {"rpm": 9_000_000}, "b": {}}, {"a": 1, "b": 1}),
        ({"a": {"order": 1}, "b": {"order": 1}, "c": {"order": 2}}, {"a": 1, "b": 1}),
        ({"a": {"weight": 0}, "b": {"weight": 2}, "c": {"weight": 1}}, {"b": 2, "c": 1}),
        ({"a": {"weight": 0}, "b": {"weight": 0}}, {"a": 1, "b": 1}),
    ],
    ids=[
        "even",
        "weights",
        "one-weight",
        "weight-before-rpm",
        "rpm",
        "tpm",
        "not-all-rpm",
        "order",
        "stand-by",
        "zeros",
    ],
)
def test_simple_shuffle_shares_by_weight_else_rpm_else_tpm_else_evenly(
    places: dict[str, Any], shares: dict[str, float]
) -> None:
    assert_shares(picks(router(places, Clock())), shares)


def test_a_stand_by_is_used_when_no_other_of_its_order_is_ready_and_before_the_next_order() -> None:
    places = {
        "main": {"max_parallel_requests": 1},
        "spare": {"weight": 0, "max_parallel_requests": 1},
        "far": {"order": 1},
    }
    of = router(places, Clock())

    assert [pick(of).deployment.id for _ in range(3)] == ["main", "spare", "far"]


def test_shares_stay_in_proportion_when_one_is_left_out() -> None:
    of = router({"a": {"weight": 1, "max_parallel_requests": 1}, "b": {"weight": 2}, "c": {"weight": 6}}, Clock())
    of.begins(next(h for h in of.find("m").healths if h.deployment.id == "a"))  # type: ignore[union-attr]

    assert_shares(picks(of), {"b": 1, "c": 3})


def test_least_busy_chooses_the_fewest_in_flight_and_shares_among_equals() -> None:
    of = router({"a": {}, "b": {}, "c": {}}, Clock(), routing_strategy="least-busy")
    held = [pick(of) for _ in range(31)]
    counts = Counter(choice.deployment.id for choice in held)
    assert sorted(counts.values()) == [10, 10, 11]
    busy = max(counts, key=lambda name: counts[name])

    assert_shares(picks(of), {name: 1 for name in counts if name != busy})


def test_latency_chooses_the_quickest_and_those_within_the_buffer_share() -> None:
    of = router(
        {"a": {}, "b": {}, "slow": {}},
        Clock(),
        routing_strategy="latency-based-routing",
        routing_strategy_args={"lowest_latency_buffer": 0.2},
    )
    seconds = {"a": 1.0, "b": 1.1, "slow": 1.5}
    seen = set()
    while len(seen) < 3:  # who was not heard of yet is tried first
        with pick(of) as choice:
            assert choice.deployment.id not in seen
            seen.add(choice.deployment.id)
            choice.succeeds(seconds[choice.deployment.id], 10)

    assert_shares(picks(of), {"a": 1, "b": 1})


def test_a_latency_decays_with_new_ones_and_is_forgotten_with_time() -> None:
    clock = Clock()
    of = router({"a": {}, "b": {}}, clock, routing_strategy="latency-based-routing")
    for _ in range(2):
        with pick(of) as choice:
            choice.succeeds(1.0 if choice.deployment.id == "a" else 2.0, 10)
    assert set(picks(of, 100)) == {"a"}
    for _ in range(20):  # a becomes slow
        with pick(of) as choice:
            choice.succeeds(5.0 if choice.deployment.id == "a" else 2.0, 10)
    assert set(picks(of, 100)) == {"b"}

    clock.now += 61
    assert_shares(picks(of), {"a": 1, "b": 1})


def test_latencies_of_streams_and_of_whole_answers_are_not_mixed() -> None:
    from tollbook.routing.plan import Wishes

    of = router({"a": {}, "b": {}}, Clock(), routing_strategy="latency-based-routing")
    for stream, seconds in ((True, {"a": 0.1, "b": 0.3}), (False, {"a": 9.0, "b": 3.0})):
        for _ in range(2):
            choice = of.plan("m", Wishes(stream=stream)).next(None)
            assert choice is not None
            choice.succeeds(seconds[choice.deployment.id], 10)

    for stream, quickest in ((True, "a"), (False, "b")):
        choice = of.plan("m", Wishes(stream=stream)).next(None)
        assert choice is not None
        assert choice.deployment.id == quickest


def test_cost_chooses_the_cheapest_shares_among_equals_and_leaves_the_unpriced_for_last() -> None:
    prices = {"a": 5.0, "b": 5.0, "dear": 6.0, "unknown": None}
    limits = {name: {"max_parallel_requests": 20_000} for name in prices}
    of = router(limits, Clock(), price=lambda d: prices[d.id], routing_strategy="cost-based-routing")

    assert_shares(picks(of), {"a": 1, "b": 1})

    few = {name: {"max_parallel_requests": 1} for name in prices}
    of = router(few, Clock(), price=lambda d: prices[d.id], routing_strategy="cost-based-routing")
    assert [pick(of).deployment.id for _ in range(4)][2:] == ["dear", "unknown"]


def test_usage_chooses_the_most_room_under_tpm_and_rpm() -> None:
    clock = Clock()
    of = router({"big": {"tpm": 3_000_000}, "small": {"tpm": 1_000_000}}, clock, routing_strategy="usage-based-routing")
    used: Counter[str] = Counter()
    for _ in range(PICKS):
        with pick(of) as choice:
            choice.succeeds(0.1, 100)
            used[choice.deployment.id] += 1

    assert_shares(used, {"big": 3, "small": 1})
    assert abs(used["big"] - 3 * used["small"]) <= 4  # and far evener than chance would be

    clock.now += 61  # the minute is over
    assert_shares(picks(of), {"big": 1, "small": 1})


def test_usage_without_limits_chooses_the_fewest_tokens() -> None:
    of = router({"a": {}, "b": {}}, Clock(), routing_strategy="usage-based-routing")
    with pick(of) as choice:
        choice.succeeds(0.1, 1000)

    assert set(picks(of, 100)) == {"a", "b"} - {choice.deployment.id}
