"""Spans from the facts of a call: what they say, and what they never say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Cost, Line
from tollbook.errors import RateLimited, UpstreamError
from tollbook.responses.usage import NO_USAGE, Usage
from tollbook.telemetry import costs, genai, spans
from tollbook.telemetry.genai import Manner
from tollbook.telemetry.measures import MOST_MODELS, MOST_OWNERS, Labels, Measures
from tollbook.telemetry.meter import OTHER
from tollbook.telemetry.spans import Served, Standing, server_of

from .making import BEGAN, MS, PRICED, attempt, call

HERE = Standing("4bf92f3577b34da6a3ce929d0e0e4736", "80f067aa0ba902b7", sampled=True)


def inference(**fields: object) -> dict[str, object]:
    return dict(spans.of_call(call(**fields), HERE, Manner())[0].attributes)


def test_the_ids_of_server_and_inference_span_follow_from_each_other() -> None:
    assert server_of("00f067aa0ba902b7") == "80f067aa0ba902b7"
    assert server_of(server_of("00f067aa0ba902b7")) == "00f067aa0ba902b7"


def test_an_inference_span_says_who_answered_and_what_it_took() -> None:
    told = inference(reasoning_effort="low", prompt=("pmpt_1", "2"), conversation_id="conv_1", policy="simple-shuffle")

    assert told["gen_ai.request.reasoning.level"] == "low"
    assert (told["gen_ai.prompt.name"], told["gen_ai.prompt.version"]) == ("pmpt_1", "2")
    assert told["gen_ai.conversation.id"] == "conv_1"
    assert told["tollbook.route.policy"] == "simple-shuffle"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (1800, 64)
    assert told["gen_ai.usage.cache_read.input_tokens"] == 1000
    assert told["tollbook.cache.hit"] is True
    assert told["tollbook.cost.total"] == told["gen_ai.usage.cost"] == 0.00275
    assert {part: told[f"tollbook.cost.{part}"] for part in ("input", "cache_read", "output")} == {
        "input": 0.002,
        "cache_read": 0.00025,
        "output": 0.0005,
    }
    assert told["tollbook.cost.saved"] == 0.00225
    assert told["tollbook.overhead_ms"] == 20.0


def test_a_conversation_is_never_made_up() -> None:
    assert "gen_ai.conversation.id" not in inference(previous_response_id="resp_0")


def test_a_stream_has_its_moments() -> None:
    (span, *_) = spans.of_call(call(longest_gap=7 * MS, longest_gap_at=BEGAN + 60 * MS), HERE, Manner())

    assert [(event.name, (event.time - BEGAN) // MS) for event in span.events] == [
        ("tollbook.stream.first_event", 35),
        ("tollbook.stream.first_output", 40),
        ("tollbook.stream.longest_silence", 60),
        ("tollbook.stream.terminal", 100),
    ]
    assert span.events[2].attributes == {"tollbook.stream.longest_gap": 0.007}
    assert spans.of_call(call(stream=False), HERE, Manner())[0].events == ()


def test_an_attempt_says_what_the_provider_has_left() -> None:
    limited = attempt(headers={"x-ratelimit-remaining-requests": "59", "x-ratelimit-remaining-tokens": "1e9"})

    told = genai.attempt(limited)

    assert told["tollbook.ratelimit.remaining_requests"] == 59
    assert "tollbook.ratelimit.remaining_tokens" not in told, "what is no number is not told"


@pytest.mark.parametrize("word", ["full", "no_usage", "off"])
def test_usage_can_be_left_to_callers_who_tell_it_themselves(word: str) -> None:
    made = spans.of_call(call(), HERE, Manner(inference_span=word))  # type: ignore[arg-type]

    told = made[0].attributes if made else {}
    assert any(name.startswith("gen_ai.usage") for name in told) == (word == "full")
    assert len(made) == (0 if word == "off" else 2)


@pytest.mark.parametrize(
    ("names", "expected"), [("new", {"write"}), ("old", {"creation"}), ("both", {"write", "creation"})]
)
def test_a_cache_write_has_the_name_that_backends_know(names: str, expected: set[str]) -> None:
    written = attempt(usage=Usage(input=1, cache_write=5))

    told = genai.inference(call(attempts=[written]), Manner(cache_write_names=names))  # type: ignore[arg-type]

    assert {word for word in ("write", "creation") if f"gen_ai.usage.cache_{word}.input_tokens" in told} == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("gen_ai.usage.cost",), {"gen_ai.usage.cost": 0.00275}),
        (("operation.cost",), {"operation.cost": 0.00275}),
        (
            ("semconv_443",),
            {
                "gen_ai.usage.cost.amount": 0.00275,
                "gen_ai.usage.cost.currency": "USD",
                "gen_ai.usage.cost.source": "local",
            },
        ),
        (
            ("openinference",),
            {
                "llm.cost.prompt": 0.00225,
                "llm.cost.completion": 0.0005,
                "llm.cost.total": 0.00275,
                "llm.cost.prompt_details.input": 0.002,
                "llm.cost.prompt_details.cache_read": 0.00025,
                "llm.cost.completion_details.output": 0.0005,
            },
        ),
        (
            ("langfuse",),
            {
                "langfuse.observation.cost_details": '{"input":0.002,"cache_read":0.00025,"output":0.0005,"total":0.00275}'
            },
        ),
        ((), {}),
    ],
)
def test_cost_has_the_names_that_were_asked_for(wanted: tuple[str, ...], expected: dict[str, object]) -> None:
    told = costs.told(call(), wanted)

    assert {name: value for name, value in told.items() if not name.startswith("tollbook.")} == expected


def test_an_unknown_price_is_not_zero() -> None:
    unpriced = attempt(cost=Cost("unpriced"))

    told = costs.told(call(attempts=[unpriced]), ("gen_ai.usage.cost",))

    assert told == {"tollbook.cost.status": "unpriced"}


def test_what_failed_attempts_cost_is_called_wasted() -> None:
    failed = attempt(1, outcome="failed", error_kind="server")
    answered = attempt(2, reason="fallback", provider="anthropic", model="claude")

    told = inference(attempts=[failed, answered])

    assert (told["tollbook.cost.total"], told["tollbook.cost.wasted"]) == (0.0055, 0.00275)
    assert told["tollbook.route.fallback_from"] == "gpt-4o-mini"
    assert told["tollbook.route.requested_model"] == "gpt"
    assert told["gen_ai.usage.input_tokens"] == 1800, "of the attempt that answered"


def test_a_call_that_was_not_let_in_has_no_inference_span() -> None:
    refused = call(attempts=[], outcome="rejected", error=RateLimited("no"), response_id=None)
    server = Served(HERE, HERE.parent_id, "POST", "/v1/responses", 429, BEGAN, BEGAN + MS)

    assert spans.of_call(refused, HERE, Manner()) == []
    told = spans.of_request(server, refused).attributes
    assert told["tollbook.outcome"] == "rejected"
    assert told["tollbook.reject.reason"] == "rate_limit_exceeded"


def test_a_failure_is_an_error_without_the_providers_words() -> None:
    secret = UpstreamError("I will not answer: canary", "content_filter")
    failed = attempt(outcome="failed", error_kind="content_filter", error_message="canary", usage=NO_USAGE)

    made = spans.of_call(call(outcome="failed", error=secret, attempts=[failed]), HERE, Manner())

    assert [span.error for span in made] == ["content_filter", "content_filter"]
    assert "canary" not in repr(made)


def test_a_follow_up_links_and_a_background_bill_has_a_parent() -> None:
    before = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b0")
    (follow_up, *_) = spans.of_call(call(parent_span=before, previous_response_id="resp_0"), HERE, Manner())
    below = Standing(before[0], before[1], sampled=True)
    (bill, *_) = spans.of_call(call(parent_span=before), below, Manner())

    assert [(*link[:2], link.attributes) for link in follow_up.links] == [(*before, {"gen_ai.response.id": "resp_0"})]
    assert bill.links == ()
    assert bill.parent_id == before[1]


def test_deleting_and_cancelling_link_their_request_to_what_was_made() -> None:
    before = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b0")
    deleted = call(operation="delete", attempts=[], parent_span=before)
    served = Served(HERE, deleted.span_id, "DELETE", "/v1/responses/{response_id}", 200, BEGAN, BEGAN + MS)

    assert [link[:2] for link in spans.of_request(served, deleted).links] == [before]


@pytest.mark.parametrize(
    ("tags", "allowed", "expected"),
    [
        (("customer=acme", "batch"), None, {"customer": "acme", "1": "batch"}),
        (("customer=acme", "batch", "x=1"), ("customer",), {"customer": "acme"}),
        (("bad name=1",), None, {"0": "bad name=1"}),
        (tuple(f"t{n}" for n in range(20)), None, {str(n): f"t{n}" for n in range(8)}),
    ],
)
def test_tags_are_told_by_name_or_number_and_at_most_eight(
    tags: tuple[str, ...], allowed: tuple[str, ...] | None, expected: dict[str, str]
) -> None:
    assert genai.tags(call(tags=tags), allowed) == {f"tollbook.tag.{name}": value for name, value in expected.items()}


_amounts = st.integers(0, 10**12)


@given(
    st.lists(
        st.tuples(st.sampled_from(["input", "cache_read", "output", "web_search", "reasoning"]), _amounts), max_size=6
    ),
    st.integers(0, 10**13),
)
def test_components_for_counters_add_up_and_never_go_down(lines: list[tuple[str, int]], discount: int) -> None:
    gross = sum(amount for _, amount in lines)
    taken = min(discount, gross)
    cost = Cost(
        "priced",
        (*(Line(kind, 1, None, amount) for kind, amount in lines), Line("discount", 1, None, -taken)),
        gross - taken,
    )

    shares = costs.shares(cost)

    assert sum(shares.values()) == gross - taken
    assert all(amount >= 0 for amount in shares.values())


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 20)), max_size=5))
def test_overhead_is_never_below_zero_nor_above_the_call(times: list[tuple[int, int, int]]) -> None:
    attempts = [
        attempt(n, started=BEGAN + a * MS, ended=BEGAN + (a + length) * MS, backoff=wait / 1000)
        for n, (a, length, wait) in enumerate(sorted(times), 1)
    ]

    assert 0 <= genai.overhead(call(attempts=attempts)) <= 0.1


def test_ten_thousand_names_of_models_are_a_few_series() -> None:
    labels = Labels(models={"gpt"}, known=lambda provider, model: model.startswith("real"))

    told = {labels.model("openai", f"real-{n}") for n in range(5000)} | {
        labels.model("openai", f"junk-{n}") for n in range(5000)
    }

    assert len(told) == MOST_MODELS + 1
    assert OTHER in told
    assert labels.model("openai", "gpt") == "gpt"
    assert len({labels.owner("team", f"team {n}") for n in range(1000)}) == MOST_OWNERS + 1


def test_counters_are_the_bill() -> None:
    failed = attempt(1, outcome="failed", error_kind="server")
    measures = Measures(Labels(models={"gpt", "gpt-4o-mini"}))

    found = measures.of_call(call(attempts=[failed, attempt(2, reason="retry")]), "/v1/responses")

    kit = measures.instruments
    assert sum(amount for each, _, amount in found if each is kit.cost) == 2 * (PRICED.total or 0)
    tokens = {values[2]: amount for each, values, amount in found if each is kit.tokens}
    assert tokens == {"input_uncached": 800, "cache_read": 1000, "output_visible": 50, "reasoning": 14}
    assert sum(amount for each, _, amount in found if each is kit.tokens) == 2 * 1864
    assert [values for each, values, _ in found if each is kit.attempts] == [
        ("openai", "gpt-4o-mini", "initial", "server"),
        ("openai", "gpt-4o-mini", "retry", "2xx"),
    ]
    assert [(values, amount) for each, values, amount in found if each is kit.requests] == [
        (("/v1/responses", "completed", "search", ""), 1)
    ]
