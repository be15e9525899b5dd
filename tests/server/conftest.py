"""One gateway for most of these tests, with everything on: keys, a provider that does as it is told, a collector."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from . import house as houses
from .receiver import Collector
from .running import MASTER, Gateway, running
from .upstream import Upstream

UPSTREAM_KEY = "sk-upstream-canary-5d20a9c4"
"""The key that the gateway has for its upstreams."""


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        yield server


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, collector: Collector) -> Iterator[Gateway]:
    prices = {"input_cost_per_token": 2.5e-6, "output_cost_per_token": 1e-5}
    quick = {"timeouts": {"connect": 2, "first_event": 1.5, "idle": 1.5, "total": 6}}
    hasty = {"connect": 2, "first_event": 0.4, "idle": 0.4, "total": 6}
    place = {"api_base": f"{upstream.url}/v1", "api_key": UPSTREAM_KEY, **quick}
    chat = {"model": "openai_like/*", "max_retries": 0, **place, **prices}
    models = {
        "simulated/*": {"model": "simulated/*", "max_retries": 0, **prices},
        "again/*": {"model": "simulated/*", "max_retries": 2, **prices},
        "org/team/deep": {"model": "simulated/echo", **prices},
        # Chat Completions and Responses at the same host; the model's name chooses what it does.
        "chat/*": chat,
        "native/*": {**chat, "model": "openai/*"},
        "retried/*": {**chat, "max_retries": 2},
        "hasty-chat/*": {**chat, "timeouts": hasty},
        "hasty-native/*": {**chat, "model": "openai/*", "timeouts": hasty},
        "falls/*": chat,
        "traced/*": {**chat, "propagate_trace": True},
        "unpriced/*": {"model": "openai_like/*", **place},
    }
    twins = [{"model_name": "twins", "litellm_params": {"model": f"simulated/{twin}"}} for twin in ("echo", "other")]
    config = {
        "model_list": [
            *({"model_name": name, "litellm_params": params} for name, params in models.items()),
            *twins,
        ],
        "general_settings": {"master_key": "os.environ/TOLLBOOK_MASTER_KEY"},
        "router_settings": {
            "fallbacks": [{"falls/*": ["simulated/story"]}],
            "disable_cooldowns": True,
            "optional_pre_call_checks": ["responses_api_deployment_check"],
        },
    }
    environment = {"TOLLBOOK_MASTER_KEY": MASTER, "TOLLBOOK_KEEP_ALIVE": "1", **collector.environment}
    with running(tmp_path_factory.mktemp("gateway"), config, environment=environment) as started:
        yield started


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with gateway.openai() as sdk:
        yield sdk


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for keys, teams, budgets and limits."""
    environment = {"TOLLBOOK_MASTER_KEY": MASTER}
    with running(tmp_path_factory.mktemp("house"), houses.config(), environment=environment) as started:
        yield started


@pytest.fixture
def master(house: Gateway) -> Iterator[httpx.Client]:
    """Its administrator."""
    with house.client() as client:
        yield client
