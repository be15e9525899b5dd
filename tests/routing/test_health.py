"""Cooling down, probing, coming back, and the limits of a deployment: the rule of docs/routing.md."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tollbook.config import Deployment
from tollbook.errors import Kind, UpstreamError
from tollbook.routing.health import LONGEST_COOLDOWN, Health
from tollbook.routing.limits import Minute
from tollbook.routing.policy import LONGEST_TOLD, POLICY, backoff, told

ALLOWED, COOLDOWN = 3, 5.0


def health(**limits: int) -> Health:
    return Health(Deployment(id="d", name="m", provider="simulated", model="echo", **limits))


def fail(of: Health, now: float, kind: Kind = "server", retry_after: float | None = None) -> None:
    of.begins(now)
    of.fails(now, UpstreamError("x", kind, retry_after=retry_after), allowed=ALLOWED, cooldown=COOLDOWN, cools=True)


def succeed(of: Health, now: float) -> None:
    of.begins(now)
    of.succeeds(now, seconds_to_first=0.1, stream=True, tokens=10)


def test_one_failure_more_than_allowed_within_a_minute_cools() -> None:
    of = health()
    for second in range(ALLOWED):
        fail(of, float(second))
        assert of.free_at <= second
    fail(of, 10.0)

    assert of.free_at == 10.0 + COOLDOWN
    assert of.report(10.0)["state"] == "cooling"
    assert of.report(10.0)["reason"] == "server"


def test_failures_older_than_a_minute_do_not_count() -> None:
    of = health()
    for second in (0.0, 1.0, 2.0, 62.1, 63.0):
        fail(of, second)

    assert of.free_at <= 63.0


def test_a_success_wipes_the_failures_out() -> None:
    of = health()
    for second in range(10):
        fail(of, float(2 * second))
        succeed(of, float(2 * second + 1))

    assert of.free_at <= 20.0


@pytest.mark.parametrize("kind", [kind for kind in POLICY if POLICY[kind].cool])
def test_who_says_that_it_will_not_serve_cools_at_once(kind: Kind) -> None:
    of = health()
    fail(of, 100.0, kind)

    assert of.free_at == 100.0 + COOLDOWN


@pytest.mark.parametrize("kind", [kind for kind in POLICY if not POLICY[kind].counts])
def test_a_request_that_is_wrong_says_nothing_about_the_deployment(kind: Kind) -> None:
    of = health()
    for second in range(20):
        fail(of, float(second), kind)

    assert of.free_at <= 20.0
    assert of.report(20.0)["failures"] == 0


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (1.0, COOLDOWN),
        (30.0, 30.0),
        (9e9, LONGEST_COOLDOWN),
        (float("inf"), LONGEST_COOLDOWN),
        (-5.0, COOLDOWN),
        (float("nan"), COOLDOWN),
    ],
)
def test_a_providers_retry_after_lengthens_the_cooldown_within_bounds(retry_after: float, seconds: float) -> None:
    of = health()
    fail(of, 0.0, "rate_limit", retry_after)

    assert of.cooling_until == seconds


def test_after_the_cooldown_one_attempt_at_a_time_is_let_through_until_one_succeeds() -> None:
    of = health()
    fail(of, 0.0, "rate_limit")
    assert of.free_at == 5.0
    assert of.report(5.0)["state"] == "half-open"
    of.begins(5.0)
    assert of.free_at == float("inf")
    assert of.report(5.0)["state"] == "probing"
    of.fails(6.0, UpstreamError("x", "server"), allowed=ALLOWED, cooldown=COOLDOWN, cools=True)
    assert of.free_at == 11.0, "a probe that fails cools at once"
    succeed(of, 12.0)
    assert of.free_at <= 12.0
    assert of.report(12.0)["state"] == "ready"


def test_a_probe_that_is_given_up_makes_room_for_the_next() -> None:
    of = health()
    fail(of, 0.0, "rate_limit")
    of.begins(5.0)
    of.given_up(6.0)

    assert of.free_at <= 6.0


def test_parallel_requests_are_limited() -> None:
    of = health(max_parallel_requests=2)
    of.begins(0.0)
    of.begins(0.0)
    assert of.free_at == float("inf")
    of.given_up(1.0)

    assert of.free_at <= 1.0


def test_tokens_are_limited_and_those_in_flight_are_expected_to_use_what_is_usual() -> None:
    of = health(tpm=100)
    of.begins(0.0)
    of.succeeds(0.0, seconds_to_first=None, stream=False, tokens=40)
    of.begins(1.0)
    assert of.free_at <= 1.0, "40 used and 40 expected are below 100"
    of.begins(1.0)
    assert of.free_at == float("inf"), "40 and 80 are not"
    of.succeeds(2.0, seconds_to_first=None, stream=False, tokens=60)
    of.given_up(2.0)
    assert of.free_at == 61.0, "when the first second's 40 are a minute old"


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (2.5, 2.5), (9e9, LONGEST_TOLD)]
)
def test_a_retry_after_becomes_seconds_that_can_be_counted_with(said: float | None, seconds: float) -> None:
    assert told(said) == seconds


def test_backoff_is_exponential_with_full_jitter_and_never_below_what_was_told() -> None:
    assert [backoff(n, least=0, wait=0, chance=1.0) for n in (1, 2, 3, 4, 5, 99)] == [0.5, 1, 2, 4, 8, 8]
    assert backoff(4, least=0, wait=0, chance=0.0) == 0.0
    assert backoff(1, least=3, wait=0, chance=0.5) == 3
    assert backoff(1, least=0, wait=2.0, chance=0.0) == 2.0


class Deployments(RuleBasedStateMachine):
    """Whatever happens in whatever order: counts never go wrong, no limit is passed, and nobody is shut out for good."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.under_way = 0
        self.begun: deque[float] = deque()
        self.health = health(rpm=20, max_parallel_requests=4)

    @rule(seconds=st.floats(0, 90))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.health.limited_until <= self.now)
    @rule()
    def begins(self) -> None:
        probing = self.health.probing
        was_ready = self.health.free_at <= self.now
        self.health.begins(self.now)
        self.under_way += 1
        self.begun.append(self.now)
        assert not (was_ready and probing), "one probe at a time"

    @precondition(lambda self: self.under_way)
    @rule(tokens=st.integers(0, 1000))
    def succeeds(self, tokens: int) -> None:
        self.health.succeeds(self.now, seconds_to_first=0.2, stream=True, tokens=tokens)
        self.under_way -= 1
        assert not self.health.cooling_until

    @precondition(lambda self: self.under_way)
    @rule(kind=st.sampled_from(sorted(POLICY)), wait=st.one_of(st.none(), st.floats()))
    def fails(self, kind: Kind, wait: float | None) -> None:
        error = UpstreamError("x", kind, retry_after=wait)
        self.health.fails(self.now, error, allowed=ALLOWED, cooldown=COOLDOWN, cools=True)
        self.under_way -= 1

    @precondition(lambda self: self.under_way)
    @rule()
    def is_given_up(self) -> None:
        self.health.given_up(self.now)
        self.under_way -= 1

    @invariant()
    def counts_are_right(self) -> None:
        assert self.health.in_flight == self.under_way <= 4
        while self.begun and self.begun[0] <= self.now - 60:
            self.begun.popleft()
        assert len(self.begun) <= 20, "no more than rpm within any minute"

    @invariant()
    def nobody_is_shut_out_for_good(self) -> None:
        assert self.health.cooling_until <= self.now + LONGEST_COOLDOWN
        if not self.under_way:
            assert self.health.free_at <= max(self.now + LONGEST_COOLDOWN, self.now + 61)
        report = self.health.report(self.now)
        assert report["in_flight"] == self.under_way
        assert (report["state"] == "ready") <= (self.health.free_at <= self.now)


TestDeployments = Deployments.TestCase
TestDeployments.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_minute_forgets_what_is_older_than_a_minute() -> None:
    minute = Minute()
    for second in range(100):
        minute.add(float(second), requests=1, tokens=10)
    assert (minute.requests, minute.tokens) == (61, 610)
    minute.forget(1000.0)
    assert (minute.requests, minute.tokens) == (0, 0)
    assert minute.free_at(1000.0, 1, 1) == 0.0
