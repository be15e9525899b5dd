"""A gateway with keys, teams, budgets and limits, whose models cost a tenth of a cent a word."""

from __future__ import annotations

from itertools import count
from typing import Any

import httpx

from .asking import ask

_numbers = count()

PRICES = {"input_cost_per_token": 0, "output_cost_per_token": 1e-3}
"""A tenth of a cent for each word that is answered."""


def make(master: httpx.Client, **terms: Any) -> dict[str, Any]:
    """A new key."""
    answer = master.post("/v1/keys", json={"alias": f"key-{next(_numbers)}", **terms})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def own(amount: float, window: str = "day", **more: Any) -> list[dict[str, Any]]:
    return [{"amount_usd": amount, "window": window, **more}]


def words(http: httpx.Client, number: int, **fields: Any) -> httpx.Response:
    """A call that costs a tenth of a cent for each of so many words."""
    return ask(http, f"simulated/echo:words={number}", **fields)


def config() -> dict[str, Any]:
    """Its configuration."""

    def model(name: str, target: str, **params: Any) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": target, "max_retries": 0, **params}}

    return {
        "model_list": [
            model("simulated/*", "simulated/*", **PRICES),
            model("capped/*", "simulated/*", **PRICES),
            model("unknown", "openai_like/nobody-knows", api_base="http://127.0.0.1:9/v1", api_key="x"),
            model("mixed", "openai_like/nobody-knows", api_base="http://127.0.0.1:9/v1", api_key="x", weight=0),
            model("mixed", "simulated/echo", **PRICES),
        ],
        "router_settings": {"model_group_alias": {"cheap": "capped/echo"}},
        "general_settings": {
            "master_key": "os.environ/TOLLBOOK_MASTER_KEY",
            "end_user_budget": {"amount": 0.01, "window": "day"},
            "budget_output_tokens": 100,
        },
        "budgets": [{"name": "capped", "model": "capped/*", "amount": 0.02, "window": "day", "soft": 0.5}],
        "limits": [{"end_user": "hasty-*", "rpm": 2}],
    }
