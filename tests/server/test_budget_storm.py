"""500 calls at once on a key with one dollar: all of it is spent, and never more than it and one bound."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from .running import MASTER, running

CALLS = 500
BOUND = Decimal("0.03")
"""30 words at a tenth of a cent each."""


async def call(http: httpx.AsyncClient, number: int) -> tuple[str, Decimal]:
    """One client: it asks until it is answered, or told that trying again cannot help. What became of it, and its cost."""
    body = {
        "model": f"simulated/echo:ttft={number % 50},words={5 + number % 20}",
        "input": f"call {number}",
        "stream": number % 2 == 0,
    }
    while True:
        answer = await http.post("/v1/responses", json=body)
        if answer.status_code == 200:
            return "served", Decimal(5 + number % 20) / 1000
        assert answer.status_code == 429, answer.text
        assert answer.json()["error"]["code"] == "budget_exceeded"
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
        async with httpx.AsyncClient(
            base_url=gateway.url,
            headers={"authorization": f"Bearer {secret}"},
            timeout=120,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        ) as http:

            async def watch() -> None:
                while True:
                    committed.append(await committed_now(http))
                    await asyncio.sleep(0.05)

            watching = asyncio.create_task(watch())
            told = await asyncio.gather(*(call(http, number) for number in range(CALLS)))
            watching.cancel()
            state = (await http.get("/v1/key")).json()["budgets"][0]

    spent = sum(cost for _, cost in told)
    assert {outcome for outcome, _ in told} == {"served", "refused"}
    assert Decimal(state["spent_usd"]) == spent
    assert state["reserved_usd"] == "0"
    assert 1 <= spent < 1 + BOUND, "all of it, and no more than one bound beyond"
    assert max(committed) < 1 + BOUND
    assert len(committed) > 2


async def committed_now(http: httpx.AsyncClient) -> Decimal:
    """What is spent and reserved at one moment."""
    state: dict[str, Any] = (await http.get("/v1/key")).json()["budgets"][0]
    return Decimal(state["spent_usd"]) + Decimal(state["reserved_usd"])
