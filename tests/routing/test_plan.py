"""The order of attempts, and that there are never more of them than the policy allows."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config import config_from
from tollbook.errors import ConfigError, Kind, NotFound, RateLimited, UpstreamError
from tollbook.routing.plan import Choice, Plan, Wishes
from tollbook.routing.policy import LONGEST_WAIT, POLICY
from tollbook.routing.router import Router


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def router(models: list[tuple[str, dict[str, Any]]], clock: Clock | None = None, **told: Any) -> Router:
    """Each model is (name, params); the id of the n-th deployment of "m" is "m1", "m2" ..."""
    counts: dict[str, int] = {}
    entries = []
    for name, params in models:
        counts[name] = counts.get(name, 0) + 1
        info = {"id": f"{name}{counts[name]}"}
        entries.append(
            {"model_name": name, "litellm_params": {"model": "simulated/echo", **params}, "model_info": info}
        )
    return Router(
        config_from({"model_list": entries, "router_settings": told}, {}), rng=random.Random(7), clock=clock or Clock()
    )


def failing(plan: Plan, *kinds: Kind, retry_after: float | None = None) -> list[Choice]:
    """The choices of a call whose attempts fail like that, one after the other; the last kind is repeated."""
    found: list[Choice] = []
    error: UpstreamError | None = None
    while (choice := plan.next(error)) is not None:
        found.append(choice)
        error = UpstreamError("x", kinds[min(len(found), len(kinds)) - 1], retry_after=retry_after)
        choice.fails(error)
        assert len(found) < 1000
    return found


def told(choices: list[Choice]) -> list[tuple[str, str]]:
    return [(choice.deployment.id, choice.reason) for choice in choices]


def test_a_retry_asks_others_at_once_before_it_waits_for_the_same() -> None:
    choices = failing(router([("m", {}), ("m", {})], num_retries=3).plan("m"), "server")

    assert {c.deployment.id for c in choices[:2]} == {"m1", "m2"}
    assert [c.delay for c in choices[:2]] == [0.0, 0.0]
    assert [c.reason for c in choices] == ["initial", "retry", "retry", "retry"]
    assert all(0 < c.delay <= LONGEST_WAIT for c in choices[2:])


def test_orders_are_tried_one_after_the_other() -> None:
    of = router([("m", {"order": 3}), ("m", {"order": 1}), ("m", {"order": 2})])

    assert [c.deployment.id for c in failing(of.plan("m"), "server")] == ["m2", "m3", "m1"]


@pytest.mark.parametrize("kind", ["auth", "not_found"])
def test_who_cannot_serve_this_call_is_not_asked_again(kind: Kind) -> None:
    assert len(failing(router([("m", {}), ("m", {})], num_retries=9).plan("m"), kind)) == 2


def test_a_bad_request_is_asked_once() -> None:
    of = router([("m", {}), ("m", {}), ("n", {})], fallbacks=[{"m": ["n"]}])

    assert len(failing(of.plan("m"), "bad_request")) == 1


def test_each_kind_of_failure_has_its_own_list_of_fallbacks() -> None:
    of = router(
        [(name, {}) for name in ("m", "any", "long", "lax")],
        num_retries=0,
        fallbacks=[{"m": ["any"]}],
        context_window_fallbacks=[{"m": ["long"]}],
        content_policy_fallbacks=[{"m": ["lax"]}],
    )

    for kind, next_id in {"server": "any1", "context_length": "long1", "content_filter": "lax1"}.items():
        assert told(failing(of.plan("m"), kind))[:2] == [("m1", "initial"), (next_id, "fallback")]  # type: ignore[arg-type]


def test_fallbacks_of_fallbacks_end_where_they_loop() -> None:
    of = router(
        [("a", {}), ("b", {}), ("c", {})], num_retries=0, fallbacks=[{"a": ["b"]}, {"b": ["c", "a"]}, {"c": ["a", "b"]}]
    )

    assert told(failing(of.plan("a"), "server")) == [("a1", "initial"), ("b1", "fallback"), ("c1", "fallback")]


def test_an_alias_in_a_loop_is_the_model_it_stands_for() -> None:
    of = router(
        [("a", {}), ("b", {})], num_retries=0, fallbacks=[{"a": ["other-a", "b"]}], model_group_alias={"other-a": "a"}
    )

    assert told(failing(of.plan("other-a"), "server")) == [("a1", "initial"), ("b1", "fallback")]


def test_the_number_of_fallback_models_is_bounded() -> None:
    names = [f"n{number}" for number in range(9)]
    of = router([(name, {}) for name in ["m", *names]], num_retries=0, fallbacks=[{"m": names}], max_fallbacks=2)

    assert len(failing(of.plan("m"), "server")) == 3


def test_a_fallback_to_an_unknown_model_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r'router_settings\.fallbacks: there is no model "nowhere"'):
        router([("m", {})], fallbacks=[{"m": ["nowhere"]}])


@pytest.mark.parametrize(
    "limit", ["rpm: -1", "tpm: -5", "rpm: 0", "max_parallel_requests: -1", "weight: -0.5", "hedge_after: 0"]
)
def test_negative_limits_are_errors_of_the_configuration(limit: str) -> None:
    name, _, value = limit.partition(": ")
    with pytest.raises(ConfigError, match=name):
        router([("m", {name: float(value)})])


def test_the_client_may_name_its_own_fallbacks_or_none_and_how_often_to_try() -> None:
    of = router(
        [("m", {}), ("n", {}), ("o", {})], num_retries=1, disable_cooldowns=True, fallbacks=[{"m": ["n"]}, {"o": ["n"]}]
    )

    def names(wishes: Wishes) -> list[str]:
        return [choice.deployment.id for choice in failing(of.plan("m", wishes), "connection")]

    assert names(Wishes()) == ["m1", "m1", "n1", "n1"]
    assert names(Wishes(num_retries=0)) == ["m1", "n1"]
    assert names(Wishes(num_retries=0, disable_fallbacks=True)) == ["m1"]
    assert names(Wishes(num_retries=0, fallbacks=("o",))) == ["m1", "o1"]


def test_when_all_cool_a_fallback_that_is_ready_comes_first_and_then_the_one_that_cools_shortest() -> None:
    clock = Clock()
    of = router([("m", {}), ("m", {}), ("n", {})], clock, num_retries=1, fallbacks=[{"m": ["n"]}])
    for choice in failing(of.plan("m", Wishes(disable_fallbacks=True)), "rate_limit"):
        assert choice.deployment.id in ("m1", "m2")
        clock.now += 1

    assert told(failing(of.plan("m"), "bad_request")) == [("n1", "fallback")]
    first = of.plan("m", Wishes(disable_fallbacks=True)).next(None)
    assert first is not None
    assert first.reason == "initial"
    assert of.health(first.deployment).cooling_until == min(
        of.health(d).cooling_until for d in of.route("m").deployments
    )


def test_at_the_limits_of_all_nothing_is_asked_and_the_client_hears_when_to_come_back() -> None:
    clock = Clock()
    of = router([("m", {"rpm": 2}), ("m", {"rpm": 1})], clock)
    for _ in range(3):
        with of.plan("m").next(None) as choice:  # type: ignore[union-attr]
            choice.succeeds(0.1, 1)

    with pytest.raises(RateLimited) as refused:
        of.plan("m").next(None)
    assert refused.value.status == 429
    assert refused.value.retry_after == pytest.approx(61.0)
    clock.now += 61
    assert of.plan("m").next(None) is not None


def test_a_place_is_held_from_the_choice_on_however_many_choose_at_once() -> None:
    of = router([("m", {"max_parallel_requests": 3}), ("m", {"max_parallel_requests": 2})])
    held = [of.plan("m").next(None) for _ in range(5)]
    with pytest.raises(RateLimited):
        of.plan("m").next(None)
    held[0].close()  # type: ignore[union-attr]
    held[0].close()  # type: ignore[union-attr]

    assert of.plan("m").next(None) is not None
    with pytest.raises(RateLimited):
        of.plan("m").next(None)


def test_the_owner_is_asked_first_while_it_is_ready() -> None:
    of = router([("m", {"order": 0}), ("m", {"order": 5})])
    for _ in range(20):
        assert failing(of.plan("m", Wishes(owner="m2", num_retries=0)), "bad_request")[0].deployment.id == "m2"

    failing(of.plan("m", Wishes(owner="m2", num_retries=0)), "rate_limit")
    assert failing(of.plan("m", Wishes(owner="m2")), "bad_request")[0].deployment.id == "m1"
    assert failing(of.plan("m", Wishes(owner="gone")), "bad_request")[0].deployment.id == "m1"


@pytest.mark.parametrize(("retry_after", "attempts"), [(3.0, 2), (9e9, 1), (float("nan"), 2), (-1.0, 2)])
def test_a_retry_waits_as_long_as_it_was_told_unless_that_is_too_long(retry_after: float, attempts: int) -> None:
    choices = failing(router([("m", {})], num_retries=1).plan("m"), "rate_limit", retry_after=retry_after)

    assert len(choices) == attempts
    if retry_after == 3.0:
        assert choices[1].delay == pytest.approx(3.0)
    assert all(choice.delay <= LONGEST_WAIT for choice in choices)


def test_a_retry_waits_at_least_retry_after_of_the_settings() -> None:
    choices = failing(router([("m", {})], num_retries=2, retry_after=1.5).plan("m"), "server")

    assert all(choice.delay >= 1.5 for choice in choices[1:])


def test_a_hedge_goes_elsewhere_once_and_is_not_tried_again() -> None:
    of = router([("m", {}), ("m", {}), ("m", {})], num_retries=1)
    plan = of.plan("m")
    first = plan.next(None)
    second = plan.hedge()
    assert first is not None
    assert second is not None
    assert second.reason == "hedge"
    assert plan.hedge() is None
    third = plan.next(UpstreamError("x", "server"))
    assert third is not None
    assert len({first.deployment.id, second.deployment.id, third.deployment.id}) == 3


def fallen_back(**settings: Any) -> Router:
    """Model m falls back to n and, when the input does not fit, to n's own fallback o."""
    return router(
        [("m", {}), ("n", {}), ("o", {})],
        num_retries=0,
        fallbacks=[{"m": ["n"]}],
        context_window_fallbacks=[{"n": ["o"]}],
        **settings,
    )


@pytest.mark.parametrize("owner", ["n1", "o1"])
def test_an_owner_that_answered_as_a_fallback_is_asked_first_then_the_model_itself(owner: str) -> None:
    of = fallen_back()
    choices = failing(of.plan("m", Wishes(owner=owner, owner_fell_back=True)), "server")

    assert [(c.deployment.id, c.reason) for c in choices][:2] == [(owner, "initial"), ("m1", "fallback")]
    assert len({c.deployment.id for c in choices}) == len(choices)


@pytest.mark.parametrize(
    ("wishes", "settings"),
    [
        (Wishes(owner="n1"), {}),
        (Wishes(owner="n1", owner_fell_back=True, disable_fallbacks=True), {}),
        (Wishes(owner="n1", owner_fell_back=True), {"max_fallbacks": 0}),
        (Wishes(owner="gone", owner_fell_back=True), {}),
    ],
    ids=["it answered for another model", "no fallbacks wanted", "no fallbacks allowed", "not configured any more"],
)
def test_an_owner_elsewhere_is_not_asked_when(wishes: Wishes, settings: dict[str, Any]) -> None:
    first = fallen_back(**settings).plan("m", wishes).next(None)

    assert first is not None
    assert first.deployment.id == "m1"


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(NotFound) as unknown:
        router([("m", {})]).plan("nobody")
    assert unknown.value.code == "model_not_found"


KINDS = st.sampled_from(sorted(POLICY))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Router, Clock, int, int, Wishes]:
    names = [f"n{number}" for number in range(draw(st.integers(1, 5)))]
    models = []
    for name in names:
        for _ in range(draw(st.integers(1, 3))):
            params: dict[str, Any] = {"order": draw(st.integers(0, 2)), "weight": draw(st.sampled_from([0, 1, 5]))}
            if draw(st.booleans()):
                params["max_retries"] = draw(st.integers(0, 4))
            if draw(st.booleans()):
                params["max_parallel_requests"] = draw(st.integers(1, 3))
            models.append((name, params))
    lists = st.lists(st.sampled_from(names), max_size=4)
    retries, most = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    clock = Clock()
    of = router(
        models,
        clock,
        num_retries=retries,
        max_fallbacks=most,
        routing_strategy=draw(
            st.sampled_from(["simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing"])
        ),
        fallbacks=[{name: draw(lists)} for name in names],
        context_window_fallbacks=[{name: draw(lists)} for name in names],
        default_fallbacks=draw(lists),
        disable_cooldowns=draw(st.booleans()),
    )
    own = draw(st.one_of(st.none(), st.integers(0, 3)))
    wishes = Wishes(
        num_retries=own,
        fallbacks=draw(st.one_of(st.none(), lists.map(tuple))),
        disable_fallbacks=draw(st.booleans()),
        owner=draw(st.sampled_from(["n01", "n12", "gone"])),
        owner_fell_back=draw(st.booleans()),
    )
    per_model = 1 + (own if own is not None else max([retries, *(p.get("max_retries", 0) for _, p in models)]))
    return of, clock, per_model, 1 + most, wishes


@given(situation=situations(), data=st.data())
@settings(max_examples=300, deadline=None)
def test_no_sequence_of_failures_leads_to_more_attempts_than_the_policy_allows(
    situation: Any, data: st.DataObject
) -> None:
    of, clock, per_model, models, wishes = situation
    for _ in range(3):
        plan = of.plan("n0", wishes)
        attempts: list[Choice] = []
        hedges = 0
        error: UpstreamError | None = None
        while (choice := plan.next(error)) is not None:
            attempts.append(choice)
            assert len(attempts) <= per_model * models
            assert 0 <= choice.delay <= LONGEST_WAIT
            clock.now += choice.delay
            if data.draw(st.integers(0, 3)) == 0 and (hedge := plan.hedge()) is not None:
                hedges += 1
                hedge.close()
            told_wait = data.draw(st.sampled_from([None, 0.5, 7.0, 60.0, 9e9, float("nan"), -3.0]))
            error = UpstreamError("x", data.draw(KINDS), retry_after=told_wait)
            choice.fails(error)
        assert hedges <= 1
        by_model: dict[str, int] = {}
        for attempt in attempts:
            by_model[attempt.deployment.name] = by_model.get(attempt.deployment.name, 0) + 1
        assert all(count <= per_model for count in by_model.values())
        assert len(by_model) <= (1 if wishes.disable_fallbacks else models)
        assert all(of.health(d).in_flight == 0 for d in of.config.deployments.values())


def test_a_router_for_another_configuration_keeps_what_is_known() -> None:
    old = router([("m", {"rpm": 5}), ("m", {})])
    held = old.plan("m", Wishes(owner="m1")).next(None)
    failing(old.plan("m", Wishes(owner="m2", num_retries=0)), "rate_limit")
    new = old.with_config(router([("m", {"max_parallel_requests": 1}), ("m", {}), ("n", {})]).config)

    assert held is not None
    report = {d.id: new.report(d)["health"] for d in new.config.deployments.values()}
    assert report["m1"][0]["state"] == "limited"
    assert report["m2"][0]["state"] == "cooling"
    held.succeeds(0.1, 5)
    assert new.report(new.config.deployments["m1"])["health"][0]["state"] == "ready"
