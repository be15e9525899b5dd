"""A follow-up goes to the deployment that made what it follows, across restarts; elsewhere only with a mark."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.protocol import check
from tests.server.upstream import Exchange, Upstream, native_response
from tollbook.access.keys import NOBODY
from tollbook.errors import NotFound
from tollbook.server.answers import headers_of
from tollbook.telemetry import names

from .pipeline import Pipeline, model, pipeline

THREE: dict[str, Any] = {"model_list": [model("m", "simulated/echo", id=name) for name in ("a", "b", "c")]}
TURNS = 5


async def chains(folder: Path, count: int) -> int:
    """How many follow-ups of so many chains reached the deployment that made their parent; a restart between all turns."""
    parents: dict[int, tuple[str, str]] = {}
    reached = 0
    for _ in range(TURNS):
        async with pipeline(THREE, folder=folder) as of:
            for start in range(0, count, 50):
                reached += sum(await asyncio.gather(*(turn(of, parents, n) for n in range(start, start + 50))))
    assert {owner for _, owner in parents.values()} == {"a", "b", "c"}
    return reached


async def turn(of: Pipeline, parents: dict[int, tuple[str, str]], chain: int) -> bool:
    """One more turn of a chain; whether it reached the owner of the one before."""
    parent = parents.get(chain)
    follows = {"previous_response_id": parent[0]} if parent else {}
    told = await of.ask("m", f"chain {chain}", stream=chain % 2 == 0, **follows)
    assert told.error is None
    assert "continuity: replayed" not in told.call.notes
    (attempt,) = told.call.attempts
    parents[chain] = (told.response["id"], attempt.deployment)
    return parent is not None and attempt.deployment == parent[1]


async def test_all_follow_ups_reach_the_owner_across_restarts(tmp_path: Path) -> None:
    assert await chains(tmp_path, 100) == 100 * (TURNS - 1)


@pytest.mark.slow
async def test_all_follow_ups_of_a_thousand_chains_reach_the_owner_across_restarts(tmp_path: Path) -> None:
    assert await chains(tmp_path, 1000) == 1000 * (TURNS - 1)


async def test_an_item_reference_goes_to_the_owner_too() -> None:
    async with pipeline(THREE) as of:
        for _ in range(10):
            first = await of.ask("m", "hello")
            item = first.response["output"][0]["id"]
            words = [{"type": "item_reference", "id": item}, {"role": "user", "content": "again"}]
            again = await of.ask("m", words)
            assert again.call.attempts[0].deployment == first.call.attempts[0].deployment


@pytest.mark.parametrize("why", ["down", "cooling", "at its limit", "not configured any more"])
async def test_when_the_owner_cannot_another_one_is_given_the_chain_and_says_so(why: str, tmp_path: Path) -> None:
    first, second = model("m", "simulated/echo", id="a", order=0), model("m", "simulated/echo", id="b", order=1)
    async with pipeline({"model_list": [first, second]}, folder=tmp_path) as of:
        begun = await of.ask("m", "the first word")
        assert begun.call.attempts[0].deployment == "a"
    if why == "down":
        first["litellm_params"]["model"] = "simulated/echo:fault=500"
    elif why == "at its limit":
        first["litellm_params"]["max_parallel_requests"] = 1
    models = [second] if why == "not configured any more" else [first, second]
    async with pipeline({"model_list": models}, folder=tmp_path) as of:
        health = None if why.startswith("not") else of.gateway.router.health(of.gateway.config.deployments["a"])
        if health is not None and why == "cooling":
            health.cooling_until = health.free_at = float("inf")
        if health is not None and why == "at its limit":
            of.gateway.router.begins(health)
        told = await of.ask("m", "the second", previous_response_id=begun.response["id"], stream=True)

        assert check(told.events)["status"] == "completed"
        assert told.call.attempts[-1].deployment == "b"
        assert "the first was: the first word" in told.text
        assert headers_of(told.call)["x-tollbook-continuity"] == "replayed"
        assert "continuity: replayed" in (await of.row(told.call))["notes"]
        (inference,) = [span for span in of.spans(told.call) if span.name.startswith("chat")]
        assert "continuity: replayed" in inference.attributes[names.NOTES]  # type: ignore[index, operator]


async def test_a_conversation_that_a_fallback_answered_goes_on_there_across_restarts(tmp_path: Path) -> None:
    main, other = model("main", "simulated/echo:fault=500", id="a"), model("other", "simulated/echo", id="b")
    told = {"model_list": [main, other], "router_settings": {"num_retries": 0, "fallbacks": [{"main": ["other"]}]}}
    async with pipeline(told, folder=tmp_path) as of:
        first = await of.ask("main", "the first word")
        assert [a.deployment for a in first.call.attempts] == ["a", "b"]
    main["litellm_params"]["model"] = "simulated/echo"  # it works again
    async with pipeline(told, folder=tmp_path) as of:
        again = await of.ask("main", "the second", previous_response_id=first.response["id"])
        elsewhere = await of.ask("other", "one")
        switched = await of.ask("main", "two", previous_response_id=elsewhere.response["id"])

    assert [(a.deployment, a.reason) for a in again.call.attempts] == [("b", "initial")]
    assert "x-tollbook-continuity" not in headers_of(again.call)
    assert [a.deployment for a in switched.call.attempts] == ["a"], "who asks for another model gets that model"


async def test_an_owner_that_is_asked_leaves_no_mark() -> None:
    async with pipeline(THREE) as of:
        first = await of.ask("m", "one")
        told = await of.ask("m", "two", previous_response_id=first.response["id"])

    assert "x-tollbook-continuity" not in headers_of(told.call)


async def test_a_chain_that_cannot_be_replayed_is_an_error() -> None:
    async with pipeline(THREE) as of:
        first = await of.ask("m", "one")
        second = await of.ask("m", "two", previous_response_id=first.response["id"])
        await of.gateway.books.store.delete(first.response["id"], None)
        told = await of.ask("m", "three", previous_response_id=second.response["id"])
        unknown = await of.ask("m", "four", previous_response_id="resp_none")

    for lost in (told, unknown):
        assert isinstance(lost.error, NotFound)
        assert lost.error.code == "previous_response_not_found"


class Native:
    """A native Responses host that seals its reasoning and cannot read another's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made = 0
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, exchange: Exchange) -> None:
        self.bodies.append(exchange.json)
        items = exchange.json["input"] if isinstance(exchange.json["input"], list) else []
        foreign = [i for i in items if i.get("encrypted_content") and not i["encrypted_content"].startswith(self.name)]
        if foreign:
            error = {"message": "cannot decrypt", "type": "invalid_request_error", "code": "invalid_encrypted_content"}
            await exchange.answer({"error": error}, 400)
            return
        self.made += 1
        identifier = f"{self.name}{self.made}"
        response = native_response(identifier)
        seal = f"{self.name} sealed {self.made}"
        response["output"].insert(
            0, {"id": f"rs_{identifier}", "type": "reasoning", "summary": [], "encrypted_content": seal}
        )
        await exchange.answer(response)


def native(upstream: Upstream, *hosts: str) -> tuple[dict[str, Any], dict[str, Native]]:
    made = {host: Native(host) for host in hosts}
    upstream.scripts.update(made)
    places = [
        model("m", f"openai/{host}", id=host, api_base=upstream.url, api_key="k", order=number)
        for number, host in enumerate(hosts)
    ]
    return {"model_list": places, "router_settings": {"disable_cooldowns": True}}, made


async def test_sealed_reasoning_that_a_client_keeps_goes_back_to_who_sealed_it(upstream: Upstream) -> None:
    settings, _ = native(upstream, "north", "south")
    for place in settings["model_list"]:
        place["litellm_params"].pop("order")
    async with pipeline(settings) as of:
        for _ in range(12):
            first = await of.ask("m", "hello", store=False, include=["reasoning.encrypted_content"])
            owner = first.call.attempts[0].deployment
            history = [
                {"role": "user", "content": "hello"},
                *first.response["output"],
                {"role": "user", "content": "on"},
            ]
            told = await of.ask("m", history, store=False)
            assert told.error is None
            assert [a.deployment for a in told.call.attempts] == [owner]


async def test_sealed_reasoning_finds_its_maker_after_a_restart(upstream: Upstream, tmp_path: Path) -> None:
    settings, _ = native(upstream, "north", "south")
    for place in settings["model_list"]:
        place["litellm_params"].pop("order")
    for _ in range(8):
        async with pipeline(settings, folder=tmp_path) as of:
            first = await of.ask("m", "hello", store=False, include=["reasoning.encrypted_content"])
        history = [*first.response["output"], {"role": "user", "content": "on"}]
        async with pipeline(settings, folder=tmp_path) as of:
            told = await of.ask("m", history, store=False)
        assert told.error is None
        assert [a.deployment for a in told.call.attempts] == [first.call.attempts[0].deployment]


async def test_elsewhere_sealed_reasoning_is_left_out(upstream: Upstream) -> None:
    settings, hosts = native(upstream, "east", "west")
    async with pipeline(settings) as of:
        first = await of.ask("m", "hello")
        upstream.scripts["east"] = refuse
        history = [{"role": "user", "content": "hello"}, *first.response["output"], {"role": "user", "content": "on"}]
        by_input = await of.ask("m", history)
        by_id = await of.ask("m", "on", previous_response_id=first.response["id"])

    for told in (by_input, by_id):
        assert told.error is None
        assert told.call.attempts[-1].deployment == "west"
        assert told.call.continuity == "replayed"
    for body in hosts["west"].bodies:
        assert "previous_response_id" not in body
        assert [item.get("type", "message") for item in body["input"]] == ["message"] * 3


async def test_a_native_owner_is_named_the_parent_and_nothing_is_replayed(upstream: Upstream) -> None:
    settings, hosts = native(upstream, "up", "down")
    async with pipeline(settings) as of:
        first = await of.ask("m", "hello")
        await of.ask("m", "on", previous_response_id=first.response["id"])

    body = hosts["up"].bodies[-1]
    assert body["previous_response_id"] == first.response["id"]
    assert body["input"] == "on"


async def test_a_parent_that_is_still_being_made_elsewhere_cannot_be_followed(upstream: Upstream) -> None:
    settings, _ = native(upstream, "first", "second")

    async def queued(exchange: Exchange) -> None:
        await exchange.answer(native_response("queued1", status="queued", output=[], background=True, usage=None))

    upstream.scripts["first"] = queued
    async with pipeline(settings) as of:
        begun = await of.ask("m", "hello", background=True)
        assert begun.response["status"] == "queued"
        health = of.gateway.router.health(of.gateway.config.deployments["first"])
        health.cooling_until = health.free_at = float("inf")
        told = await of.ask("m", "on", previous_response_id=begun.response["id"])

    assert told.error is not None
    assert (told.error.status, told.error.code) == (409, "previous_response_in_progress")


async def refuse(exchange: Exchange) -> None:
    await exchange.answer({"error": {"message": "down", "type": "server_error"}}, 500)


async def test_a_client_that_leaves_during_the_wait_before_a_retry_is_booked() -> None:
    settings = {
        "model_list": [model("m", "simulated/echo:fault=500", id="a")],
        "router_settings": {"retry_after": 5, "disable_cooldowns": True},
    }
    async with pipeline(settings) as of:
        call = of.gateway.books.begin("create")
        request = {"model": "m", "input": "hi"}
        asking = asyncio.create_task(of.gateway.create(call, request, NOBODY))
        while not call.attempts or call.attempts[0].ended is None:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        row = await of.row(call)
        assert row["outcome"] == "client_disconnected"
        assert [a["outcome"] for a in row["attempts"]] == ["failed"]
        assert of.gateway.router.health(of.gateway.config.deployments["a"]).in_flight == 0
