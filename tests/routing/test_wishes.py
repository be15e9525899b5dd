"""What a request may say of its own routing, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from tollbook.access.keys import NOBODY, Caller
from tollbook.config import config_from
from tollbook.errors import InvalidRequest, TollbookError
from tollbook.routing.router import Router
from tollbook.wishes import read

from .pipeline import model, pipeline

MODELS = {
    "model_list": [model("m", "simulated/echo:fault=500"), model("n", "simulated/echo"), model("o", "simulated/echo")]
}


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("num_retries", "2", "num_retries"),
        ("num_retries", True, "num_retries"),
        ("num_retries", -1, "num_retries"),
        ("num_retries", 11, "num_retries"),
        ("disable_fallbacks", "yes", "disable_fallbacks"),
        ("fallbacks", "n", "fallbacks"),
        ("fallbacks", [1], "fallbacks[0]"),
        ("fallbacks", ["n", None], "fallbacks[1]"),
        ("fallbacks", [{"messages": []}], "fallbacks[0]"),
        ("fallbacks", ["n", "nowhere"], "fallbacks[1]"),
    ],
)
def test_what_is_no_wish_is_refused_by_name(field: str, value: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read({"model": "m", field: value}, NOBODY, Router(config_from(MODELS, {})))

    assert refused.value.param == param


async def test_fallbacks_of_a_request_reach_no_model_that_its_key_may_not_use() -> None:
    caller = Caller("key_1", models=("m", "n"))
    async with pipeline(MODELS) as of:
        allowed = await of.ask("m", caller=caller, num_retries=0, fallbacks=["n"])
        forbidden = await of.ask("m", caller=caller, num_retries=0, fallbacks=["o"])

    assert allowed.error is None
    assert allowed.outcomes == [("initial", "failed"), ("fallback", "completed")]
    assert isinstance(forbidden.error, TollbookError)
    assert forbidden.error.status in (403, 404)
    assert forbidden.call.attempts == []


async def test_a_request_may_do_without_retries_and_fallbacks() -> None:
    settings = {**MODELS, "router_settings": {"fallbacks": [{"m": ["n"]}], "disable_cooldowns": True, "num_retries": 1}}
    async with pipeline(settings) as of:
        usual = await of.ask("m")
        alone = await of.ask("m", num_retries=0, disable_fallbacks=True)

    assert [a.reason for a in usual.call.attempts] == ["initial", "retry", "fallback"]
    assert alone.outcomes == [("initial", "failed")]
    assert alone.error is not None


async def test_the_limits_of_all_deployments_are_a_429_with_retry_after_and_a_row() -> None:
    async with pipeline({"model_list": [model("m", "simulated/echo", rpm=1)]}) as of:
        assert (await of.ask("m")).error is None
        told = await of.ask("m")
        row = await of.row(told.call)

    assert told.error is not None
    assert (told.error.status, told.error.code) == (429, "deployment_limits_reached")
    assert told.error.retry_after is not None
    assert 55 < told.error.retry_after <= 61
    assert (row["outcome"], row["attempts"]) == ("rejected", [])


async def test_what_a_fallback_cannot_represent_is_told_as_the_failure_that_came_before() -> None:
    models = [model("m", "openai/gpt-4o", api_base="http://127.0.0.1:9", api_key="k"), model("n", "simulated/echo")]
    settings = {"model_list": models, "router_settings": {"num_retries": 0, "fallbacks": [{"m": ["n"]}]}}
    async with pipeline(settings) as of:
        told = await of.ask("m", [{"type": "item_reference", "id": "msg_elsewhere"}])

    assert told.error is not None
    assert told.error.code == "upstream_connection"
    assert told.outcomes == [("initial", "failed")]
    assert of.gateway.router.health(of.gateway.config.routes["n"].deployments[0]).in_flight == 0
