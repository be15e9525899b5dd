"""Every fault × (JSON, stream) × (nothing, retry, fallback, hedge, continuation), through the whole pipeline.

The client sees exactly one coherent response or one typed failure; the ledger has every attempt with its cost; the trace
has every attempt's span under one inference span.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol import check
from tests.server.upstream import Upstream
from tollbook.errors import UpstreamError

from .faults import EARLY, LATE, UNREACHABLE, WORDS, closed_port
from .pipeline import Pipeline, Told, model, pipeline

SHORT = {"connect": 2.0, "first_event": 0.8, "idle": 0.6, "total": 5.0}
RIGHT = "".join(WORDS)
WAYS = ("nothing", "retry", "fallback", "hedge", "continuation")

KINDS = {
    "stall": "timeout",
    "stall-after-head": "timeout",
    "drip": "timeout",
    "429": "rate_limit",
    "429-retry-after": "rate_limit",
    "429-retry-after-9e9": "rate_limit",
    "429-retry-after-past": "rate_limit",
    "500": "server",
    "529": "overloaded",
    "401": "auth",
    "reset": "connection",
    "tls-refused": "connection",
    "connection-refused": "connection",
}
"""How the fault is called; the others have one kind for streams and another for whole answers."""


def config(way: str, fault: str, upstream: Upstream, without_tls: int = 0) -> dict[str, Any]:
    """A model "m" that begins at the fault, and what the way has for it."""
    base = {
        "tls-refused": f"https://127.0.0.1:{without_tls}",
        "connection-refused": f"http://127.0.0.1:{closed_port()}",
    }
    place = {"api_key": "k", "timeouts": SHORT}
    target = "openai_like/right" if fault in UNREACHABLE else f"openai_like/{fault}"
    first = model("m", target, id="bad", order=0, api_base=base.get(fault, upstream.url), **place)
    if way == "hedge":
        first["litellm_params"]["hedge_after"] = 0.3
    good = model(
        "n" if way == "fallback" else "m", "openai_like/right", id="good", order=1, api_base=upstream.url, **place
    )
    return {
        "model_list": [first] if way == "nothing" else [first, good],
        "router_settings": {
            "num_retries": 0 if way in ("nothing", "fallback") else 1,
            "disable_cooldowns": True,
            "fallbacks": [{"m": ["n"]}] if way == "fallback" else [],
            "enable_mid_stream_fallback_continuation": way == "continuation",
        },
    }


async def assert_booked(of: Pipeline, told: Told) -> None:
    """The ledger and the trace tell of every attempt what the call does."""
    row = await of.row(told.call)
    attempts = told.call.attempts
    assert [a["deployment"] for a in row["attempts"]] == [a.deployment for a in attempts]
    assert [a["outcome"] for a in row["attempts"]] == [a.outcome for a in attempts]
    for attempt, kept in zip(attempts, row["attempts"], strict=True):
        assert attempt.ended is not None
        if attempt.usage.source == "none":
            assert attempt.cost.status == "unpriced"
        else:
            assert attempt.cost.total, "what was used is paid for"
            assert kept["cost"]["status"] == "priced"
        assert (attempt.error_kind is None) == (attempt.outcome != "failed")
    spans = of.spans(told.call)
    (inference,) = [span for span in spans if span.name.startswith("chat")]
    tries = [span for span in spans if span is not inference]
    assert len(tries) == len(attempts)
    assert inference.context is not None
    for span in tries:
        assert span.parent is not None
        assert span.parent.span_id == inference.context.span_id
    assert all(of.gateway.router.health(d).in_flight == 0 for d in of.gateway.config.deployments.values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", [*EARLY, *UNREACHABLE])
async def test_a_failure_before_the_first_output_is_invisible_when_there_is_another_way(
    fault: str, stream: bool, way: str, upstream: Upstream, without_tls: int
) -> None:
    async with pipeline(config(way, fault, upstream, without_tls)) as of:
        told = await of.ask("m", stream=stream)

        if way == "nothing":
            assert isinstance(told.error, UpstreamError)
            assert told.events == []
            assert told.error.kind == KINDS.get(fault, told.error.kind)
            assert told.error.status >= 400
            assert told.outcomes == [("initial", "failed")]
        else:
            assert told.error is None
            assert told.text == RIGHT
            if stream:
                assert check(told.events) == told.response
            first, second = told.call.attempts
            assert first.outcome == ("cancelled" if second.reason == "hedge" and first.abandoned else "failed")
            assert second.outcome == "completed"
            assert second.reason in ({"fallback": "fallback"}.get(way, "retry"), "hedge")
            assert told.call.attempt is second
            assert told.call.cost.total
        await assert_booked(of, told)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", LATE)
async def test_after_the_first_output_the_stream_fails_honestly_or_is_continued(
    fault: str, stream: bool, way: str, upstream: Upstream
) -> None:
    async with pipeline(config(way, fault, upstream)) as of:
        told = await of.ask("m", stream=stream)

        if not stream and way == "nothing":
            assert isinstance(told.error, UpstreamError)
        elif not stream:
            assert told.text == RIGHT
        elif way != "continuation":
            final = check(told.events)
            assert final["status"] == "failed"
            assert told.outcomes == [("initial", "failed")]
            assert told.call.outcome == "failed"
            assert told.call.attempts[0].usage.source == "estimated"
            assert RIGHT.startswith(told.text)
            assert told.text
        else:
            final = check(told.events)
            assert final["status"] == "completed"
            assert final == told.response
            said, continued = final["output"]
            assert RIGHT.startswith(said["content"][0]["text"])
            assert continued["content"][0]["text"] == RIGHT
            assert said["id"] != continued["id"]
            assert told.outcomes == [("initial", "failed"), ("continuation", "completed")]
            assert [a.usage.source for a in told.call.attempts] == ["estimated", "provider"]
            assert told.call.cost.total == sum(a.cost.total or 0 for a in told.call.attempts)
        await assert_booked(of, told)


async def test_who_continues_is_given_what_was_said(upstream: Upstream) -> None:
    before = len(upstream.exchanges)
    async with pipeline(config("continuation", "error-frame-later", upstream)) as of:
        told = await of.ask("m", "tell me", stream=True)

    messages = upstream.exchanges[before:][-1].json["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == "tell me"
    assert messages[1]["content"] == "It was "
    assert check(told.events)["status"] == "completed"


async def test_a_continued_response_can_be_followed_up(upstream: Upstream) -> None:
    async with pipeline(config("continuation", "error-frame-later", upstream)) as of:
        told = await of.ask("m", "tell me", stream=True)
        again = await of.ask("m", "and then?", previous_response_id=told.response["id"])

    assert again.error is None
    assert again.call.attempts[0].deployment == "good", "it goes to who ended it"
    messages = upstream.exchanges[-1].json["messages"]
    assert messages[0]["role"] == "user"
    assert "It was " in str(messages)
    assert "interrupted" not in str(messages), "the word to the second deployment is no part of the conversation"


async def test_when_nobody_can_continue_the_stream_ends_with_one_failure(upstream: Upstream) -> None:
    settings = config("continuation", "error-frame-later", upstream)
    settings["model_list"][1]["litellm_params"]["model"] = "openai_like/500"
    async with pipeline(settings) as of:
        told = await of.ask("m", stream=True)
        await assert_booked(of, told)

    final = check(told.events)
    assert final["status"] == "failed"
    assert told.text == "It was "
    assert told.outcomes == [("initial", "failed"), ("continuation", "failed")]


async def test_a_continuation_that_breaks_off_is_continued_too(upstream: Upstream) -> None:
    settings = config("continuation", "error-frame-later", upstream)
    second = model("m", "openai_like/cut-700", id="bad2", order=1, api_base=upstream.url, api_key="k", timeouts=SHORT)
    settings["model_list"].insert(1, second)
    settings["model_list"][2]["litellm_params"]["order"] = 2
    settings["router_settings"]["num_retries"] = 2
    async with pipeline(settings) as of:
        told = await of.ask("m", stream=True)
        await assert_booked(of, told)

    final = check(told.events)
    assert final["status"] == "completed"
    assert [item["content"][0]["text"] for item in final["output"]][::2] == ["It was ", RIGHT]
    assert len({item["id"] for item in final["output"]}) == 3


async def test_an_answer_in_a_schema_and_a_call_that_began_are_never_continued(upstream: Upstream) -> None:
    async with pipeline(config("continuation", "error-frame-later", upstream)) as of:
        schema = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
        formed = await of.ask("m", stream=True, text=schema)
    assert check(formed.events)["status"] == "failed"
    assert len(formed.call.attempts) == 1

    settings = config("continuation", "500", upstream)
    settings["model_list"][0]["litellm_params"]["model"] = "simulated/tools:cut=2"
    tool = {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
    }
    async with pipeline(settings) as of:
        called = await of.ask("m", "a long sentence for the argument", stream=True, tools=[tool])
    assert check(called.events)["status"] == "failed"
    assert len(called.call.attempts) == 1


async def test_the_quicker_of_two_answers_and_the_other_is_cancelled_and_booked(upstream: Upstream) -> None:
    slow = model("m", "simulated/echo:ttft=400", id="slow", order=0, hedge_after=0.05)
    quick = model("m", "simulated/echo:ttft=20", id="quick", order=1)
    for stream in (False, True):
        async with pipeline({"model_list": [slow, quick]}) as of:
            told = await of.ask("m", stream=stream)
            await assert_booked(of, told)
        assert told.error is None
        assert told.outcomes == [("initial", "cancelled"), ("hedge", "completed")]
        assert told.call.attempts[0].usage.source == "estimated"
        assert told.call.attempts[0].cost.total
        if stream:
            check(told.events)


async def test_a_first_attempt_that_speaks_after_all_wins_against_a_slower_hedge() -> None:
    slow = model("m", "simulated/echo:ttft=150", id="first", order=0, hedge_after=0.05)
    slower = model("m", "simulated/echo:ttft=900", id="second", order=1)
    async with pipeline({"model_list": [slow, slower]}) as of:
        told = await of.ask("m", stream=True)
        await assert_booked(of, told)

    assert told.outcomes == [("initial", "completed"), ("hedge", "cancelled")]
    assert told.call.attempt is told.call.attempts[0]
    assert check(told.events)["model"] == told.call.attempts[0].served_model


async def test_without_hedge_after_and_in_background_nothing_is_asked_twice(upstream: Upstream) -> None:
    slow = model("m", "simulated/echo:ttft=200", id="slow", order=0)
    quick = model("m", "simulated/echo", id="quick", order=1)
    async with pipeline({"model_list": [slow, quick]}) as of:
        assert (await of.ask("m")).outcomes == [("initial", "completed")]
    slow["litellm_params"] |= {"hedge_after": 0.01, "drop_params": True}
    async with pipeline({"model_list": [slow, quick]}) as of:
        assert (await of.ask("m", background=True)).outcomes == [("initial", "completed")]
