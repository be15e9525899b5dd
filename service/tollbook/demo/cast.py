"""Who plays: models and where they live, keys and their teams, end users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tollbook.access.budgets import Said

TAG = "demo"
"""On every call, so that nobody takes one for real."""


@dataclass(frozen=True, slots=True)
class Model:
    """A public model name. `first` and `gap` are seconds to the first output, and between two pieces of it."""

    name: str
    provider: str
    base: str | None
    """What it is priced as; None has no price."""
    kind: str
    simulate: dict[str, Any]
    first: float
    gap: float
    places: tuple[str, ...] = ("",)


MODELS = (
    Model("gpt-5", "openai", "gpt-5", "story", {"scale": 104, "spread": 18, "cached": 35}, 0.9, 0.024, ("eu", "us")),
    Model("gpt-5-mini", "openai", "gpt-5-mini", "echo", {"scale": 56, "spread": 12, "cached": 20}, 0.4, 0.012),
    Model(
        "claude-sonnet",
        "anthropic",
        "claude-sonnet-4-5",
        "reasoner",
        {"scale": 120, "spread": 18, "cached": 55, "written": 12},
        1.1,
        0.02,
    ),
    Model(
        "claude-tools", "anthropic", "claude-sonnet-4-5", "tools", {"scale": 120, "spread": 10, "cached": 60}, 1.0, 0.02
    ),
    Model("gemini-flash", "gemini", "gemini-2.5-flash", "story", {"scale": 80, "spread": 14}, 0.35, 0.008),
    Model("gpt-5-search", "openai", "gpt-5", "story", {"scale": 72, "spread": 16, "searches": 1}, 1.6, 0.022),
    Model("llama-tuned", "vllm", None, "echo", {"scale": 48, "spread": 10}, 0.25, 0.009),
)


@dataclass(frozen=True, slots=True)
class Player:
    """A key: what it works on, with which models, how much of the traffic is its own, and when."""

    alias: str
    team: str
    owner: str
    models: tuple[tuple[str, int], ...]
    """Model names with their weights."""
    share: float
    turns: tuple[int, int]
    """Of a conversation, at least and at most."""
    users: int
    """How many end users stand behind it; 0 names none."""
    tasks: tuple[str, ...]
    nights: float = 0.1
    """How busy nights and weekends are, beside working hours."""


PLAYERS = (
    Player(
        "web-app",
        "product",
        "mira",
        (("gpt-5-mini", 6), ("gpt-5", 3), ("gemini-flash", 2)),
        0.38,
        (1, 4),
        60,
        ("summary", "search", "draft"),
        0.35,
    ),
    Player(
        "support-bot",
        "support",
        "jon",
        (("claude-sonnet", 5), ("gpt-5-mini", 3), ("gpt-5-search", 1)),
        0.26,
        (2, 7),
        40,
        ("ticket", "refund", "how-to"),
        0.25,
    ),
    Player(
        "agent-runner",
        "research",
        "ada",
        (("claude-tools", 4), ("gpt-5", 3)),
        0.16,
        (4, 11),
        8,
        ("crawl", "analysis"),
        0.3,
    ),
    Player("enrichment", "data", "lin", (("gemini-flash", 6), ("llama-tuned", 3)), 0.14, (1, 1), 0, ("classify",), 1.0),
    Player("dev-anna", "engineering", "anna", (("gpt-5", 3), ("claude-sonnet", 2)), 0.06, (1, 6), 1, ("coding",), 0.05),
)

RUNAWAY = ("agent-runner", "research-07")
"""The key and the end user whose agent does not stop one day."""

RUNAWAY_MODEL = "gpt-5"

DOWN = "openai"
"""The provider that is down one day; others stand in for its models."""

_STAND_INS = {"gpt-5": "claude-sonnet", "gpt-5-mini": "gemini-flash", "gpt-5-search": "claude-sonnet"}


def configuration(*, down: bool = False) -> dict[str, Any]:
    """The configuration that it is played with; `down`: while that provider is."""
    return {
        "model_list": [_entry(model, place, down=down) for model in MODELS for place in model.places],
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,
            "fallbacks": [{name: [other]} for name, other in _STAND_INS.items()],
        },
    }


def _entry(model: Model, place: str, *, down: bool) -> dict[str, Any]:
    simulate = {**model.simulate, "provider": model.provider, "model": model.base or model.name, "vary": 1}
    if down and model.provider == DOWN:
        simulate["fault"] = 503
    params: dict[str, Any] = {"model": f"simulated/{model.kind}", "extra_body": {"simulate": simulate}}
    if model.base:
        params["base_model"] = f"{model.provider}/{model.base}"
    where = f"-{place}" if place else ""
    return {"model_name": model.name, "litellm_params": params, "model_info": {"id": f"{model.name}{where}"}}


BUDGETS: tuple[Said, ...] = (
    {"name": "product a month", "scope": "team", "subject": "product", "amount": "60", "span": "month", "soft": 0.8},
    {"name": "research a month", "scope": "team", "subject": "research", "amount": "120", "span": "month", "soft": 0.8},
    {"name": "everything a month", "scope": "global", "amount": "400", "span": "month", "soft": 0.8},
)
