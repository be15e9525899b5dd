"""500 calls at once on a key with one dollar: all of it is spent, and never more than it and one bound."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .running import MASTER, running, until

CALLS = 500
BOUND = Decimal("0.03")
"""30 words at a tenth of a cent each."""


async def call(http: aiohttp.ClientSession, number: int) -> tuple[str, Decimal]:
    """One client: it asks until it is answered, or told that trying again cannot help. What became of it, and its cost."""
    body = {
        "model": f"simulated/echo:ttft={number % 50},words={5 + number % 20}",
        "input": f"call {number}",
        "stream": number % 2 == 0,
    }
    while True:
        async with http.post("/v1/responses", json=body) as answer:
            if answer.status == 200:
                await answer.read()
                return "served", Decimal(5 + number % 20) / 1000
            assert answer.status == 429, await answer.text()
            assert (await answer.json())["error"]["code"] == "budget_exceeded"
        if answer.headers.get("x-should-retry") == "false":
            return "refused", Decimal(0)
        await asyncio.sleep(float(answer.headers["retry-after"]))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
async def test_a_storm_spends_the_dollar_and_no_more_than_one_bound_beyond(tmp_path: Path, workers: int) -> None:
    prices = {"input_cost_per_token": 0, "output_cost_per_token": 1e-3}
    config = {
        "model_list": [{"model_name": "simulated/*", "litellm_params": {"model": "simulated/*", **prices}}],
        "general_settings": {"master_key": "os.environ/TOLLBOOK_MASTER_KEY", "budget_output_tokens": 30},
    }
    arguments = ("--workers", str(workers))
    environment = {"TOLLBOOK_MASTER_KEY": MASTER}
    with running(tmp_path, config, environment=environment, arguments=arguments) as gateway:
        with gateway.client() as master:
            terms = {"alias": "storm", "budgets": [{"amount_usd": 1, "window": "total"}]}
            secret = master.post("/v1/keys", json=terms).json()["secret"]
        await asyncio.sleep(1.5)  # what one worker made counts on the others within a second
        committed: list[Decimal] = []
        async with aiohttp.ClientSession(
            gateway.url,
            headers={"authorization": f"Bearer {secret}"},
            connector=aiohttp.TCPConnector(limit=0),
        ) as http:

            async def watch() -> None:
                while True:
                    now = await standing(http)
                    committed.append(Decimal(now["spent_usd"]) + Decimal(now["reserved_usd"]))
                    await asyncio.sleep(0.05)

            watching = asyncio.create_task(watch())
            told = await asyncio.gather(*(call(http, number) for number in range(CALLS)))
            watching.cancel()
        with gateway.client(secret) as one:

            def settled() -> Any:
                """The last settlement of another worker may be a moment behind."""
                state = one.get("/v1/key").json()["budgets"][0]
                return state["reserved_usd"] == "0" and state

            state = until(settled, what="the last settlement")

    spent = sum(cost for _, cost in told)
    assert {outcome for outcome, _ in told} == {"served", "refused"}
    assert Decimal(state["spent_usd"]) == spent
    assert 1 <= spent < 1 + BOUND, "all of it, and no more than one bound beyond"
    assert max(committed) < 1 + BOUND
    assert len(committed) > 2


async def standing(http: aiohttp.ClientSession) -> dict[str, Any]:
    """How the key's budget stands."""
    async with http.get("/v1/key") as answer:
        return dict((await answer.json())["budgets"][0])
